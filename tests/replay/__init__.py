"""Tests of read models and queries on a real log. The archive, the follower and the synthetic history have folders."""
