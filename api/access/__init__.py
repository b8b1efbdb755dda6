"""Access: API keys, the rights of each role, signatures of requests, and rate limits.

Every decision about who may do what is made here. The tables of keys and signatures belong to this folder; no other
code writes to them.
"""
