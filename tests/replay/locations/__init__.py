"""Tests of archives in object stores."""
