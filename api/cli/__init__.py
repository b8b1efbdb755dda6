"""The command line `hours`: what each command takes, and how results are shown.

`main.py` and the modules beside it declare commands; what a command does is in `readers/`, `recording/` and
`operations/`.
"""
