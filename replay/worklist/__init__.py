"""The worklist: what waits for somebody, of all kinds together, by its deadline."""
