"""HTTP: the application, its OpenAPI description, and the server that runs it.

Code shared by routes is in `requests/`, and the routes are in `routes/`. Nothing here decides commands or computes
answers.
"""
