"""Every decision but those about scans of stations, repeated on the streams as they were.

orders      from recorded events back to the order that they answer
decisions   the repetition, by the ledger's own functions
content     topic and state of the events that decisions read
parts       the log in parts, each of which another process may decide: a decision reads only what was before it
"""
