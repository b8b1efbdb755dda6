"""Warming compiles every kernel for the arrays it will meet, so that nothing is compiled while a request waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copy2

from projections.compiled import cache_directory
from tests.support.patience import PATIENCE_SECONDS

PROGRAM = """
import sys
from pathlib import Path
from api.cli.main import execute
from api.operations.warming import warm

def compiled():
    return {path.name for path in Path(sys.argv[1]).rglob("*.nbc")}

warm()
assert not warm()
before = compiled()
assert len(before) > 20
hours = ["--data", sys.argv[2]]
for command in (
    ["init", "--no-rules"],
    ["simulate", "--scale", "0.001"],
    ["volunteer", "V0000001"],
    ["volunteer", "V0000001", "--shifts", "--known-at", "9000"],
    ["station", "C01", "--known-at", "9000", "--valid-at", "2017-01-01"],
    ["standings", "star-1", "--rules", "1"],
    ["explain", "V0000001"],
    ["replay", "--to", sys.argv[2] + "/replayed", "--known-at", "9000"],
    ["status", "--deep"],
    ["diff", "@9000", "current", "--valid-at", "2017-01-01"],
    ["keys", "make", "--role", "staff", "--name", "x"],
    ["rebuild", "--new-facts"],
    ["export", "credits", "--output", sys.argv[2] + "/credits.csv"],
    ["post", sys.argv[3]],
):
    assert execute(hours + command) == 0, command
late = compiled() - before
assert not late, late
"""

EVENTS = """\
{"specversion":"1.0","id":"1","source":"/x","type":"org.service-hours.check-in.v1",\
"data":{"volunteer":"V0000001","station":"C01","occurred_at":"2018-12-04T09:00:00+08:00"}}
{"specversion":"1.0","id":"2","source":"/x","type":"org.service-hours.check-out.v1",\
"data":{"volunteer":"V0000001","station":"C01","occurred_at":"2018-12-04T11:00:00+08:00"}}
"""


def copy_warm_kernels(to: Path) -> None:
    """Copy what warming compiled, if that was done, and nothing that was compiled since."""
    cache = cache_directory()
    if not (cache / "warm").exists():
        return
    warmed = (cache / "warm").stat().st_mtime
    for path in cache.rglob("*"):
        if path.is_file() and (path.suffix != ".nbc" or path.stat().st_mtime <= warmed):
            copied = to / cache.name / path.relative_to(cache)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copy2(path, copied)


def test_nothing_is_left_to_compile_when_kernels_are_warm(database_url: str, tmp_path: Path) -> None:
    kernels, data, events = tmp_path / "kernels", tmp_path / "data", tmp_path / "events.ndjson"
    events.write_text(EVENTS)
    copy_warm_kernels(kernels)
    environment = {**os.environ, "DATABASE_URL": database_url, "HOURS_KERNELS": str(kernels)}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(kernels), str(data), str(events)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert told.returncode == 0, told.stderr
