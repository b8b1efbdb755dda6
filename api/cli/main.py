"""The command line `hours`: what each command takes. What it does is in the folders beside this module.

Every command prints a table for people, or with `--json` JSON for machines, on standard output; progress and mistakes
go to standard error. Exit codes: `api/operations/usage_errors.py`.
"""

# ruff: noqa: PLC0415 - each command imports what it needs when it runs: `hours --help` must not wait for numba

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from api.cli.groups import archive, generations, keys, rules, signatures
from api.cli.honors_group import app as honors
from api.cli.options import AxesTexts, First, Json, KnownAt, Last, ValidAt, data_of, with_axes
from api.cli.organisation_group import organisation
from api.operations.interrupts import remember_interrupts
from api.operations.logs import LogFormat, LogLevel, LogSettings
from api.operations.memory import return_freed_memory
from api.operations.usage_errors import exit_message

app = typer.Typer(
    name="hours",
    help="A ledger of volunteer service hours: post events, replay history, ask.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
export = typer.Typer(help="Write what was computed to a file.", no_args_is_help=True)
for name, group in {
    "keys": keys,
    "export": export,
    "generations": generations,
    "archive": archive,
    "rules": rules,
    "signatures": signatures,
    "honors": honors,
    "organisation": organisation,
}.items():
    app.add_typer(group, name=name)

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 chooses a free one.")]
Host = Annotated[str, typer.Option(help="The address to listen at.")]
After = Annotated[int, typer.Option(min=0, help="Continue behind this position.")]


@app.callback()
def _globals(
    context: typer.Context,
    *,
    data: Annotated[Path, typer.Option(help="The data directory.", envvar="HOURS_DATA")] = Path("data"),
) -> None:
    """Without DATABASE_URL, PostgreSQL runs in the data directory."""
    context.obj = data


@app.command()
def run(context: typer.Context, *, port: Port = 8000, host: Host = "127.0.0.1", json: Json = False) -> None:
    """Serve a demonstration: a synthetic history at a hundredth of Luohu, made at the first start."""
    return_freed_memory()
    from api.cli.operations.serve import demonstrate

    demonstrate(data_of(context), host, port, as_json=json)


@app.command()
def serve(
    context: typer.Context,
    *,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    per_second: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Requests a second of a key without a limit of its own.")
    ] = 10_000,
    signed_within: Annotated[
        int, typer.Option(min=1, max=86_400, help="How many seconds old the signature of a request may be.")
    ] = 300,
    drain_seconds: Annotated[
        int, typer.Option(min=0, max=3_600, help="How long requests under way may take to end after SIGTERM.")
    ] = 10,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="By default text on a terminal, else a JSON object a line.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="debug also tells each commit.")] = LogLevel.INFO,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="A line for each request, not only for failed and slow ones.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve the ledger over HTTP, until Ctrl-C; its log goes to standard error."""
    return_freed_memory()
    from api.cli.operations.serve import serve

    log = LogSettings(log_format, log_level, log_requests)
    serve(
        data_of(context),
        host,
        port,
        log,
        per_second=per_second,
        signed_within=signed_within,
        drain_seconds=drain_seconds,
        as_json=json,
    )


@app.command()
def simulate(
    context: typer.Context,
    *,
    scale: Annotated[float, typer.Option(help="1.0 is Luohu at the end of 2018.")] = 0.01,
    seed: Annotated[int, typer.Option(help="The same seed gives the same history.")] = 1,
    json: Json = False,
) -> None:
    """Fill an empty ledger with a synthetic history; one that was interrupted is continued."""
    from api.cli.operations.data import simulate

    simulate(data_of(context), scale, seed, as_json=json)


@app.command()
def post(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object a line; - is standard input.")],
    *,
    by: Annotated[str, typer.Option(help="Who posts: person:NAME, station:ID or system:NAME.")] = "person:keeper",
    imported: Annotated[bool, typer.Option("--imported", help="Old records: none of them is late.")] = False,
    json: Json = False,
) -> int:
    """Post a file of events. What is there already is not entered twice, so a file may be posted again."""
    from api.cli.recording.post import post

    return post(data_of(context), file, by, imported=imported, as_json=json)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Old records: .csv or .xlsx.")],
    *,
    mapping: Annotated[Path | None, typer.Option(help="What each line becomes: TOML; see docs/import.md.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of an Excel file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record nothing: say what would become of it.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write what became of each line, as CSV.")] = None,
    refused: Annotated[Path | None, typer.Option(help="Write the refused lines, to be mended and imported.")] = None,
    stop_after: Annotated[int | None, typer.Option(min=1, help="Stop when so many lines were refused.")] = None,
    by: Annotated[str, typer.Option(help="Who imports: person:NAME or system:NAME.")] = "person:keeper",
    to_events: Annotated[
        Path | None, typer.Option("--to-events", help="Record nothing: write CloudEvents, to be posted over HTTP.")
    ] = None,
    json: Json = False,
) -> int:
    """Import a table of old records by a mapping. It can be stopped and run again: nothing is entered twice."""
    from api.cli.recording.import_table import ImportOptions, import_table

    asked = ImportOptions(file, mapping, by, sheet, dry_run, report, refused, stop_after, to_events)
    return import_table(data_of(context), asked, as_json=json)


@app.command()
def rebuild(
    context: typer.Context,
    *,
    rules: Annotated[Path | None, typer.Option(help="Publish this rule timeline first, if it is a new one.")] = None,
    archive_anew: Annotated[
        bool, typer.Option("--archive-anew", help="Read the whole log into a new archive.")
    ] = False,
    facts_anew: Annotated[bool, typer.Option("--facts-anew", help="Make the shifts anew, too.")] = False,
    json: Json = False,
) -> None:
    """Replay the whole history and let the result answer."""
    from api.cli.operations.generations import rebuild_models

    rebuild_models(data_of(context), rules, archive_anew=archive_anew, facts_anew=facts_anew, as_json=json)


@app.command()
def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The rule timeline, as TOML.")],
    *,
    json: Json = False,
) -> None:
    """Publish rules, replay the whole history under them, and let the result answer."""
    from api.cli.operations.generations import publish

    publish(data_of(context), file, as_json=json)


@app.command()
@with_axes
def replay(
    context: typer.Context,
    *,
    to: Annotated[Path | None, typer.Option(help="Write Parquet to this folder, which is made.")] = None,
    generation: Annotated[
        bool, typer.Option("--generation", help="Build a generation beside the one that answers, instead.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Replay this archive, a copy for example; no database is needed.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the replay that is in the folder.")] = False,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Replay the whole history under any axes, to Parquet or to a new generation."""
    from api.cli.operations.replay import replay_history

    replay_history(data_of(context), to, archive, axes, overwrite=overwrite, generation=generation, as_json=json)


@app.command()
@with_axes
def volunteer(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    shifts: Annotated[bool, typer.Option("--shifts", help="Each shift with its trace, instead.")] = False,
    first: First = None,
    last: Last = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """A volunteer's hours and honours."""
    from api.cli.readers.queries import volunteer

    period = (first, last) if shifts else None
    volunteer(data_of(context), number, period, axes, as_json=json)


@app.command()
@with_axes
def history(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Acts at most.")] = 50,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """All that was done to a volunteer's record: who, when and why, before and after."""
    from api.cli.readers.cases import history

    history(data_of(context), number, (after, limit), axes, as_json=json)


@app.command()
def disputes(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="open, answered or settled.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that are late.")] = False,
    station: Annotated[str | None, typer.Option(help="Only about shifts of this station.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Disputes at most.")] = 50,
    valid_at: ValidAt = None,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """Disputes with their due dates."""
    from api.cli.readers.cases import disputes

    texts = (valid_at, known_at, None)
    disputes(data_of(context), state, (station, volunteer), (after, limit), texts, overdue=overdue, as_json=json)


@app.command()
def requests(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="open, approved, declined or withdrawn.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Requests at most.")] = 50,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """Acts that somebody asks for and another is to approve."""
    from api.cli.readers.cases import requests

    requests(data_of(context), state, volunteer, (after, limit), (None, known_at, None), as_json=json)


@app.command()
@with_axes
def explain(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    day: Annotated[str | None, typer.Option(help="The day to explain; without it, the days in brief.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Days in brief at most.")] = 30,
    before: Annotated[str | None, typer.Option(help="Days in brief before this one.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Every minute of a volunteer's day: which rule took or gave it, and the events behind it."""
    from api.cli.readers.explain import explain

    explain(data_of(context), number, day, limit, before, axes, as_json=json)


@app.command()
@with_axes
def station(
    context: typer.Context,
    station: Annotated[str, typer.Argument(help="The station's id.")],
    *,
    first: First = None,
    last: Last = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """What went on at a station, day by day; by default in the last thirty days of its service."""
    from api.cli.readers.queries import station as show

    show(data_of(context), station, (first, last), axes, as_json=json)


@app.command()
@with_axes
def standings(
    context: typer.Context,
    honor: Annotated[str, typer.Argument(help="The honour's id.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 20,
    after: Annotated[str | None, typer.Option(help="Continue behind this: DATE/VOLUNTEER.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Who has reached an honour."""
    from api.cli.readers.queries import standings

    standings(data_of(context), honor, limit, after, axes, as_json=json)


@app.command()
@with_axes
def ranking(
    context: typer.Context,
    ranking: Annotated[str, typer.Argument(help="The ranking's id.")],
    *,
    year: Annotated[int | None, typer.Option(min=2000, max=2100, help="By default the latest.")] = None,
    place: Annotated[int, typer.Option(min=1, help="The rank to begin with.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, max=100_000, help="By default as many as places.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """The first of a year: volunteers or projects, by rank."""
    from api.cli.readers.rankings import ranking as show

    show(data_of(context), ranking, year, (place, limit), axes, as_json=json)


@app.command()
@with_axes
def project(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="The project's id.")],
    *,
    year: Annotated[int | None, typer.Option(min=2000, max=2100, help="The months of this year.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """What went on at a project, by year or by month."""
    from api.cli.readers.rankings import project as show

    show(data_of(context), project, year, axes, as_json=json)


@app.command()
@with_axes
def served(
    context: typer.Context,
    *,
    station: Annotated[str | None, typer.Option(help="Only at this station.")] = None,
    project: Annotated[str | None, typer.Option(help="Only for this project.")] = None,
    organisation: Annotated[str | None, typer.Option(help="Only what belongs to it or to one below it.")] = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Days at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on behind this mark.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """People served (people helped, not volunteers), by station, project and day; by default of thirty days."""
    from api.cli.readers.people_served import served as show

    whose = (station, project, organisation)
    show(data_of(context), whose, (first, last), (limit, after), axes, as_json=json)


@app.command()
@with_axes
def overview(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """A volunteer's own view: hours, the way to the next honours, what is pending, memberships, trainings."""
    from api.cli.readers.overview import overview as show

    show(data_of(context), number, axes, as_json=json)


@app.command()
def status(
    context: typer.Context,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Also count the log, and recompute the checksum.")] = False,
    json: Json = False,
) -> int:
    """How far the read models are, and whether anything is wrong: then the exit code is 1."""
    from api.cli.operations.status import show_status

    return show_status(data_of(context), deep=deep, as_json=json)


@app.command()
def log(
    context: typer.Context,
    *,
    after: Annotated[int, typer.Option(min=0, help="The position to begin behind.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Events at most.")] = 20,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """The events themselves; with --json one a line."""
    from api.cli.readers.queries import log

    log(data_of(context), after, limit, known_at, as_json=json)


@app.command()
@with_axes
def anomalies(
    context: typer.Context,
    *,
    kind: Annotated[str | None, typer.Option(help="Only this kind: two-stations, late-entry, ...")] = None,
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did: person:NAME or station:ID.")] = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Findings at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Continue behind this: DAY/KIND/ANOMALY.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Odd records for auditors, the latest first: each with its reason and what is behind it."""
    from api.cli.readers.audits import anomalies as show

    about = station, volunteer, actor
    show(data_of(context), kind, about, (first, last), (limit, after), axes, as_json=json)


@app.command("spot-check")
@with_axes
def spot_check(
    context: typer.Context,
    *,
    seed: Annotated[str, typer.Option(help="From outside: a lottery, a die. The same seed draws the same shifts.")],
    size: Annotated[int, typer.Option(min=1, max=100_000, help="Shifts to draw.")],
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    grade: Annotated[str | None, typer.Option(help="Only scanned, or only attested shifts.")] = None,
    strata: Annotated[str, typer.Option(help="Draw from each station-kind, or each grade, its share.")] = "none",
    first: First = None,
    last: Last = None,
    output: Annotated[Path | None, typer.Option(help="Write a table for field work: FILE.csv.")] = None,
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """A random sample of shifts to be checked in the field, which anybody can draw again."""
    from api.cli.readers.audits import spot_check as draw

    asked = seed, size, station, grade, strata
    draw(data_of(context), asked, (first, last), output, axes, as_json=json)


@export.command("credits")
@with_axes
def export_credits(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[str, typer.Option(help="csv or parquet.")] = "csv",  # noqa: A002 - the option's name
    axes: AxesTexts,
    json: Json = False,
) -> None:
    """Every piece of every shift, with where its minutes went: one line per shift and local day."""
    from api.cli.operations.data import export_credits

    export_credits(data_of(context), output, format, axes, as_json=json)


@app.command()
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="current, a version, a digest or a TOML file; @POSITION, @INSTANT.")],
    after: Annotated[str, typer.Argument(help="The same; both together: 2@1000, current@2018-06-01T00:00Z.")],
    *,
    valid_at: ValidAt = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Rows of each table.")] = 20,
    to: Annotated[Path | None, typer.Option(help="Write all who differ: FILE.csv, .parquet or .json.")] = None,
    json: Json = False,
) -> None:
    """Who gains and who loses between two timelines, or two moments, and why."""
    from api.cli.readers.differences import diff

    diff(data_of(context), before, after, valid_at, limit, to, as_json=json)


@app.command()
def erase(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The volunteer number.")],
    *,
    json: Json = False,
) -> None:
    """Erase a volunteer's personal data: the entry in the directory and what people wrote. The hours stay."""
    from api.cli.recording.erase import erase

    erase(data_of(context), number, as_json=json)


@app.command()
def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to: a folder that is not there yet.")],
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Write nothing: check the backup in this folder.")] = False,
    json: Json = False,
) -> None:
    """Copy what cannot be computed again: the log, commands, persons, texts and keys. The ledger may be in use."""
    from api.cli.operations.backup import check, make

    if verify:
        check(folder, as_json=json)
    else:
        make(data_of(context), folder, as_json=json)


@app.command()
def restore(
    context: typer.Context, folder: Annotated[Path, typer.Argument(help="A backup.")], *, json: Json = False
) -> None:
    """Make a ledger of a backup, in a data directory or database that holds none, and rebuild its read models."""
    from api.cli.operations.backup import restore

    restore(data_of(context), folder, as_json=json)


# --- running --------------------------------------------------------------------------------------------------------


def main() -> NoReturn:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminated)
    remember_interrupts()
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="hours", standalone_mode=False)
    except typer.TyperException as error:
        return _tell(error.format_message(), error.exit_code)
    except typer.Abort:
        return 130
    except Exception as error:
        if (told := exit_message(error)) is None:
            raise
        return _tell(*told)
    return code if isinstance(code, int) else 0


def _tell(sentence: str, code: int) -> int:
    print("hours:", " ".join(sentence.split()), file=sys.stderr)
    return code


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """Leave as after Ctrl-C: everything that was opened is closed, PostgreSQL too."""
    raise KeyboardInterrupt
