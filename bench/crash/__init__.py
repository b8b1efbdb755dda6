"""Crash: clients post over an unreliable network while server, PostgreSQL or both are killed; nothing may be lost.

`python -m bench.crash` starts it; the other modules are its server, its network, its steps and its checks.
"""
