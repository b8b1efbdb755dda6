"""On demand: whole replays in memory for axes that no generation answers, with the latest results cached.

A result is computed once and shared by concurrent requests. Nothing here writes to the database.
"""
