"""The log in PostgreSQL: the eventsourcing library's application and recorder, tables, upgrades, personal data.

Nothing here decides what may be recorded. Nothing outside this folder refers to the table of events.
"""
