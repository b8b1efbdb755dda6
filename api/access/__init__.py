"""Access: API keys, what each role may do, signatures of requests, and rate limits.

Every decision about who may do what is made here. The tables of keys and signatures belong to this folder; no other
code writes them.
"""
