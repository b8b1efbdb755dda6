"""Certificates as documents: made, verified, forged."""
