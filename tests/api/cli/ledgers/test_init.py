"""`hours init` makes a ledger; every other command says that there is none, and creates nothing."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.access.roles import Role
from api.cli.lazy import command_of
from api.cli.main import COMMANDS, execute
from api.operations.service import DEFAULT_RULES, open_ledger
from ledger.store.database import Database, without_password
from ledger.store.tables import NoLedgerError
from replay.published import NoRulesError, published_rules
from tests.support.api.command_line import CommandLine
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, run

pytest_plugins = ["tests.support.api.fixtures"]

MAKERS = {"init", "run", "restore"}
"""Commands that make a ledger: an empty one, a demonstration, and the copy of another."""
WITHOUT_A_LEDGER = {
    "audit verify",
    "facts status",
    "facts verify",
    "federation status",
    "rules check",
    "verify",
    "warm",
}
"""Commands that need none: rules are checked by their text, kernels are those of the program, proofs need a key,
federations archives, and facts nothing else."""

VALUES = {
    "act": "request",
    "award": "a-1",
    "by": "person:keeper",
    "day": "2018-12-04",
    "event": "1",
    "file": "events.ndjson",
    "folder": "new",
    "from_": "2018-01-01",
    "generation": "1",
    "into": "futian.V0000001",
    "path": "federation.toml",
    "honor": "star-1",
    "id": "1",
    "key": "1",
    "mapping": "mapping.toml",
    "name": "x",
    "note": "x",
    "number": "V0000001",
    "organisation": "luohu",
    "outcome": "rejected",
    "output": "credits.csv",
    "position": "1",
    "project": "P1",
    "public_key": "key.pem",
    "ranking": "credited-minutes",
    "reason": "objection-upheld",
    "request": "link-1",
    "role": "staff",
    "rules": "1",
    "seed": "1",
    "size": "5",
    "station": "C01",
    "text": "x",
    "token": "1",
    "volunteer": "V0000001",
    "year": "2018",
}
"""A value for each required argument and option, by its name."""
MORE: dict[str, list[str]] = {
    "archive copy": ["new"],
    "archive status": [],
    "archive verify": [],
    "certificates badge": ["a1", "--output", "badge.json"],
    "certificates export": ["2018-000001", "--output", "certificate.pdf"],
    "certificates issue": ["V0000001", "--from-year", "2018", "--organisation", "luohu"],
    "certificates list": ["--year", "2018"],
    "certificates revoke": ["2018-000001", "--reason", "issued-in-error"],
    "diff": ["1", "2"],
    "erase": ["V0000001"],
    "persons set": ["V0000001", "--name", "Li Wei"],
    "import": ["table.csv", "--mapping", "mapping.toml"],
    "publish": ["rules.toml"],
    "replay": ["--to", "new"],
    "serve": ["--port", "0"],
    "honors announce": ["star-1", "--volunteer", "V0000001"],
    "honors award": ["star-1", "--volunteer", "V0000001"],
}
"""The arguments of commands for which `VALUES` does not suffice."""
FILES = {
    "events.ndjson": "",
    "table.csv": "number\nV0000001\n",
    "rules.toml": DEFAULT_RULES.read_text("utf-8"),
    "mapping.toml": 'source = "/imports/lists"\ncommand = "register-volunteer"\nkey = ["number"]\n'
    '[fields]\nvolunteer = { column = "number" }\nregistered_on = { constant = "2016-03-05" }\n',
}


def leaves() -> dict[str, Any]:
    """Return all commands, those of groups too, by their full names."""
    found: dict[str, Any] = {}

    def add(name: str, command: Any) -> None:
        commands = getattr(command, "commands", None)
        if commands is None or getattr(command, "invoke_without_command", False):
            found[name] = command
        for inner, one in (commands or {}).items():
            add(f"{name} {inner}", one)

    for name, declared in COMMANDS.items():
        add(name, command_of(name, declared))
    return found


def arguments_of(name: str, command: Any) -> list[str]:
    """Return the least with which a command can be run."""
    if name in MORE:
        return MORE[name]
    given: list[str] = []
    for parameter in command.params:
        if parameter.required:
            value = VALUES[parameter.name]
            given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return given


LEAVES = leaves()
OTHERS = sorted(set(LEAVES) - MAKERS - WITHOUT_A_LEDGER)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the files that commands read; and an empty folder for temporary files."""
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    public = Ed25519PrivateKey.generate().public_key()
    (folder / "key.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def schemas_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
        return {name for (name,) in rows}


def ended(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed. A server is run in a process of its own."""
    words = ["--data", str(place / "data"), *name.split(), *arguments_of(name, LEAVES[name])]
    if name == "serve":
        done = run(*HOURS, *words, timeout=PATIENCE_SECONDS)
        return done.returncode, done.stdout, done.stderr
    capsys.readouterr()
    code = execute(words)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_every_command_says_that_a_folder_holds_no_ledger_and_creates_nothing(
    name: str, folder: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = place / "data"
    if folder == "empty":
        data.mkdir()
    before = everything_in(place.parent)
    code, out, err = ended(name, place, capsys)
    assert (code, out) == (2, ""), err
    assert err.startswith(f"hours: no ledger here: {data} holds none; ")
    assert err.count("\n") == 1
    assert "`hours init`" in err
    assert everything_in(place.parent) == before


@pytest.mark.parametrize("name", OTHERS)
def test_every_command_says_that_a_database_holds_no_ledger_and_creates_nothing(
    name: str,
    place: Path,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    before = everything_in(place.parent), schemas_of(database_url)
    code, out, err = ended(name, place, capsys)
    assert (code, out) == (2, ""), err
    assert err.startswith(f"hours: no ledger here: the database {without_password(database_url)} holds none; ")
    assert "correct DATABASE_URL, or make a ledger here with `hours init`" in err
    assert (everything_in(place.parent), schemas_of(database_url)) == before


def test_rules_are_checked_without_a_ledger(
    place: Path, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything_in(place.parent)
    assert execute(["rules", "check", "rules.toml"]) == 0
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert execute(["rules", "check", "rules.toml"]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert (everything_in(place.parent), schemas_of(database_url)) == (before, {"public"})


def test_no_password_is_shown() -> None:
    shown = without_password("postgresql://anna:secret@db.example:5433/hours?sslmode=require&sslpassword=hidden")
    assert shown == "postgresql://anna@db.example:5433/hours?sslmode=require"
    assert without_password("host=db dbname=hours password=secret") == "postgresql://db/hours"


# --- making a ledger ------------------------------------------------------------------------------------------------


def test_a_ledger_is_made_with_rules_and_the_key_of_an_admin(bare: CommandLine, database_url: str) -> None:
    answer = bare("init", "--json").answer
    assert answer["rules"]["version"] == 1
    assert (answer["rules"]["name"], answer["rules"]["time_zone"]) == ("luohu", "Asia/Shanghai")
    assert answer["place"] == f"the database {without_password(database_url)}"
    with open_ledger(bare.data) as ledger:
        assert str(ledger.log.identity()) == answer["ledger"]
        assert published_rules(ledger.log).text == DEFAULT_RULES.read_text("utf-8")
        (key,) = ledger.keys.list()
        assert (key.id, key.role, key.name) == (answer["key"]["id"], Role.ADMIN, "admin")
    assert bare("status", "--json").answer["problems"] == []
    for step in answer["next"]:  # each command exists
        program, *words = shlex.split(step["command"])
        assert program == "curl" or " ".join(words[2:3]) in COMMANDS


def test_rules_time_zone_and_name_are_those_that_were_asked_for(bare: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(DEFAULT_RULES.read_text("utf-8").replace('name = "luohu"', 'name = "own"', 1), "utf-8")
    made = bare("init", "--rules", path, "--time-zone", "Europe/Berlin", "--admin", "li.wei")
    assert made.code == 0, made.err
    assert "Rules: own (version 1). Time zone of local days: Europe/Berlin." in made.out
    assert "admin li.wei; it is not shown again" in made.out
    with open_ledger(bare.data) as ledger:
        text = published_rules(ledger.log).text
    expected = path.read_text("utf-8").replace('time_zone = "Asia/Shanghai"', 'time_zone = "Europe/Berlin"')
    assert text == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rules", "missing.toml"], "missing.toml"),
        (["--time-zone", "Europe/Nowhere"], "Europe/Nowhere"),
        (["--admin", "+8613800138000"], "--admin +8613800138000 is not valid in an event"),
        (["--no-rules", "--time-zone", "Europe/Berlin"], "--no-rules publishes none"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_created(
    bare: CommandLine, database_url: str, options: list[str], sentence: str
) -> None:
    assert sentence in bare("init", *options).sentence
    assert schemas_of(database_url) == {"public"}
    assert not bare.data.exists()


def test_a_ledger_is_made_only_once(bare: CommandLine) -> None:
    assert bare("init").code == 0
    keys = bare("keys", "list", "--json").answer
    told = bare("init").sentence
    assert "holds a ledger already, with 1 events" in told
    assert bare("keys", "list", "--json").answer == keys


def test_a_ledger_without_rules_is_for_those_that_follow(bare: CommandLine, tmp_path: Path) -> None:
    made = bare("init", "--no-rules", "--json").answer
    assert made["rules"] is None
    assert made["next"][0]["command"].endswith("publish FILE")
    assert "holds a ledger already" in bare("init").sentence
    assert "no rules have been published: run `hours publish FILE`" in bare("rebuild").sentence
    served = run(*HOURS, "--data", bare.data, "serve", "--port", "0", timeout=PATIENCE_SECONDS)
    assert (served.returncode, served.stdout) == (2, "")
    assert "no rules have been published: run `hours publish FILE`" in served.stderr
    with open_ledger(bare.data) as ledger, pytest.raises(NoRulesError):
        published_rules(ledger.log)  # serving has published none
    assert bare("publish", DEFAULT_RULES).code == 0


def test_an_init_that_was_stopped_is_continued(bare: CommandLine, database_url: str) -> None:
    Database.open(database_url).close()  # the tables are there
    assert bare("init", "--json").answer["rules"]["version"] == 1


def test_the_data_directory_of_another_ledger_is_refused(
    bare: CommandLine, new_database_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bare("init").code == 0
    other = new_database_url()
    monkeypatch.setenv("DATABASE_URL", other)
    assert "holds the archive of another ledger" in bare("init").sentence
    (bare.data / "postgres").mkdir()
    (bare.data / "postgres" / "PG_VERSION").write_text("18\n")
    assert "holds a ledger with its own database" in bare("init").sentence
    assert schemas_of(other) == {"public"}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with an embedded PostgreSQL and a ledger."""
    data = tmp_path_factory.mktemp("embedded") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        assert execute(["--data", str(data), "init"]) == 0
        yield data


def test_a_ledger_in_the_data_directory_is_found_and_not_made_again(
    embedded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hours = CommandLine(embedded, capsys)
    assert hours("status", "--json").answer["head"] == 1
    assert f"{embedded} holds a ledger already" in hours("init").sentence


def test_a_database_in_the_data_directory_without_a_ledger_is_told(
    embedded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hours = CommandLine(embedded, capsys)
    with open_ledger(embedded) as ledger, psycopg.connect(ledger.database.url, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA ledger RENAME TO aside")
        try:
            assert f"no ledger here: {embedded} holds none" in hours("status").sentence
            with pytest.raises(NoLedgerError), open_ledger(embedded):
                pass
        finally:
            connection.execute("ALTER SCHEMA aside RENAME TO ledger")
    assert json.loads(hours("status", "--json").out)["head"] == 1
