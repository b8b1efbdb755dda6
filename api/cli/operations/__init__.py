"""Commands for operators: serving, keys, rules, generations, the archive and backups.

Long tasks show their progress and can be interrupted.
"""
