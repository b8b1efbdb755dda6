"""Archives elsewhere than in a folder of this machine: in an object store, for replays on any machine.

`object_store.py` speaks to the store, `sending.py` writes an archive to it, `fetching.py` makes a copy in a folder of
what it holds, `checking.py` verifies it. What reads or writes PostgreSQL is not here, except to compare digests with
the log.
"""
