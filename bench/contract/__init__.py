"""Contract: Schemathesis tests a served ledger against its OpenAPI description.

`python -m bench.contract` starts it; `checks.py` tells Schemathesis what a schema cannot express.
"""
