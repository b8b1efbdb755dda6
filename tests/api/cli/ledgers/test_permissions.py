"""What a ledger holds is readable for its user alone, whatever their umask; exports follow the umask."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from api.cli.main import execute
from api.messages.cloud_events import event_type
from replay.durable import way_out
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import ROOT, Program, run

UMASKS = (0o022, 0o007)
START = "import os; os.umask({umask:#o}); from api.cli.main import main; main()"
EVENTS = (
    ("open-station", {"station": "C01", "kind": "city", "occurred_at": "2016-01-01T09:00:00+08:00"}),
    ("register-volunteer", {"volunteer": "V0000001", "registered_on": "2016-03-05"}),
    ("check-in", {"volunteer": "V0000001", "station": "C01", "occurred_at": "2018-12-01T09:00:00+08:00"}),
    ("check-out", {"volunteer": "V0000001", "station": "C01", "occurred_at": "2018-12-01T12:00:00+08:00"}),
)
MAPPING = """
command = "register-volunteer"
source = "/imports/list"
key = "number"
[fields]
volunteer = "number"
registered_on = "day"
"""
TOUR = (
    ("init", "--admin", "li.wei"),
    ("post", "{inputs}/places.ndjson", "--by", "person:li.wei"),
    ("post", "{inputs}/scans.ndjson", "--by", "station:C01"),
    ("keys", "make", "--role", "station", "--name", "C01"),
    ("rebuild",),
    ("archive", "rebuild"),
    ("archive", "copy", "{private}/copy"),
    ("backup", "{private}/backup"),
    ("import", "{inputs}/list.csv", "--mapping", "{inputs}/list.toml", "--report", "{exports}/report.csv"),
    ("import", "{inputs}/list.csv", "--mapping", "{inputs}/list.toml", "--to-events", "{exports}/events.ndjson"),
    ("export", "credits", "--output", "{exports}/credits.csv"),
    ("replay", "--to", "{exports}/replay"),
    ("statement", "V0000001", "--from", "2018-12-01", "--to", "2018-12-31", "--output", "{exports}/statement.html"),
)
"""Commands that write files: those of the ledger in `private`, and exports."""


@pytest.mark.parametrize("umask", UMASKS)
def test_every_file_of_a_ledger_is_its_users_and_exports_follow_the_umask(umask: int, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("inputs", "private", "exports")}
    for folder in folders.values():
        folder.mkdir(0o755)
    events = [
        {"specversion": "1.0", "id": str(number), "source": "/stations/C01", "type": event_type(command), "data": data}
        for number, (command, data) in enumerate(EVENTS)
    ]
    for name, chosen in (("places", events[:2]), ("scans", events[2:])):
        (folders["inputs"] / f"{name}.ndjson").write_text("".join(json.dumps(event) + "\n" for event in chosen))
    (folders["inputs"] / "list.csv").write_text("number,day\nV0000002,2016-03-05\n")
    (folders["inputs"] / "list.toml").write_text(MAPPING)
    data = folders["private"] / "data"
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    program = ("-c", START.format(umask=umask), "--data", data)
    for command in TOUR:
        done = run(*program, *(part.format(**folders) for part in command), environment=environment, folder=ROOT)
        assert done.returncode == 0, (command, done.stderr)
    with Program(*program, "serve", "--port", "0", "--json", environment=environment) as process:
        process.read_object()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0

    private = modes(folders["private"])
    assert {"manifest.json", "proof.json", "postgresql.conf"} <= {path.name for path in private}
    assert {str(path): oct(mode) for path, mode in private.items() if mode & 0o077} == {}
    exports = modes(folders["exports"])
    assert len(exports) > 5
    wrong = {path: mode for path, mode in exports.items() if mode != (0o777 if path.is_dir() else 0o666) & ~umask}
    assert {str(path): oct(mode) for path, mode in wrong.items()} == {}


def modes(folder: Path) -> dict[Path, int]:
    """Return the permissions of everything in a folder."""
    return {path: stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*") if not path.is_symlink()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write among the files of another user")
@pytest.mark.parametrize("part", [".", "proof", "tiles", "archive"])
@pytest.mark.parametrize(
    "command", ["init", "serve", "run", "status", "checkpoint", "backup copy", "signing-keys rotate", "rebuild"]
)
def test_root_writes_nothing_among_the_files_of_another_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, part: str
) -> None:
    (tmp_path / part).mkdir(exist_ok=True)
    shutil.chown(tmp_path / part, "nobody")
    before = sorted(tmp_path.rglob("*"))
    assert execute(["--data", str(tmp_path), *command.split()]) == 2
    assert "belongs to nobody, and files of root in it would stop the service" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_the_system_forbids_is_told_with_its_owner() -> None:
    denied = PermissionError(13, "Permission denied", "/")
    other = ValueError("it cannot be read")
    other.__cause__ = denied
    for error in (denied, other):
        told = way_out(error, "restore it from a backup")
        assert told.startswith("it belongs to root, and this runs as ")
        assert "`chown`" in told
    assert way_out(FileNotFoundError(2, "No such file"), "restore it") == "restore it"
