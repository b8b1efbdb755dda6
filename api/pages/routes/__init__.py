"""The pages. Each reads through `LedgerClient`, and renders a template of the same name."""
