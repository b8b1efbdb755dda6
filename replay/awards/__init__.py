"""Awards: who is eligible for an honour, who has it, and whether its evidence still supports it.

The folder plans commands and reports; the commands are decided in `ledger/`, and the state of each award is folded in
`replay/records/awards.py`.
"""
