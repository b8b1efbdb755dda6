"""HTTP: the application, its description, and the server around it.

What requests share is in `requests/`, and each route has a module in `routes/`. Nothing here decides about commands or
computes an answer.
"""
