"""Messages: what callers send and what they receive, for every interface.

CloudEvents, answers to them, problems, examples and the schemas of events. Nothing here depends on a running service
or an API key.
"""
