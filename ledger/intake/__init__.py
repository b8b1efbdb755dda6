"""Taking orders: prepared, grouped, decided under the writers' lock, recorded once, answered.

Nothing here says what a command means: `ledger/aggregates/` does; nor how rows are stored: `ledger/store/` does.
"""
