"""An erased person leaves all totals as they were, and no personal datum in any table, file, export or log."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from psycopg import sql

from api.operations.schema_parts import PARTS
from api.operations.service import OpenLedger
from ledger.intake.answers import Accepted
from ledger.store.database import Database
from ledger.store.persons import Person, Persons
from ledger.store.upgrading import upgrade_tables
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, give, stock, take

pytest_plugins = ["tests.support.api.fixtures"]

WHO = "V0000001"
PERSONAL = ("张三丰", "13800138000", "zhang.sanfeng", "mother is ill")


def say_personal_things(ledger: OpenLedger, hours: CommandLine, folder: Path) -> None:
    """Put personal data wherever somebody may: in the directory, and in the texts of acts."""
    Persons(ledger.database.pool).save(Person(WHO, "张三丰", "13800138000", "zhang.sanfeng@example.org"))
    shift = "01677c00-0000-7000-8000-00000000e4a5"
    act = {"volunteer": WHO, "shift": shift, "reason": "asked"}
    said = [
        (
            "check-in",
            {"volunteer": WHO, "station": STATION, "shift": shift, "occurred_at": "2018-12-03T09:00:00+08:00"},
        ),
        ("dispute-shift", act | {"text": "张三丰 says he came at eight"}),
        ("answer-dispute", act | {"text": "phoned from 13800138000"}),
        (
            "request-act",
            {
                "request": "of-his",
                "act": "void-shift",
                "fields": act,
                "text": "his mother is ill, see zhang.sanfeng@example.org",
            },
        ),
    ]
    events = (
        {"specversion": "1.0", "id": name, "source": "/t", "type": f"org.service-hours.{name}.v1", "data": data}
        for name, data in said
    )
    (folder / "acts.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert hours("post", folder / "acts.jsonl", "--json").answer["accepted"] == len(said)
    (folder / "acts.jsonl").unlink()  # whoever sent it keeps it elsewhere


def totals(hours: CommandLine) -> tuple[object, object]:
    """Rebuild everything, and return what sums of it."""
    rebuilt = hours("rebuild", "--json").answer
    return rebuilt["checksum"], hours("volunteer", WHO, "--json").answer["years"]


def in_tables(database: Database) -> list[str]:
    """Return the tables that hold anything personal, whatever they are for."""
    found = []
    with database.pool.connection() as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for table in tables:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table))).fetchall()
            if any(datum in _as_text(cell) for row in rows for cell in row for datum in PERSONAL):
                found.append(".".join(table))
    return found


def in_files(folder: Path) -> list[str]:
    """Return the files that hold anything personal, but for those of PostgreSQL itself."""
    texts = {
        path: str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else _as_text(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "postgres" not in path.parts
    }
    assert any(path.suffix == ".parquet" for path in texts)
    return [path.name for path, text in texts.items() if any(datum in text for datum in PERSONAL)]


def _as_text(cell: object) -> str:
    return bytes(cell).decode("utf-8", "replace") if isinstance(cell, bytes | memoryview) else str(cell)


def test_an_erased_person_leaves_totals_and_nothing_personal(
    database: Database, hours: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    say_personal_things(ledger, hours, tmp_path)
    assert hours("persons", "find", "张三丰", "--json").answer["persons"][0]["volunteer"] == WHO
    assert hours("persons", "find", "13800138000", "--json").answer["persons"][0]["volunteer"] == WHO
    before = totals(hours)
    assert set(in_tables(database)) == {"ledger.persons", "ledger.texts"}
    assert hours("erase", WHO, "--yes", "--json").answer == {"volunteer": WHO, "erased": 4}
    assert totals(hours) == before
    told = [
        hours("history", WHO, "--json"),
        hours("overview", WHO, "--json"),
        hours("anomalies", "--json"),
        hours("export", "credits", "--output", tmp_path / "credits.csv"),
        hours("replay", "--to", tmp_path / "replayed"),
        hours("backup", tmp_path / "backup"),
        hours("log", "--json"),
        hours("statement", WHO, "--json"),
        hours("persons", "find", WHO, "--json"),
        hours("persons", "look-ups", "--json"),
    ]
    assert [one.code for one in told] == [0] * len(told), told
    assert in_tables(database) == []
    assert in_files(tmp_path) == []
    said = "".join(one.out + one.err for one in told) + caplog.text
    assert [datum for datum in PERSONAL if datum in said] == []


class Typing(io.StringIO):
    """A terminal in which somebody types."""

    def isatty(self) -> bool:
        return True


def test_an_erasure_is_confirmed_by_the_number_or_in_words_of_the_command(
    database: Database, hours: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    say_personal_things(ledger, hours, tmp_path)
    position = int(ledger.log.head())
    for arguments, name in ((("erase", WHO), WHO), (("erase", "--event", position), str(position))):
        before = in_tables(database)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{name}\n"))
        assert hours(*arguments).sentence.endswith("erased for ever; add --yes")
        for typed in ("", "y", "yes", f"{name}0"):
            monkeypatch.setattr("sys.stdin", Typing(f"{typed}\n"))
            told = hours(*arguments)
            assert (told.code, f"nothing was erased: that is not {name}" in told.err) == (2, True), told
        assert in_tables(database) == before
    monkeypatch.setattr("sys.stdin", Typing(f"{WHO}\n"))
    told = hours("erase", WHO, "--json")
    assert f"Type {WHO} to go on" in told.err
    assert told.answer["erased"] > 0


def test_who_is_not_known_cannot_be_erased(fresh: OpenLedger, hours: CommandLine) -> None:
    assert fresh.log.head() > 0
    assert hours("erase", "V0000404").sentence == "volunteer V0000404 is not known to the ledger; check the number"


def test_texts_of_an_older_version_get_the_volunteers_they_are_about(fresh: OpenLedger) -> None:
    """Those about honours, and about requests for one, had nobody, and no erasure found them."""
    give(fresh, "register-volunteer", volunteer="V0000001", registered_on="2016-03-05")
    give(fresh, "launch-project", project="led", content="teaching", in_charge="V0000001")
    for award, recipient in (("a1", {"volunteer": "V0000001"}), ("a2", {"project": "led"})):
        take(fresh, "announce-honor", {"award": award, "honor": "guide", **recipient}, imported=True)
        give(fresh, "object-to-honor", award=award, reason="asked", text=f"about {award}")
        body = {"request": award, "act": "revoke-honor", "fields": {"award": award, "reason": "asked"}}
        give(fresh, "request-act", **body, text=f"request about {award}")
        decline = {"request": award, "reason": "asked", "text": f"answer about {award}"}
        assert isinstance(take(fresh, "decline-act", decline, by="person:other"), Accepted)
    (ledger,) = (part for part in PARTS if part.name == "ledger")
    with fresh.database.pool.connection() as connection:
        query = "SELECT volunteer, text FROM ledger.texts ORDER BY text"
        now = connection.execute(query).fetchall()
        assert ([who for who, _ in now], len(now)) == (["V0000001"] * 6, 6)
        connection.execute("UPDATE ledger.texts SET volunteer = NULL")
        connection.execute("ALTER TABLE ledger.texts DROP COLUMN others")
        connection.execute("UPDATE ledger.parts SET version = 2 WHERE part = 'ledger'")
        upgrade_tables(connection, ledger)
        assert connection.execute(query).fetchall() == now


def test_the_text_of_one_event_is_erased_by_its_position(
    database: Database, hours: CommandLine, tmp_path: Path
) -> None:
    ledger = OpenLedger(database, tmp_path)
    stock(ledger)
    say_personal_things(ledger, hours, tmp_path)
    ledger.erase("V0000002")  # nobody's text yet
    position = int(ledger.log.head())
    assert hours("erase", "--event", position, "--yes", "--json").answer == {"event": position, "erased": 1}
    assert "was erased before" in hours("erase", "--event", position, "--yes").out
    assert "has none" in hours("erase", "--event", 1).out
    assert "the log has no event at position 999999" in hours("erase", "--event", 999999).sentence
    for arguments in ((), (WHO, "--event", 1)):
        assert "name a volunteer number, or an event with --event" in hours("erase", *arguments).sentence
