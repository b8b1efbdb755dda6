"""Tests of the pages in a browser: each page's main task, both languages, both themes, and what axe-core finds."""
