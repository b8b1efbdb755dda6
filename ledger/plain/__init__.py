"""Plain scans as columns: from the bytes a station sends to the bytes that are stored, in compiled loops.

Nineteen events in twenty are scans of a named shift, and what becomes of nearly all is known before the ledger is
asked. They are taken a block at a time, without a Python object for each:

    block.py     a block of scans: its rows and the texts behind them; from orders, and back to them
    digests.py   what can be worked out before the lock is held: names, contents, stream ids
    deciding.py  under the lock: which are old, which go up the ladder of their command, and the rows of the rest
    tables.py    hash tables of 128-bit keys, and what is remembered from batch to batch
    text.py, blake2.py   reading and writing text; the hash function

Whatever is not plain goes up the ladder in `ledger/decide/`, like any other order; tests hold both to the same bytes.
"""
