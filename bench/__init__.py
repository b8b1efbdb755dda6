"""Benches: each module here measures one thing and is run as `python -m bench.<name>`.

`support/` holds shared code, `peers/` other programs to compare with. The program never imports this package.
"""
