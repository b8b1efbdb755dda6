"""Tests of the interfaces: HTTP, the command line, the import, and the service in operation."""
