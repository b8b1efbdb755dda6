"""The ledger: immutable events, the decisions about what may be recorded, and the log that stores the events.

    deciding/     what every decision is made of: commands, orders, events, streams and policies
    aggregates/   the kinds of streams: events, what they fold to, commands and decisions
    intake/       the execution of orders, many in one transaction
    store/        the log in PostgreSQL, based on the eventsourcing library

`names.py` and `rejections.py` hold the vocabulary that all folders share. Nothing here knows the rules of credit, read
models or HTTP.
"""
