"""The log in PostgreSQL: the eventsourcing library's application and recorder, tables, upgrades, personal data.

Nothing here decides what may be recorded, and nothing outside this folder names the table of events.
"""
