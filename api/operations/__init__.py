"""Operations: opening a ledger in a process, and what its operator needs: jobs, logs, metrics, readiness.

`service.py` opens a ledger for every interface. Nothing here handles a request or prints to a terminal.
"""
