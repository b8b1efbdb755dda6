"""Requests: what routes share: the caller, the axes, limits, links, the request log, and commands taken from a body.

No route is declared here.
"""
