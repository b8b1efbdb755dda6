"""Operations: commands for those who run a ledger: serving, keys, rules, generations, the archive and backups.

Work that takes long shows its progress and can be interrupted.
"""
