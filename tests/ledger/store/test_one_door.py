"""The structure that one way in rests on: one door to the stored events, and no compiled loops before it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PRODUCTION = ("ledger", "projections", "replay", "api")
RELEASED = {"replay/generations/schema_2.sql"}
"""Steps of tables that were released are never edited."""


def _sources(*packages: str) -> dict[str, str]:
    files = (path for package in packages for path in (ROOT / package).rglob("*") if path.suffix in {".py", ".sql"})
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}


def test_only_the_store_names_the_table_of_events() -> None:
    naming = {
        name
        for name, text in _sources(*PRODUCTION).items()
        if "stored_events" in text and not name.startswith("ledger/store/") and name not in RELEASED
    }
    assert not naming


def test_the_store_is_the_only_one_that_appends() -> None:
    writing = re.compile(r"COPY ledger\.|INSERT INTO ledger\.(stored_events|commands)")
    assert {name for name, text in _sources(*PRODUCTION).items() if writing.search(text)} == {"ledger/store/append.py"}


def test_nothing_is_compiled_in_the_ledger_and_the_api() -> None:
    importing = re.compile(
        r"^\s*(from|import) (numba|llvmlite|projections\.compiled import (kernel|inlined))", re.MULTILINE
    )
    assert not {name for name, text in _sources("ledger", "api").items() if importing.search(text)}


def test_one_module_alone_builds_on_the_protocol_of_the_web_server() -> None:
    """Decision 19: the limits before a request need its callbacks, and nothing else does."""
    using = {name for name, text in _sources("api").items() if "uvicorn.protocols" in text}
    assert using == {"api/http/protocol.py"}
