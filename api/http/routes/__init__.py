"""Routes: a module for each resource, in three folders: `writes/`, `reads/` and `operations/`.

A route parses its parameters, calls `replay/` or the service, and returns an answer. Code shared by routes is in
`api/http/requests/`.
"""
