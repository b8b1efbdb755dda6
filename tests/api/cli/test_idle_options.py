"""An option that does nothing is refused, in every command; and no command replaces a file that it was not told to."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from api.cli.lazy import command_of
from api.cli.main import COMMANDS
from tests.support.api.command_line import CommandLine

pytest_plugins = ["tests.support.api.fixtures"]

IDLE: dict[tuple[str, str], list[str]] = {
    ("volunteer", "--from"): ["volunteer", "V0000001", "--from", "2018-01-01"],
    ("volunteer", "--to"): ["volunteer", "V0000001", "--to", "2018-01-01"],
    ("explain", "--limit"): ["explain", "V0000001", "--day", "2018-12-01", "--limit", "30"],
    ("explain", "--before"): ["explain", "V0000001", "--day", "2018-12-01", "--before", "2018-12-01"],
    ("statement", "--force"): ["statement", "V0000001", "--force"],
    ("spot-check", "--force"): ["spot-check", "--seed", "7", "--size", "3", "--force"],
    ("diff", "--force"): ["diff", "current", "1", "--force"],
    ("organisation list", "--rules"): ["organisation", "list", "--rules", "1"],
    ("organisation show", "--rules"): ["organisation", "show", "luohu", "--rules", "1"],
    ("served", "--rules"): ["served", "--rules", "1"],
    ("honors list", "--rules"): ["honors", "list", "--rules", "1"],
    ("honors eligible", "--year"): ["honors", "eligible", "star-1", "--year", "2018"],
    ("honors announce", "--limit"): ["honors", "announce", "star-1", "--volunteer", "V0000001", "--limit", "5"],
    ("honors award", "--limit"): ["honors", "award", "star-1", "--volunteer", "V0000001", "--limit", "5"],
    ("statement", "--by"): ["statement", "V0000001", "--by", "person:anna"],
    ("audit verify", "--force"): ["audit", "verify", "stick", "--force"],
    ("checkpoint", "--force"): ["checkpoint", "--force"],
    ("proof", "--force"): ["proof", "1", "--force"],
    ("rebuild", "--change-time-zone"): ["rebuild", "--change-time-zone"],
    ("facts build", "--known-at"): ["facts", "build", "a", "--known-at", "2018-12-01"],
    ("facts build", "--without-unreachable"): ["facts", "build", "a", "--without-unreachable"],
    ("replay", "--workers"): ["replay", "--to", "a", "--workers", "2"],
    ("replay", "--cluster"): ["replay", "--to", "a", "--cluster", "tcp://127.0.0.1:8786"],
    ("replay", "--heads"): ["replay", "--to", "a", "--heads", "replay.json"],
    ("replay", "--without-unreachable"): ["replay", "--to", "a", "--without-unreachable"],
    ("replay", "--overwrite"): ["replay", "--generation", "--overwrite"],
    ("backup", "--key"): ["backup", "elsewhere", "--verify", "--unauthenticated", "--key", "key.json"],
    ("restore", "--key"): ["restore", "elsewhere", "--unauthenticated", "--key", "key.json"],
    ("archive verify", "--with-log"): ["archive", "verify", "--with-log"],
    ("import", "--by"): ["import", "shifts.csv", "--to-events", "events.ndjson", "--by", "person:anna"],
    ("import", "--force"): ["import", "shifts.csv", "--force"],
}
"""Options that some mode of a command does not read, with an example of it."""

OTHERWISE_REFUSED: dict[tuple[str, str], tuple[list[str], str]] = {
    ("import", "--sheet"): (["import", "shifts.csv", "--sheet", "2015"], "is for Excel files"),
    ("import", "--dry-run"): (
        ["import", "shifts.csv", "--to-events", "events.ndjson", "--dry-run"],
        "leave out --dry-run",
    ),
    ("replay", "--facts"): (["replay", "--generation", "--facts", "a"], "leave one of them out"),
    ("facts build", "--archive"): (
        ["facts", "build", "new", "--archive", "a", "--federation", "b"],
        "leave one of them out",
    ),
    ("facts build", "--federation"): (
        ["facts", "build", "new", "--federation", "a", "--archive", "b"],
        "leave one of them out",
    ),
    ("replay", "--federation"): (["replay", "--generation", "--federation", "a"], "leave one of them out"),
    ("replay", "--archive"): (["replay", "--generation", "--archive", "a"], "leave one of them out"),
    ("replay", "--generation"): (["replay", "--generation", "--to", "a"], "name one target"),
    ("backup", "--against"): (["backup", "elsewhere", "--against", "a"], "add --verify"),
    ("backup", "--unauthenticated"): (["backup", "elsewhere", "--unauthenticated"], "belongs to --verify"),
    ("erase", "--event"): (["erase", "V0000001", "--event", "3"], "name a volunteer number, or an event"),
    ("init", "--no-rules"): (["init", "--no-rules", "--time-zone", "Asia/Shanghai"], "leave out --rules"),
    ("keys make", "--imports"): (
        ["keys", "make", "--role", "corrector", "--name", "li", "--imports", "/imports/a"],
        "go together",
    ),
    ("keys make", "--import-until"): (
        ["keys", "make", "--role", "corrector", "--name", "li", "--import-until", "2030-01-01"],
        "go together",
    ),
    ("keys make", "--volunteer"): (
        ["keys", "make", "--role", "volunteer", "--name", "V0000001", "--volunteer", "V0000001"],
        "is for staff keys",
    ),
    ("honors announce", "--volunteer"): (
        ["honors", "announce", "star-1", "--volunteer", "V0000001", "--all-eligible"],
        "name exactly one",
    ),
    ("honors announce", "--year"): (
        ["honors", "announce", "star-1", "--volunteer", "V0000001", "--year", "2018"],
        "year",
    ),
}

READ: dict[str, str] = {
    "init": "--rules --time-zone --admin --origin --json",
    "run": "--port --host --json",
    "serve": "--port --host --per-second --signed-within --drain-seconds --connections --log-format --log-level "
    "--log-requests --checkpoint-seconds --log-policy --json",
    "status": "--deep --json",
    "post": "--by --imported --json",
    "import": "--mapping --report --refused --stop-after --to-events --json",
    "honors announce": "--project --all-eligible --by --dry-run --json",
    "honors award": "--volunteer --project --all-due --year --awarded-on --by --dry-run --json",
    "honors eligible": "--limit --after --valid-at --known-at --rules --json",
    "honors list": "--honor --year --for --state --limit --after --valid-at --known-at --json",
    "honors notices": "--limit --after --valid-at --known-at --json",
    "honors object": "--reason --text --expected-version --by --json",
    "honors revoke": "--reason --expected-version --by --json",
    "honors settle": "--objection --outcome --reason --text --expected-version --by --json",
    "honors show": "--as-given --known-at --json",
    "honors undercut": "--honor --year --for --limit --after --valid-at --known-at --rules --json",
    "certificates badge": "--output --force",
    "certificates export": "--output --address --without --force",
    "certificates issue": "--from-year --to-year --organisation --with-name --id-type --id-number --content "
    "--in-charge --handler --contact --remarks --by --json",
    "certificates key": "--json",
    "certificates list": "--volunteer --year --after --limit --json",
    "certificates revoke": "--reason --by --json",
    "certificates show": "--json",
    "verify": "--key --policy --ask --signature-alone --json",
    "erase": "--yes --json",
    "volunteer": "--shifts --valid-at --known-at --rules --json",
    "persons find": "--in --exact --limit --by --json",
    "persons look-ups": "--volunteer --actor --limit --before --json",
    "persons set": "--name --phone --email --by --json",
    "persons show": "--by --json",
    "overview": "--valid-at --known-at --rules --json",
    "statement": "--from --to --output --with-name --valid-at --known-at --rules --json",
    "history": "--after --limit --valid-at --known-at --rules --json",
    "explain": "--day --valid-at --known-at --rules --json",
    "disputes": "--state --overdue --station --volunteer --after --limit --valid-at --known-at --json",
    "requests": "--state --volunteer --after --limit --known-at --json",
    "worklist": "--kind --station --organisation --volunteer --overdue --after --limit --valid-at --known-at --rules "
    "--json",
    "station": "--from --to --valid-at --known-at --rules --json",
    "project": "--year --valid-at --known-at --rules --json",
    "organisation activity": "--year --projects --valid-at --known-at --rules --json",
    "organisation list": "--valid-at --known-at --json",
    "organisation members": "--year --limit --after --valid-at --known-at --rules --json",
    "organisation show": "--valid-at --known-at --json",
    "served": "--station --project --organisation --from --to --limit --after --valid-at --known-at --json",
    "standings": "--limit --after --valid-at --known-at --rules --json",
    "ranking": "--year --place --limit --valid-at --known-at --rules --json",
    "log": "--after --limit --known-at --json",
    "export credits": "--output --force --volunteer --year --organisation --format --valid-at --known-at --rules "
    "--json",
    "checkpoint": "--output --verify --json",
    "proof": "--output --json",
    "signing-keys backup": "--passphrase-file --force --json",
    "signing-keys list": "--json",
    "signing-keys make": "--origin --json",
    "signing-keys restore": "--passphrase-file --json",
    "signing-keys rotate": "--stolen --json",
    "audit bundle": "--since --json",
    "audit verify": "--key --policy --since --output --processes --work --json",
    "rules check": "--json",
    "rules history": "--json",
    "rules list": "--json",
    "rules put-in-force": "--reason --text --by --change-time-zone --json",
    "rules show": "--json",
    "diff": "--valid-at --as-if-from --limit --to --json",
    "publish": "--later --change-time-zone --json",
    "rebuild": "--rules --new-archive --new-facts --archive-anew --facts-anew --json",
    "replay": "--to --valid-at --known-at --rules --json",
    "facts build": "--partitions --json",
    "facts status": "--json",
    "facts verify": "--json",
    "federation approve": "--by --json",
    "federation link": "--reason --by --json",
    "federation status": "--json",
    "federation unlink": "--reason --by --json",
    "generations": "--json",
    "generations drop": "--json",
    "generations switch": "--reason --by --change-time-zone --json",
    "archive copy": "--json",
    "archive rebuild": "--replace-disagreeing --json",
    "archive status": "--json",
    "archive verify": "--json",
    "simulate": "--scale --seed --json",
    "anomalies": "--kind --station --volunteer --actor --from --to --limit --after --valid-at --known-at --rules "
    "--json",
    "spot-check": "--seed --size --station --grade --strata --from --to --output --valid-at --known-at --rules --json",
    "signatures check": "--json",
    "keys list": "--json",
    "keys make": "--role --name --days --per-second --link --json",
    "keys revoke": "--json",
    "keys sign-with": "--required --json",
    "backup": "--verify --json",
    "restore": "--unauthenticated --new-log --json",
    "warm": "--json",
}
"""Options that every mode of a command reads. Whoever adds one says here, or above, whether that is so."""


def options() -> dict[str, set[str]]:
    """Return the options of every command."""

    def walk(command: Any, path: list[str]) -> None:
        subcommands = getattr(command, "commands", {})
        for name, subcommand in subcommands.items():
            walk(subcommand, [*path, name])
        if subcommands and not command.invoke_without_command:
            return
        found[" ".join(path)] = {
            parameter.opts[0]
            for parameter in command.params
            if parameter.param_type_name == "option" and parameter.name != "help"
        }

    found: dict[str, set[str]] = {}
    for name, command in COMMANDS.items():
        walk(command_of(name, command), [name])
    return found


def test_of_every_option_of_every_command_it_is_known_whether_it_can_do_nothing() -> None:
    known: dict[str, set[str]] = {command: set(text.split()) for command, text in READ.items()}
    for command, option in (*IDLE, *OTHERWISE_REFUSED):
        known.setdefault(command, set()).add(option)
    found = options()
    differing = {command: found[command] ^ known.get(command, set()) for command in found}
    assert {command: names for command, names in differing.items() if names} == {}
    assert set(known) <= set(found)


def test_an_option_that_does_nothing_is_refused(
    reads: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shifts.csv").write_text("a\n1\n")
    for (command, option), arguments in IDLE.items():
        sentence = reads(*arguments).sentence
        assert sentence.startswith(f"{option} has no effect "), (command, sentence)
        assert sentence.endswith("; leave it out"), (command, sentence)
    for (command, option), (arguments, sentence) in OTHERWISE_REFUSED.items():
        assert sentence in reads(*arguments).sentence, (command, option)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shifts.csv"]


def test_the_same_options_are_read_where_they_have_an_effect(reads: CommandLine) -> None:
    assert reads("volunteer", "V0000001", "--shifts", "--from", "2018-12-02", "--json").answer["shifts"]
    assert reads("explain", "V0000001", "--limit", 1, "--json").answer["days"]


# --- files ----------------------------------------------------------------------------------------------------------

WRITING: dict[str, list[object]] = {
    "statement.csv": ["statement", "V0000001", "--output"],
    "statement.xlsx": ["statement", "V0000001", "--output"],
    "statement.html": ["statement", "V0000001", "--output"],
    "sample.csv": ["spot-check", "--seed", "7", "--size", 3, "--output"],
    "credits.csv": ["export", "credits", "--output"],
    "credits.parquet": ["export", "credits", "--format", "parquet", "--output"],
    "diff.csv": ["diff", "current", "1", "--to"],
    "diff.json": ["diff", "current", "1", "--to"],
}


@pytest.mark.parametrize("name", WRITING)
def test_no_file_is_replaced_unless_told_so(reads: CommandLine, tmp_path: Path, name: str) -> None:
    path, option = tmp_path / name, str(WRITING[name][-1])
    path.write_text("mine")
    refused = reads(*WRITING[name], path)
    assert refused.sentence == f"{option} {path} exists; name another file, or replace it with --force"
    assert path.read_text() == "mine"
    assert reads(*WRITING[name], path, "--force").code == 0
    assert path.read_bytes() != b"mine"
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    if name.endswith(".csv"):
        assert "is a folder; name a file" in reads(*WRITING[name], folder, "--force").sentence
    assert reads(*WRITING[name], tmp_path / f"new-{name}").code == 0


SHIFTS = """
command = "attest-shift"
source = "/imports/lists"
key = ["no"]
time_zone = "Asia/Shanghai"

[fields]
volunteer = { column = "volunteer" }
station = { constant = "C01" }
check_in = { column = "from" }
check_out = { column = "to" }
evidence = { constant = "paper-list" }
"""


@pytest.mark.parametrize("option", ["--report", "--refused", "--to-events"])
def test_an_import_replaces_no_file_unless_told_so(reads: CommandLine, tmp_path: Path, option: str) -> None:
    table, mapping, path = tmp_path / "shifts.csv", tmp_path / "shifts.toml", tmp_path / "written.csv"
    mapping.write_text(SHIFTS)
    table.write_text("no,volunteer,from,to\n1,V9999999,2015-01-01 09:00,2015-01-01 10:00\n")
    path.write_text("mine")
    arguments = ["import", table, "--mapping", mapping, option, path]
    arguments += [] if option == "--to-events" else ["--dry-run"]
    assert "name another file, or replace it with --force" in reads(*arguments).sentence
    assert path.read_text() == "mine"
    assert reads(*arguments, "--force").code in {0, 1}
    assert path.read_text() != "mine"


# --- export credits -------------------------------------------------------------------------------------------------


def pieces(hours: CommandLine, path: Path, *filters: object) -> list[dict[str, str]]:
    assert hours("export", "credits", "--output", path, "--force", *filters).code == 0
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def test_credits_are_exported_of_a_volunteer_a_year_and_an_organisation(reads: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "credits.csv"
    whole = pieces(reads, path)
    assert {row["volunteer"] for row in whole} == {"V0000001", "V0000002"}
    own = pieces(reads, path, "--volunteer", "V0000001")
    assert own == [row for row in whole if row["volunteer"] == "V0000001"]
    total = reads("volunteer", "V0000001", "--json").answer["total"]["credited_minutes"]
    assert sum(int(row["credited_minutes"]) for row in own) == total
    assert pieces(reads, path, "--year", 2018) == whole
    assert pieces(reads, path, "--year", 2017) == []
    assert pieces(reads, path, "--organisation", "luohu") == whole  # above that of the station
    assert pieces(reads, path, "--organisation", "fed-01", "--volunteer", "V0000002", "--year", 2018) == [
        row for row in whole if row["volunteer"] == "V0000002"
    ]
    for filters, sentence in (
        (("--volunteer", "V9"), "volunteer V9 is not known to the ledger"),
        (("--organisation", "nowhere"), "organisation nowhere is not known to the ledger"),
    ):
        assert sentence in reads("export", "credits", "--output", path, "--force", *filters).sentence
