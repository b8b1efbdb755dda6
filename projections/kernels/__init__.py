"""Kernels: compiled loops that turn facts into credited pieces and the read models made of them.

Each rule of credit is implemented here, once. A kernel takes arrays and returns arrays; text, events and the parsing of
rules stay outside. Comparing two results is in `projections/compare/`.
"""
