"""Intake: orders are prepared, grouped, decided under the writers' lock, recorded once, and answered.

What a command means is defined in `ledger/aggregates/`, how rows are stored in `ledger/store/`.
"""
