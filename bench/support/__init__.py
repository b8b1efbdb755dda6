"""Support: what benches share: arguments, the clock, ledgers to measure on, and servers under load.

Nothing here is run on its own, except as a child process of a bench.
"""
