"""The ledger: what happened, as immutable events; what may be recorded; and the log they are kept in.

    aggregates/   the kinds of streams: events, what they fold to, commands and decisions
    intake/       taking orders, many in one transaction
    store/        the log in PostgreSQL, by the eventsourcing library

The few modules beside them are words that all share. Nothing here knows the rules of credit, read models or HTTP.
"""
