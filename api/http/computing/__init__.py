"""The computing process of a server: replays, what-ifs, checks of rules and jobs, apart from the scans of stations.

The server hands requests that compute to a second process of the same program (decision 24). That process has an
interpreter, a priority and an end of its own: whatever it computes, the server's event loop goes on, and a computation
that does not end is killed with it. What must not be here: routes, and anything that knows what a request asks for.
"""
