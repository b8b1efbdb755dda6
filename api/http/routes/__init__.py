"""Routes: a module for each resource, in three folders: `writes/`, `reads/` and `operations/`.

A route reads its parameters, calls `replay/` or the service, and returns an answer. What routes share is in
`api/http/requests/`.
"""
