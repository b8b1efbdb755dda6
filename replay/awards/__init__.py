"""Awards: who is eligible for an honour, who holds it, and whether the evidence still supports it.

This folder reports on awards and plans commands. The commands are decided in `ledger/`; the state of each award is
folded in `replay/records/awards.py`.
"""
