"""Scans of stations, nine of ten events, checked in columns: those that the ledger wrote and that hold.

    reading      entries that are such a scan, byte by byte, and their fields
    stream_ids   the streams that shifts belong to, as `ledger.names.shift_stream_key` gives them
    checking     the rest of what is checked of a scan; what does not hold is left to the general path

The general path (`replay/auditing/chunks.py`) decodes an event by its schema and says what is wrong. This folder only
saves time: it never says anything about an event but that the general path would find nothing. Tests compare the two.
"""
