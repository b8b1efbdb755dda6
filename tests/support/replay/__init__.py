"""Support for tests of replay: histories in a real log, archives, and processes that kill themselves."""
