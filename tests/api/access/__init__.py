"""Tests of who may do what: keys, roles, signatures."""
