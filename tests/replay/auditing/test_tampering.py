"""An auditor's day: a checkpoint was kept, then somebody who can write to the database and to every file altered
something. A table of alterations; each is caught, and the report names the place.

The ledger signs with its real key in each case where an attacker would have it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from api.access.signatures import why_unproved
from api.operations.service import OpenLedger
from ledger.names import shift_stream, stream
from ledger.store.database import Database
from replay.archive.folder import digest_of
from replay.archive.manifest import Manifest, read_manifest, write_manifest
from replay.archive.open_archive import OpenArchive
from replay.auditing.audit import Request, audit
from replay.auditing.findings import Check, Severity
from replay.auditing.report import Report, text_of
from replay.auditing.roots import check_tiles_above
from replay.auditing.work import WorkError
from replay.bundles.layout import CONTENTS, BundleError, checkpoint_file, read_contents
from replay.bundles.making import Sources, make_bundle
from replay.proof.checkpoints import read_checkpoint
from replay.proof.keys import Generation, PublishedKeys
from replay.proof.notes import Note, SignatureKind, SigningKey
from replay.proof.policies import Policy
from replay.proof.tiles import TileFolder
from replay.proof.tree import hashes_of, tiles
from replay.published import published_rules
from tests.support.api.serving import give, stock
from tests.support.replay.proving import ORIGIN, PUBLISHED_KEYS, VERIFIER_KEYS, prove

PROGRAM = "test"
TRUSTED = Policy.of_keys(VERIFIER_KEYS)


class Ledger(NamedTuple):
    """A ledger that an auditor looked at: its database, its files, the tree of then, and the checkpoint of then."""

    url: str
    folder: Path
    database: Database
    ledger: OpenLedger

    @property
    def tiles(self) -> Path:
        return self.folder / "tiles"

    @property
    def stick(self) -> Path:
        return self.folder / "stick"

    @property
    def kept(self) -> bytes:
        return (self.folder / "kept").read_bytes()

    @property
    def head(self) -> int:
        return int(self.ledger.log.head())

    def bundle(self, sources: Sources) -> Path:
        make_bundle(self.stick, self.database, self.ledger.archive, lambda: sources, PROGRAM)
        return self.stick

    def sources(self) -> Sources:
        """Return what proves the log, as the auditor's checkpoint of then does."""
        hours = (self.folder / "hours").read_bytes()
        return Sources(read_checkpoint(self.kept), {}, PUBLISHED_KEYS, TileFolder(self.tiles), hours)

    def audit(self, **more: Any) -> Report:
        given = {"since": [("kept", self.kept)], "processes": 1, "work": self.folder / "work", **more}
        return audit(Request(self.stick, TRUSTED, why_unproved, PROGRAM, **given))


@pytest.fixture(scope="module")
def looked_at(new_database_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A ledger with a tree and a checkpoint, to be copied."""
    url, folder = new_database_url(), tmp_path_factory.mktemp("looked-at")
    with Database.open(url) as database:
        ledger = OpenLedger(database, folder / "data")
        stock(ledger)
        give(ledger, "dispute-shift", volunteer="V0000001", shift=SHIFT, reason="too-short", text="I stayed longer")
        certificate: dict[str, Any] = {
            **dict.fromkeys(("from_year", "to_year"), 2018),
            **dict.fromkeys(("scanned_minutes", "attested_minutes", "evidence_position"), 1),
            "volunteer": "V0000001",
            "organisation": "luohu",
            "name": "Wang Fang",
            "contact": "0755",
        }
        give(ledger, "issue-certificate", rules_digest=published_rules(ledger.log).digest, **certificate)
        for number in range(3, 8):
            give(ledger, "register-volunteer", volunteer=f"V000000{number}", registered_on="2016-03-05")
        ledger.catch_up()
        ledger.archive.bring_up_to_date(database)
        sources = prove(database, folder / "tiles")
        (folder / "kept").write_bytes(sources.checkpoint.encode())
        (folder / "hours").write_bytes(sources.hours or b"")
    return url, folder


SHIFT = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def ledger(looked_at: tuple[str, Path], copied_database_url: Callable[[str], str], tmp_path: Path) -> Any:
    """A copy of that ledger."""
    url, folder = looked_at
    shutil.copytree(folder, tmp_path / "ledger")
    copied = copied_database_url(url)
    with Database.open(copied) as database:
        yield Ledger(copied, tmp_path / "ledger", database, OpenLedger(database, tmp_path / "ledger" / "data"))


def found(report: Report, check: Check, position: int = 0, where: str = "") -> None:
    """Assert that a check found something that is altered or has to be explained, at a position, at a place."""
    findings = [each for each in report.of(check) if each.severity is not Severity.NOTICE]
    assert findings, text_of(report)
    assert not report.sound
    if position:
        assert any(each.first <= position <= each.last for each in findings), text_of(report)
    if where:
        assert any(where in f"{each.place} {each.evidence} {each.what}" for each in findings), text_of(report)


def position_of(ledger: Ledger, topic: str) -> int:
    """Return the first position of a topic."""
    with psycopg.connect(ledger.url) as connection:
        query = "SELECT min(notification_id) FROM ledger.stored_events WHERE topic = %s"
        return int(connection.execute(query, (topic,)).fetchall()[0][0])


def execute(ledger: Ledger, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with psycopg.connect(ledger.url, autocommit=True) as connection:
        for statement, values in statements:
            connection.execute(statement, values)


# --- the database ---------------------------------------------------------------------------------------------------


_CHANGE = (
    "UPDATE ledger.stored_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'), %s, %s), 'UTF8') "
    "WHERE notification_id = %s"
)


_REPEAT = (
    "INSERT INTO ledger.stored_events SELECT gen_random_uuid(), 1, topic, state, notification_id + 1 "
    "FROM ledger.stored_events WHERE notification_id = %s"
)
_INSERT = (
    "INSERT INTO ledger.stored_events (originator_id, originator_version, topic, state, notification_id) "
    "VALUES (%s, %s, %s, %s, %s)"
)


def change_a_minute(ledger: Ledger) -> int:
    """Move a check-out by one hour, past every check of a replay."""
    position = position_of(ledger, "checked-out.v1")
    values = ('"occurred_at":(\\d{7})(\\d{3})', '"occurred_at":\\1999', position)
    execute(ledger, (_CHANGE, values))
    return position


def delete_an_event(ledger: Ledger) -> int:
    position = position_of(ledger, "checked-in.v1")
    execute(ledger, ("DELETE FROM ledger.stored_events WHERE notification_id = %s", (position,)))
    return position


def swap_two(ledger: Ledger) -> int:
    position = position_of(ledger, "checked-in.v1")
    move = "UPDATE ledger.stored_events SET notification_id = %s WHERE notification_id = %s"
    execute(ledger, *((move, pair) for pair in ((-1, position), (position, position + 1), (position + 1, -1))))
    return position


def insert_one_in_the_past(ledger: Ledger) -> int:
    """Insert a check-in; later events move up."""
    position = position_of(ledger, "checked-in.v1")
    execute(
        ledger,
        (
            "UPDATE ledger.stored_events SET notification_id = -notification_id - 1 WHERE notification_id > %s",
            (position,),
        ),
        ("UPDATE ledger.stored_events SET notification_id = -notification_id WHERE notification_id < 0", ()),
        (_REPEAT, (position,)),
    )
    return position + 1


def truncate_the_tail(ledger: Ledger) -> int:
    position = ledger.head - 2
    execute(ledger, ("DELETE FROM ledger.stored_events WHERE notification_id >= %s", (position,)))
    return position


def change_the_rules(ledger: Ledger) -> int:
    position = position_of(ledger, "rules-published.v1")
    execute(ledger, (_CHANGE, ("day_minutes_max = 480", "day_minutes_max = 490", position)))
    return position


def change_a_topic(ledger: Ledger) -> int:
    position = position_of(ledger, "checked-out.v1")
    execute(ledger, ("UPDATE ledger.stored_events SET topic = 'x.v1' WHERE notification_id = %s", (position,)))
    return position


def change_a_version(ledger: Ledger) -> int:
    position = position_of(ledger, "checked-out.v1")
    change = "UPDATE ledger.stored_events SET originator_version = 5 WHERE notification_id = %s"
    execute(ledger, (change, (position,)))
    return position


IN_THE_DATABASE: dict[str, tuple[Callable[[Ledger], int], tuple[Check, ...]]] = {
    "change a minute": (change_a_minute, (Check.LEAVES, Check.ARCHIVE)),
    "delete an event": (delete_an_event, (Check.POSITIONS, Check.LEAVES)),
    "swap two": (swap_two, (Check.LEAVES,)),
    "insert one in the past": (insert_one_in_the_past, (Check.LEAVES,)),
    "truncate the tail": (truncate_the_tail, (Check.POSITIONS,)),
    "change a rule set after the fact": (change_the_rules, (Check.LEAVES, Check.DECISIONS)),
    "change a topic": (change_a_topic, (Check.LEAVES, Check.EVENTS)),
    "change a version": (change_a_version, (Check.LEAVES, Check.STREAMS)),
}


def test_an_unaltered_ledger_is_sound(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    report = ledger.audit()
    assert report.sound, text_of(report)
    assert [each for each in report.findings if each.severity is not Severity.NOTICE] == []
    assert (report.size, report.since, len(report.signed_by)) == (ledger.head, [ledger.head], 2)


@pytest.mark.parametrize("name", IN_THE_DATABASE)
def test_an_alteration_in_the_database_is_found_where_it_is(ledger: Ledger, name: str) -> None:
    alter, checks = IN_THE_DATABASE[name]
    position = alter(ledger)
    ledger.bundle(ledger.sources())
    report = ledger.audit()
    for check in checks:
        found(report, check, position)


@pytest.mark.parametrize(
    "name", ["change a minute", "swap two", "insert one in the past", "change a rule set after the fact"]
)
def test_a_history_that_was_rewritten_and_signed_again_is_found(ledger: Ledger, name: str) -> None:
    """The attacker has the key, grows the tree again and rebuilds everything: the auditor's checkpoint is enough."""
    position = IN_THE_DATABASE[name][0](ledger)
    shutil.rmtree(ledger.tiles)
    shutil.rmtree(ledger.folder / "data" / "archive")
    ledger.ledger.archive.bring_up_to_date(ledger.database)
    ledger.bundle(prove(ledger.database, ledger.tiles))
    found(ledger.audit(), Check.GROWTH, position)


def test_a_tail_that_was_cut_off_and_signed_again_is_found(ledger: Ledger) -> None:
    position = truncate_the_tail(ledger)
    shutil.rmtree(ledger.tiles)
    shutil.rmtree(ledger.folder / "data" / "archive")
    execute(ledger, ("DELETE FROM replay.pointer", ()))
    ledger.ledger.archive.bring_up_to_date(ledger.database)
    ledger.bundle(prove(ledger.database, ledger.tiles))
    found(ledger.audit(), Check.GROWTH, position)


def test_several_checkpoints_narrow_the_place(ledger: Ledger) -> None:
    give(ledger.ledger, "register-volunteer", volunteer="V0000008", registered_on="2016-03-05")
    ledger.ledger.catch_up()
    later = prove(ledger.database, ledger.tiles).checkpoint
    position = ledger.head
    values = ('"registered_on":"2016-03-05"', '"registered_on":"2016-03-04"', position)
    execute(ledger, (_CHANGE, values))
    shutil.rmtree(ledger.tiles)
    ledger.bundle(prove(ledger.database, ledger.tiles))
    report = ledger.audit(since=[("first", ledger.kept), ("second", later.encode())])
    (growth,) = report.of(Check.GROWTH)
    assert (growth.first, growth.last, growth.where) == (position, position, "second")


def test_a_bundle_only_grows(ledger: Ledger) -> None:
    """A stick with a bundle is extended, and refused by a log that was rewritten since."""
    ledger.bundle(ledger.sources())
    give(ledger.ledger, "register-volunteer", volunteer="V0000008", registered_on="2016-03-05")
    ledger.ledger.catch_up()
    ledger.bundle(prove(ledger.database, ledger.tiles))
    report = ledger.audit()
    assert report.sound, text_of(report)
    assert read_contents(ledger.stick).checkpoints == (ledger.head - 1, ledger.head)
    change_a_minute(ledger)
    before = {path: path.read_bytes() for path in ledger.stick.rglob("*") if path.is_file()}
    shutil.rmtree(ledger.tiles)
    with pytest.raises(BundleError, match="the history was rewritten"):
        ledger.bundle(prove(ledger.database, ledger.tiles))
    assert {path: path.read_bytes() for path in ledger.stick.rglob("*") if path.is_file()} == before


# --- read models and rules ------------------------------------------------------------------------------------------


SERVED: dict[str, tuple[str, str]] = {
    "hours": (
        "UPDATE {}.volunteer_hours SET credited_minutes = credited_minutes + 60 WHERE volunteer = 'V0000001'",
        "V0000001",
    ),
    "a row left out": ("DELETE FROM {}.volunteer_hours WHERE volunteer = 'V0000001' AND year = 2018", "V0000001, 2018"),
    "a station's day": (
        "UPDATE {}.station_activity SET volunteers = volunteers + 1 WHERE day = '2018-12-02'",
        "2018-12-02",
    ),
    "an honour": ("INSERT INTO {}.honor_standings VALUES ('V0000003', 'star-1', '2018-12-01')", "V0000003"),
    "a project": ("UPDATE {}.project_activity SET credited_minutes = 0 WHERE month = 12", "star-school"),
    "the rules": ("UPDATE replay.generations SET rules_text = replace(rules_text, '480', '490')", "rules.toml"),
}


@pytest.mark.parametrize("name", SERVED)
def test_a_read_model_that_was_changed_is_found(ledger: Ledger, name: str) -> None:
    statement, place = SERVED[name]
    schema = ledger.ledger.current_generation().schema
    execute(ledger, (statement.format(schema), ()))
    ledger.bundle(ledger.sources())
    found(ledger.audit(), Check.READ_MODELS, where=place)


# --- files ----------------------------------------------------------------------------------------------------------


def _segment(ledger: Ledger) -> Path:
    (segment,) = [path for path in (ledger.stick / "archive").iterdir() if path.is_dir()]
    return segment


def _sign_manifest_again(ledger: Ledger) -> None:
    """Write a manifest that agrees with the files as they are."""
    archive = ledger.stick / "archive"
    manifest = read_manifest(archive)
    assert manifest is not None
    segments = []
    for segment in manifest.segments:
        files = {name: digest_of(archive / segment.folder / name) for name in segment.files}
        segments.append(type(segment)(**{**vars(segment), "files": files}))
    write_manifest(archive, Manifest(manifest.ledger, tuple(segments), manifest.edition))


def change_columns(ledger: Ledger) -> tuple[Check, int, str]:
    """Change an instant in the archive, and everything in the archive that would show it; the bytes stay."""
    path = _segment(ledger) / "shift-events.parquet"
    table = pq.read_table(path)
    occurred = table["occurred_at"].to_pylist()
    occurred[1] += 3600
    at = table.schema.get_field_index("occurred_at")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(occurred, pa.uint32())), path)
    _sign_manifest_again(ledger)
    return Check.ARCHIVE, int(table["position"][1].as_py()), "occurred_at"


def replace_a_segment(ledger: Ledger) -> tuple[Check, int, str]:
    """Leave out a row of a segment, under a manifest that agrees with the files."""
    path = _segment(ledger) / "other-events.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(pc.not_equal(table["position"], table["position"][0])), path)
    _sign_manifest_again(ledger)
    return Check.ARCHIVE, 1, "other-events.parquet"


def damage_a_segment(ledger: Ledger) -> tuple[Check, int, str]:
    path = _segment(ledger) / "shifts.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return Check.ARCHIVE, 1, "shifts.parquet"


def remove_the_archive(ledger: Ledger) -> tuple[Check, int, str]:
    shutil.rmtree(ledger.stick / "archive")
    return Check.ARCHIVE, 0, "manifest.json"


def change_an_entry(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = (ledger.stick / "tile" / "entries").rglob(str(ledger.head))
    content = path.read_bytes()
    at = content.index(b'"reason":"left-early"')
    path.write_bytes(content[:at] + b'"reason":"felt-early"' + content[at + 21 :])
    return Check.LEAVES, position_of(ledger, "act-requested.v1"), str(ledger.head)


def cut_an_entry_file(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = (ledger.stick / "tile" / "entries").rglob(str(ledger.head))
    path.write_bytes(path.read_bytes()[:-3])
    return Check.LEAVES, ledger.head, str(ledger.head)


def change_a_tile(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = (ledger.stick / "tile" / "0").rglob(str(ledger.head))
    content = path.read_bytes()
    path.write_bytes(content[:64] + bytes([content[64] ^ 1]) + content[65:])
    return Check.LEAVES, 3, "tile/0"


def sign_with_another_key(ledger: Ledger) -> tuple[Check, int, str]:
    keys = [SigningKey(ORIGIN, SignatureKind.ED25519, bytes([9]) * 32)]
    (ledger.stick / checkpoint_file(ledger.head)).write_bytes(
        prove(ledger.database, ledger.folder / "other-tiles", keys=keys).checkpoint.encode()
    )
    return Check.CHECKPOINT, 0, "no key of this log"


def change_the_root(ledger: Ledger) -> tuple[Check, int, str]:
    path = ledger.stick / checkpoint_file(ledger.head)
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2][:5] + (b"A" if lines[2][5:6] != b"A" else b"B") + lines[2][6:]
    path.write_bytes(b"\n".join(lines))
    return Check.CHECKPOINT, ledger.head, "wrong"


def change_the_contents(ledger: Ledger) -> tuple[Check, int, str]:
    path = ledger.stick / CONTENTS
    fields = json.loads(path.read_text())
    fields["files"] = {name: size + 1 for name, size in fields["files"].items()}
    path.write_text(json.dumps(fields))
    return Check.FILES, 0, "keys.json"


def invent_a_text(ledger: Ledger) -> tuple[Check, int, str]:
    digest = sha256(b"?").hexdigest()
    (path,) = ledger.stick.glob("texts-*.txt")
    path.write_text(path.read_text() + digest + "\n")
    return Check.TEXTS, 0, digest


def change_a_served_table(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = ledger.stick.glob("read-models-*/volunteer_hours.parquet")
    table = pq.read_table(path)
    at = table.schema.get_field_index("credited_minutes")
    pq.write_table(table.set_column(at, "credited_minutes", pc.add(table["credited_minutes"], 1)), path)
    return Check.READ_MODELS, 0, "V0000001"


def change_sealed_hours(ledger: Ledger) -> tuple[Check, int, str]:
    """Add an hour to the total of a volunteer in the entries of the seal."""
    (path,) = ledger.stick.glob("hours-*")
    path.write_bytes(path.read_bytes().replace(b'"year":0,"scanned_minutes":', b'"year":0,"scanned_minutes":6', 1))
    return Check.SEALED_HOURS, 0, "V0000001, all years"


def leave_out_sealed_hours(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = ledger.stick.glob("hours-*")
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
    return Check.SEALED_HOURS, 0, "do not give the root"


def put_garbage_for_the_checkpoint(ledger: Ledger) -> tuple[Check, int, str]:
    (ledger.stick / "checkpoint").write_bytes(b"garbage\n")
    return Check.CHECKPOINT, 0, "checkpoint"


def put_an_older_checkpoint(ledger: Ledger) -> tuple[Check, int, str]:
    """Exchange the file that auditors keep for one that is genuine, but covers less."""
    (ledger.stick / "checkpoint").write_bytes(ledger.kept.replace(b"0", b"1", 1))
    return Check.CHECKPOINT, 0, "not the newest checkpoint"


def remove_the_checkpoint(ledger: Ledger) -> tuple[Check, int, str]:
    (ledger.stick / "checkpoint").unlink()
    return Check.CHECKPOINT, 0, "No such file"


def leave_a_checkpoint_out_of_the_contents(ledger: Ledger) -> tuple[Check, int, str]:
    """An earlier checkpoint of another history lies there, and the table of contents does not name it."""
    other = read_checkpoint(ledger.kept)
    text = other.note.text.replace(f"\n{ledger.head}\n", f"\n{ledger.head - 1}\n")
    (ledger.stick / checkpoint_file(ledger.head - 1)).write_bytes(other._replace(note=Note(text, ())).encode())
    return Check.GROWTH, 0, checkpoint_file(ledger.head - 1)


def exchange_the_ledger_s_id(ledger: Ledger) -> tuple[Check, int, str]:
    (path,) = ledger.stick.glob("read-models-*/replay.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "ledger": str(UUID(int=1))}))
    return Check.READ_MODELS, 0, "another ledger"


def serve_very_many_rows(ledger: Ledger) -> tuple[Check, int, str]:
    """Exchange a table for one of a few kilobytes that would take gigabytes of memory."""
    (path,) = ledger.stick.glob("read-models-*/volunteer_hours.parquet")
    schema = pq.read_schema(path)
    rows = pa.table({field.name: pa.nulls(1_000_000, field.type) for field in schema})
    with pq.ParquetWriter(path, rows.schema) as writer:
        for _ in range(50):
            writer.write_table(rows)
    return Check.READ_MODELS, 0, "50,000,000 rows"


IN_FILES = {
    "serve very many rows": serve_very_many_rows,
    "put garbage for the checkpoint": put_garbage_for_the_checkpoint,
    "put an older checkpoint": put_an_older_checkpoint,
    "remove the checkpoint": remove_the_checkpoint,
    "leave a checkpoint out of the contents": leave_a_checkpoint_out_of_the_contents,
    "exchange the ledger's id": exchange_the_ledger_s_id,
    "change sealed hours": change_sealed_hours,
    "leave out sealed hours": leave_out_sealed_hours,
    "change the archive's columns but not the bytes": change_columns,
    "replace a segment": replace_a_segment,
    "damage a segment": damage_a_segment,
    "remove the archive": remove_the_archive,
    "change an entry": change_an_entry,
    "cut a file of entries": cut_an_entry_file,
    "change a tile": change_a_tile,
    "sign with another key": sign_with_another_key,
    "change the root": change_the_root,
    "change the table of contents": change_the_contents,
    "invent a text": invent_a_text,
    "change a table that was served": change_a_served_table,
}


@pytest.mark.parametrize("name", IN_FILES)
def test_an_alteration_in_the_files_is_found_where_it_is(ledger: Ledger, name: str) -> None:
    ledger.bundle(ledger.sources())
    check, position, place = IN_FILES[name](ledger)
    found(ledger.audit(), check, position, place)


# --- bundles that somebody made so that an audit never ends, or reads or shows what is not in them ------------------


def link_a_device(ledger: Ledger) -> None:
    path = next((ledger.stick / "tile" / "0").rglob(str(ledger.head)))
    path.unlink()
    path.symlink_to("/dev/zero")


def link_a_folder(ledger: Ledger) -> None:
    shutil.rmtree(ledger.stick / "archive")
    (ledger.stick / "archive").symlink_to("/etc")


def put_a_pipe(ledger: Ledger) -> None:
    (ledger.stick / "keys.json").unlink()
    os.mkfifo(ledger.stick / "keys.json")


def stretch(name: str) -> Callable[[Ledger], None]:
    """Return a function that makes a file very long, which takes no room on a disk."""

    def change(ledger: Ledger) -> None:
        path = next(path for path in sorted(ledger.stick.glob(name)) if path.is_file())
        with path.open("ab") as file:
            file.truncate(1 << 40)

    return change


def state_very_many_events(ledger: Ledger) -> None:
    fields = json.loads((ledger.stick / CONTENTS).read_text())
    shutil.copy(ledger.stick / checkpoint_file(fields["size"]), ledger.stick / checkpoint_file(1 << 60))
    (ledger.stick / CONTENTS).write_text(json.dumps({**fields, "size": 1 << 60}))


def name_a_file_outside(name: str) -> Callable[[Ledger], None]:
    def change(ledger: Ledger) -> None:
        fields = json.loads((ledger.stick / CONTENTS).read_text())
        (ledger.stick / CONTENTS).write_text(json.dumps({**fields, "files": {name: 1}}))

    return change


HOSTILE: dict[str, tuple[Callable[[Ledger], None], str]] = {
    "a device in place of a tile": (link_a_device, "is a link, a pipe or a device"),
    "a link to a folder": (link_a_folder, "is a link, a pipe or a device"),
    "a pipe": (put_a_pipe, "is a link, a pipe or a device"),
    "a very long file of events": (stretch("tile/entries/**/*"), "has at most"),
    "a very long tile": (stretch("tile/0/**/*"), "has at most"),
    "a very long checkpoint": (stretch("checkpoint"), "has at most"),
    "a very long list of keys": (stretch("keys.json"), "has at most"),
    "a very long table of contents": (stretch(CONTENTS), "has at most"),
    "very many events": (state_very_many_events, "copy it again"),
    "a file above the folder": (name_a_file_outside("../../passwd"), "damaged"),
    "a file anywhere": (name_a_file_outside("/etc/passwd"), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_that_leads_elsewhere_or_has_no_end_is_refused(ledger: Ledger, name: str) -> None:
    ledger.bundle(ledger.sources())
    change, told = HOSTILE[name]
    change(ledger)
    with pytest.raises(BundleError, match=told):
        ledger.audit()


def test_nothing_is_written_through_the_links_of_a_stick(ledger: Ledger, tmp_path: Path) -> None:
    """A stick is made by whoever hands it over, and the ledger's own user writes to it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    ledger.stick.mkdir()
    for name in ("tile", "archive", "read-models-000000000001", "keys.json"):
        (ledger.stick / name).symlink_to(outside)
        with pytest.raises(BundleError, match="is a link"):
            ledger.bundle(ledger.sources())
        (ledger.stick / name).unlink()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["segments"][0].update(folder="../../.."),
        lambda fields: fields["segments"][0]["files"].update({"../../../x": {"bytes": 1, "sha256": ""}}),
        lambda fields: fields["segments"][0].update(first="x", last=None, parts=[["x", "", ""]]),
        lambda fields: fields.update(segments=[{}]),
    ],
)
def test_an_archive_with_segments_outside_of_it_or_of_nothing_is_not_read(
    ledger: Ledger, change: Callable[[Any], object]
) -> None:
    ledger.bundle(ledger.sources())
    path = ledger.stick / "archive" / "manifest.json"
    fields = json.loads(path.read_text())
    given = fields["sha256"]
    change(fields)
    text = json.dumps(fields, indent=1)
    blank = text.replace(given, "0" * 64, 1)
    path.write_text(text.replace(given, sha256(blank.encode()).hexdigest(), 1))
    found(ledger.audit(), Check.ARCHIVE)


def test_a_report_shows_nothing_that_a_terminal_would_obey(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    path = ledger.stick / CONTENTS
    path.write_text(json.dumps({**json.loads(path.read_text()), "made_at": "\x1b[2J\x1b[HSound\x9b: nothing"}))
    assert all(line.isprintable() for line in text_of(ledger.audit()).splitlines())


def test_another_list_of_keys_in_the_bundle_is_told(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    keys = ledger.stick / "keys.json"
    other = SigningKey(ORIGIN, SignatureKind.ED25519, bytes([9]) * 32)
    keys.write_text(keys.read_text().replace(str(VERIFIER_KEYS[0]), str(other.verifier_key)))
    assert [each.where for each in ledger.audit().of(Check.CHECKPOINT)] == ["keys.json"]


def test_tiles_of_every_level_are_compared(tmp_path: Path) -> None:
    """Also those above the chunks, for which a log would need 65,536 events."""
    size = 600 << 16
    hashes = hashes_of([node.to_bytes(32, "big") for node in range(600)])
    folder = TileFolder(tmp_path)
    above = [tile for tile in tiles(size) if tile.level > 1]
    assert [(tile.level, tile.width) for tile in above] == [(2, 256), (2, 256), (2, 88), (3, 2)]
    for tile in above:
        at = range(tile.number * 256, tile.number * 256 + tile.width)
        folder.write([(tile, b"".join(hashes(tile.level * 8 - 16, index) for index in at))])

    def compared() -> list[str]:
        return [each.where for each in check_tiles_above(tmp_path, size, lambda level, at: hashes(level - 16, at))]

    assert compared() == []
    for tile in above:
        path = tmp_path / tile.path
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"?")
        assert compared() == [tile.path]
        path.unlink()
        assert compared() == [tile.path]
        path.write_bytes(content)


def test_an_old_checkpoint_that_is_shown_again_is_found(ledger: Ledger) -> None:
    """The auditor is shown the bundle of an earlier day, with events missing that the auditor has seen."""
    ledger.bundle(ledger.sources())
    old = ledger.head
    give(ledger.ledger, "register-volunteer", volunteer="V0000008", registered_on="2016-03-05")
    newer = prove(ledger.database, ledger.tiles).checkpoint
    found(ledger.audit(since=[("newer", newer.encode())]), Check.GROWTH, old + 1, "newer")


def test_a_checkpoint_of_the_auditor_s_that_nobody_signed_is_no_proof(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    forged = ledger.kept.replace(f"\n{ledger.head}\n".encode(), f"\n{ledger.head - 1}\n".encode(), 1)
    found(ledger.audit(since=[("forged", forged)]), Check.GROWTH, where="forged")


def test_a_checkpoint_without_the_witnesses_of_the_policy_is_not_trusted(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    witness = SigningKey("witness.example", SignatureKind.ED25519_COSIGNATURE, bytes([7]) * 32)
    lines = [f"log {VERIFIER_KEYS[0]}", f"witness w1 {witness.verifier_key}", "quorum w1", ""]
    request = Request(ledger.stick, Policy.parse("\n".join(lines).encode()), why_unproved, PROGRAM, processes=1)
    found(audit(request._replace(work=ledger.folder / "one")), Check.CHECKPOINT, where="w1")
    checkpoint = read_checkpoint(ledger.kept)
    cosigned = checkpoint.with_signatures([witness.sign(checkpoint.note.text, 1_800_000_000)])
    for name in (checkpoint_file(ledger.head), "checkpoint"):
        (ledger.stick / name).write_bytes(cosigned.encode())
    report = audit(request._replace(work=ledger.folder / "two"))
    assert (report.sound, report.witnesses) == (True, ["witness.example"]), text_of(report)


def test_keys_that_were_rotated_sign_nothing_later(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())
    rotated = PublishedKeys(ORIGIN, (Generation(1, VERIFIER_KEYS, 0, 0, ledger.head - 1),))
    found(ledger.audit(published=rotated), Check.CHECKPOINT, where="do not sign checkpoints of this size")
    still = PublishedKeys(ORIGIN, (Generation(1, VERIFIER_KEYS, 0, 0, ledger.head),))
    assert ledger.audit(published=still).sound


# --- what should not have been accepted -----------------------------------------------------------------------------


def _append(ledger: Ledger, kind: str, key: str, topic: str, version: int, **fields: Any) -> int:
    """Append an event past the program; the tree grows over it as over any other."""
    position = ledger.head + 1
    common = {
        "occurred_at": 1_800_000_000,
        "recorded_at": 1_800_000_000,
        "by": "person:li.wei",
        "command": "/callers/person:li.wei#1",
    }
    state = json.dumps(common | fields, separators=(",", ":")).encode()
    execute(
        ledger,
        (
            _INSERT,
            (stream(kind, key), version, topic, state, position),
        ),
    )
    return position


def append_an_unapproved_balance(ledger: Ledger) -> int:
    fields = {"volunteer": "V0000003", "minutes": 60000, "as_of": "2010-12-31", "evidence": "paper-list"}
    return _append(ledger, "opening-balance", "V0000003", "opening-balance-recorded.v1", 1, **fields)


def append_a_second_registration(ledger: Ledger) -> int:
    fields = {"volunteer": "V0000003", "registered_on": "2010-01-01"}
    return _append(ledger, "volunteer", "V0000003", "volunteer-registered.v1", 2, **fields)


def append_a_scan_of_a_stranger(ledger: Ledger) -> int:
    shift, position = UUID(int=77), ledger.head + 1
    fields = {
        "occurred_at": 1_800_000_000, "recorded_at": 1_800_000_000, "by": "station:C01", "command": "/stations/C01#9",
        "volunteer": "V0000999", "shift": str(shift), "station": "C01",
    }  # fmt: skip
    execute(
        ledger,
        (
            _INSERT,
            (
                shift_stream("V0000999", shift),
                1,
                "checked-in.v1",
                json.dumps(fields, separators=(",", ":")).encode(),
                position,
            ),
        ),
    )
    return position


@pytest.mark.parametrize(
    "append", [append_an_unapproved_balance, append_a_second_registration, append_a_scan_of_a_stranger]
)
def test_an_event_that_was_never_decided_is_found_although_it_is_signed(
    ledger: Ledger, append: Callable[[Ledger], int]
) -> None:
    position = append(ledger)
    ledger.ledger.catch_up()
    ledger.ledger.archive.bring_up_to_date(ledger.database)
    ledger.bundle(prove(ledger.database, ledger.tiles))
    report = ledger.audit()
    found(report, Check.DECISIONS, position)
    assert report.state(Check.GROWTH) == "sound"


# --- an audit itself ------------------------------------------------------------------------------------------------


def test_two_processes_find_the_same_as_one(ledger: Ledger) -> None:
    change_a_minute(ledger)
    ledger.bundle(ledger.sources())
    one, two = ledger.audit(), ledger.audit(processes=2)
    assert one.findings == two.findings
    assert (one.bytes, one.decisions) == (two.bytes, two.decisions)


def test_an_audit_changes_nothing_and_goes_on_after_a_stop(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.bundle(ledger.sources())
    before = {path: path.read_bytes() for path in ledger.stick.rglob("*") if path.is_file()}

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "repeating decisions":
            raise KeyboardInterrupt

    request = Request(ledger.stick, TRUSTED, why_unproved, PROGRAM, processes=1, work=ledger.folder / "work")
    with pytest.raises(KeyboardInterrupt):
        audit(request, stop)
    monkeypatch.setattr("replay.auditing.work.check_chunk", None)  # what was finished is not repeated
    assert audit(request).sound
    assert {path: path.read_bytes() for path in ledger.stick.rglob("*") if path.is_file()} == before
    assert list((ledger.folder / "work").iterdir()) == []


def test_what_lies_in_the_folder_named_for_the_work_stays(ledger: Ledger) -> None:
    """The audit removes its own folder only, whatever its files are called."""
    ledger.bundle(ledger.sources())
    mine = [ledger.folder / "mine" / name for name in ("photo.jpg", "chunk-000000", "archive/1", "later")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (ledger.folder / "mine").chmod(0o700)
    assert ledger.audit(work=ledger.folder / "mine").sound
    assert {path for path in (ledger.folder / "mine").rglob("*") if path.is_file()} == set(mine)
    assert {path.read_text() for path in mine} == {"mine"}
    (ledger.folder / "file").write_text("mine")
    with pytest.raises(WorkError, match="name another with --work"):
        ledger.audit(work=ledger.folder / "file")


def test_what_changed_after_a_stop_is_checked_again(ledger: Ledger) -> None:
    ledger.bundle(ledger.sources())

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "repeating decisions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(Request(ledger.stick, TRUSTED, why_unproved, PROGRAM, processes=1, work=ledger.folder / "work"), stop)
    check, position, place = change_an_entry(ledger)
    found(ledger.audit(), check, position, place)


def test_hours_that_were_changed_before_they_were_sealed_are_found(ledger: Ledger) -> None:
    """The read model was changed, and the checkpoint seals it: signed, and still not what the events give."""
    schema = ledger.ledger.current_generation().schema
    execute(ledger, (f"UPDATE {schema}.volunteer_hours SET scanned_minutes = 6000 WHERE volunteer = 'V0000001'", ()))  # noqa: S608 - a schema of this program
    ledger.bundle(prove(ledger.database, ledger.tiles))
    report = ledger.audit()
    found(report, Check.SEALED_HOURS, where="V0000001, 2018")
    found(report, Check.READ_MODELS, where="V0000001")


def test_the_archive_is_rebuilt_from_the_bytes_alone(ledger: Ledger) -> None:
    """Read models are computed from the entries, so a changed archive cannot agree with a changed read model."""
    schema = ledger.ledger.current_generation().schema
    execute(ledger, (SERVED["hours"][0].format(schema), ()))
    ledger.bundle(ledger.sources())
    change_columns(ledger)
    report = ledger.audit()
    found(report, Check.ARCHIVE, where="occurred_at")
    found(report, Check.READ_MODELS, where="V0000001")
    assert OpenArchive.open_copy(ledger.stick / "archive").position == ledger.head
