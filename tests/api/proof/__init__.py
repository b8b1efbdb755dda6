"""Tests of proof as its users meet it: on the command line and over HTTP."""
