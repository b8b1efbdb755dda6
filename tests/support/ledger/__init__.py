"""Support for tests of the ledger: a plain model of it to compare with, and strategies for orders."""
