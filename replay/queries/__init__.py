"""Queries: what readers ask about volunteers, stations and the ledger itself, under any three axes.

Rankings, awards, organisations and what-ifs have folders of their own, which build on this one. Nothing here writes.
"""
