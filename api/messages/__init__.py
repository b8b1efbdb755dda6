"""Messages: what callers send and what they are told, whichever way they come.

CloudEvents, answers to them, problems, examples and the schemas of events. Nothing here knows a running service or a
key.
"""
