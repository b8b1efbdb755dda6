"""The command line `hours`: its commands by name, and how a command ends.

Each command is declared beside what it does, and imported when it is run: `hours --help` must not wait for numba.
Every command prints a table for people, or JSON with `--json`, on standard output; progress and errors go to standard
error. Exit codes: `api/operations/usage_errors.py`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from api.cli.lazy import LazyCommand, lazy_group
from api.operations.ending import leave
from api.operations.interrupts import remember_interrupts
from api.operations.usage_errors import exit_message
from api.operations.version import version

_OPERATIONS, _READERS, _RECORDING = "api.cli.operations", "api.cli.readers", "api.cli.recording"
_PROOF, _SCALING = "api.cli.proof", "api.cli.scaling"

COMMANDS = {
    name: LazyCommand(source, panel, summary)
    for panel, commands in {
        "Serve": {
            "init": (f"{_OPERATIONS}.init:init", "Make a ledger: its rules, and the key of its first administrator."),
            "run": (f"{_OPERATIONS}.serve_options:run", "Serve a demonstration with a small synthetic history."),
            "serve": (f"{_OPERATIONS}.serve_options:serve", "Serve the ledger over HTTP until Ctrl-C."),
            "status": (f"{_OPERATIONS}.status:show_status", "Show how far the read models are and what is wrong."),
        },
        "Record": {
            "post": (f"{_RECORDING}.post:post", "Post a file of events."),
            "import": (f"{_RECORDING}.import_table:import_table", "Import a table of old records by a mapping."),
            "honors": (f"{_RECORDING}.honors:app", "Announce, object to, settle, award and revoke honours."),
            "certificates": (
                f"{_RECORDING}.certificates:app",
                "Issue, show and revoke certificates; write them as files.",
            ),
            "federation": (
                f"{_RECORDING}.federation:app",
                "Show the ledgers of a federation; link a person's numbers.",
            ),
            "erase": (f"{_RECORDING}.erase:erase", "Erase a volunteer's personal data; the hours stay."),
        },
        "Query": {
            "volunteer": (f"{_READERS}.queries:volunteer", "Show a volunteer's hours and honours."),
            "persons": (f"{_READERS}.persons:app", "Look up names and phone numbers; each look-up is recorded."),
            "overview": (f"{_READERS}.overview:overview", "Show what a volunteer sees of their own record."),
            "statement": (f"{_READERS}.statements:statement", "Show what a volunteer served, where, and what counted."),
            "history": (f"{_READERS}.cases:history", "List every act on a volunteer's record."),
            "explain": (f"{_READERS}.explain:explain", "Explain every minute of a volunteer's day."),
            "disputes": (f"{_READERS}.cases:disputes", "List disputes with their due dates."),
            "requests": (f"{_READERS}.cases:requests", "List acts that await another person's approval."),
            "worklist": (f"{_READERS}.worklist:worklist", "List what waits for somebody, by its deadline."),
            "station": (f"{_READERS}.queries:station", "Show a station's activity day by day."),
            "project": (f"{_READERS}.rankings:project", "Show a project's activity by year or month."),
            "organisation": (f"{_READERS}.organisations:app", "Show the organisation tree and its activity."),
            "served": (f"{_READERS}.people_served:served", "Show people served by station, project and day."),
            "standings": (f"{_READERS}.queries:standings", "List who has reached an honour."),
            "ranking": (f"{_READERS}.rankings:ranking", "Show a year's ranking of volunteers or projects."),
            "log": (f"{_READERS}.queries:log", "List the events themselves."),
            "export": (f"{_OPERATIONS}.data:export", "Write computed results to a file."),
        },
        "Rules and replay": {
            "rules": (f"{_OPERATIONS}.rules:app", "Check a rule file; list known rules; put rules in force."),
            "diff": (f"{_READERS}.differences:diff", "Show who gains and who loses between two timelines, and why."),
            "publish": (f"{_OPERATIONS}.generations:publish", "Publish rules and rebuild the read models under them."),
            "rebuild": (
                f"{_OPERATIONS}.generations:rebuild_models",
                "Replay the history and switch to the result.",
            ),
            "replay": (f"{_OPERATIONS}.replay:replay_history", "Replay the whole history under any axes."),
            "facts": (f"{_SCALING}.facts:app", "Divide the facts by person, for replays by many workers."),
            "generations": (f"{_OPERATIONS}.generations:app", "List, switch and drop generations of the read models."),
            "archive": (f"{_OPERATIONS}.archive:app", "Show, verify, rebuild and copy the Parquet archive."),
            "simulate": (f"{_OPERATIONS}.data:simulate", "Fill an empty ledger with a synthetic history."),
        },
        "Audit": {
            "audit": (f"{_PROOF}.audit:app", "Make a bundle for auditors; audit one without a database."),
            "anomalies": (f"{_READERS}.audits:anomalies", "List odd records with their reasons."),
            "spot-check": (f"{_READERS}.audits:spot_check", "Draw a random sample of shifts for field checks."),
            "verify": (f"{_READERS}.verify:verify", "Verify a certificate's file, without the ledger."),
            "signatures": (f"{_OPERATIONS}.signatures:app", "Check who signed an event."),
            "proof": (f"{_PROOF}.proof:proof", "Print the proof that an event is in the log."),
            "checkpoint": (f"{_PROOF}.checkpoint:checkpoint", "Sign a checkpoint of the log now, and print it."),
        },
        "Operate": {
            "keys": (f"{_OPERATIONS}.keys:app", "Make, list and revoke API keys."),
            "signing-keys": (
                f"{_PROOF}.signing_keys:app",
                "Make, list, rotate and back up keys that sign checkpoints.",
            ),
            "backup": (f"{_OPERATIONS}.backup:backup", "Back up everything that cannot be computed again."),
            "warm": (f"{_OPERATIONS}.init:warm_up", "Compile the kernels ahead of their first use."),
            "restore": (f"{_OPERATIONS}.backup:restore", "Restore a ledger from a backup."),
        },
    }.items()
    for name, (source, summary) in commands.items()
}

app = typer.Typer(
    name="hours",
    cls=lazy_group(COMMANDS),
    help="A ledger of volunteer service hours: record events, replay history, ask questions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(*, asked: bool) -> None:
    if asked:
        print("hours", version())
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    *,
    data: Annotated[Path, typer.Option(help="The data directory.", envvar="HOURS_DATA")] = Path("data"),
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Without DATABASE_URL, PostgreSQL runs in the data directory."""
    context.obj = data


def main() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _terminated)
    remember_interrupts()
    leave(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="hours", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(error.format_message(), error.exit_code)
    except typer.Abort:
        return 130
    except Exception as error:
        if (message := exit_message(error)) is None:
            raise
        return _fail(*message)
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    print("hours:", " ".join(sentence.split()), file=sys.stderr)
    return code


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """End as after Ctrl-C: everything that was opened is closed, PostgreSQL too."""
    raise KeyboardInterrupt
