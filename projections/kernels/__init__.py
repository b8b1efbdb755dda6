"""Kernels: compiled loops that turn facts into credited pieces, and pieces into read models.

Each rule of credit is implemented here, once. A kernel takes and returns arrays; text, events and the parsing of rules
stay outside. `projections/compare/` compares two results.
"""
