"""Tests of rules and kernels, against results worked out by hand and the oracle in `tests/support/oracle/`."""
