"""Audit: anomalies with their reasons, and random samples for spot checks.

Anomalies are defined in `projections/anomalies/`. Nothing here changes a record.
"""
