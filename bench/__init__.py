"""Benches: each module here measures one thing and is run as `python -m bench.<name>`.

What they share is in `support/`, what they are compared with in `peers/`. Nothing in the program imports this package.
"""
