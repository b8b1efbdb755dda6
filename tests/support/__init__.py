"""Support: what tests share, in the folders of what it supports. No test is here."""
