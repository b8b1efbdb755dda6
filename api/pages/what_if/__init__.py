"""What-if: the form of the usual values of rules, and what comes of a comparison in words and numbers."""
