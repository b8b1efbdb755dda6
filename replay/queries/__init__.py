"""Queries about volunteers, stations and the ledger itself, under any three axes.

Rankings, awards, organisations and what-ifs have their own folders, which build on this one. Nothing here writes.
"""
