"""Requests: code that routes share: the caller, the axes, limits, links, the request log, and the submission of orders.

No route is declared here.
"""
