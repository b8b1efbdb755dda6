"""Tests of the follower: equal to a rebuild at every position, whatever happens to it."""
