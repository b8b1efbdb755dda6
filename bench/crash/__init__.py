"""Crash: clients post through a bad network while the server, PostgreSQL or both are killed, and nothing may be lost.

`python -m bench.crash` starts it; the other modules are its server, its network, its steps and its checks.
"""
