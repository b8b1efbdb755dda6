"""Tests of the proof: the tree, its files, what is signed of it, and proofs of what it holds."""
