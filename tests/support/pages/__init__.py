"""Support for tests of documents: finding their commands, and running them."""
