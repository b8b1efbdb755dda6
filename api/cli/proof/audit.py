"""`hours audit`: make an audit bundle from a ledger; audit a bundle without a database and without a network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from typer.core import TyperGroup

from api.access.signatures import why_unproved
from api.cli.options import Force, Json, data_of, refuse_idle
from api.cli.output import check_output, notify, out, print_json, stages, write_output
from api.cli.trust import KEY_HELP, read_file, read_keys
from api.files.audit_page import as_page
from api.operations.service import OpenLedger, open_ledger
from api.operations.usage_errors import UsageError
from api.operations.version import version
from api.operations.warming import warm
from replay.archive.manifest import ArchiveError
from replay.auditing.audit import Request, audit
from replay.auditing.report import Report, text_of
from replay.auditing.signed import UnusableCheckpointError
from replay.auditing.work import LostProcessError, WorkError
from replay.bundles.layout import BundleError, RewrittenError
from replay.bundles.making import make_bundle
from replay.bundles.proved import newest_sources
from replay.generations.sealing import seal_folder
from replay.progress import Progress
from replay.proof.checkpoints import Checkpoint, read_checkpoint
from replay.proof.keys import PublishedKeys
from replay.proof.notary import make_missing_keys
from replay.proof.notes import NoteError
from replay.proof.policies import Policy


class _FolderOrCommand(TyperGroup):
    """Takes what is no command for the folder of a bundle: `hours audit FOLDER` is `hours audit verify FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command `verify` in front where no command is named."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["verify", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FolderOrCommand,
    help="Make a bundle for auditors; audit one without a database: `hours audit FOLDER` is short for `verify FOLDER`.",
    no_args_is_help=True,
    add_completion=False,
)

Since = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint that you kept from an earlier audit; may be given several times."),
]


@app.command("bundle")
def bundle(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or an older bundle of this ledger.")],
    *,
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint that the auditor kept: the log has to continue it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write everything that an auditor needs to a folder, for example on a USB stick, or extend the bundle there.

    A bundle only grows: if the log does not continue the one that is there, or is not the one that was signed, nothing
    is written, and the exit code is 1.
    """
    kept = None if since is None else _checkpoint(since)
    with open_ledger(data_of(context)) as ledger:
        warm(notify)
        try:
            with stages("Making the bundle") as progress:
                _update_archive(ledger, progress)
                make_missing_keys(ledger.tree, ledger.database)
                prove = partial(newest_sources, ledger.tree, seal_folder(ledger.data), progress)
                made = make_bundle(folder, ledger.database, ledger.archive, prove, version(), progress, since=kept)
        except RewrittenError as error:
            print("hours:", error, file=sys.stderr)
            return 1
        except BundleError as error:
            raise UsageError(str(error)) from None
    if made.disagreement:
        notify(f"{made.disagreement}. The bundle is evidence of that: an audit will report it")
    if made.missing:
        first = made.missing[0]
        notify(
            f"{len(made.missing):,} positions hold no readable event, the first is {first:,}; an audit will report it"
        )
    if as_json:
        print_json({"folder": str(folder), "missing": made.missing[:100], **made.contents.model_dump(mode="json")})
    else:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / (1 << 20)
        sentence = f"{made.contents.size:,} events in {size:,.1f} MiB in {folder}"
        out().print(f"{sentence}; audit it with `hours audit {folder} --key VKEY`")
    return 1 if made.missing or made.disagreement else 0


def _update_archive(ledger: OpenLedger, progress: Progress) -> None:
    """Bring the archive up to date; if it cannot be, the audit will say what is wrong with it."""
    try:
        ledger.archive.bring_up_to_date(ledger.database, progress)
    except ArchiveError as error:
        notify(str(error))


@app.command("verify")
def verify(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder of a bundle.")],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(help=f"What you trust: {KEY_HELP}; may be given several times."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A tlog-policy file: the log's keys, and whose cosignatures are required.")
    ] = None,
    since: Since = None,
    output: Annotated[
        list[Path] | None, typer.Option(help="Also write the report: .json, .html (to print) or .txt.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="The number of processes.")] = 2,
    work: Annotated[
        Path | None, typer.Option(help="A folder for finished parts, from which a stopped audit goes on.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Audit a bundle; the exit code is 1 if anything is not as it was signed or does not follow from it.

    It needs no database and no network, and changes nothing. After Ctrl-C, the same command goes on where it ended.
    """
    if not output:
        refuse_idle(context, "without --output", "force")
    trusted = _trust(key or [], policy)
    kept = [_kept(path, trusted.policy) for path in since or []]
    for path in output or []:
        if path.suffix not in {".json", ".html", ".txt"}:
            raise UsageError(f"--output {path}: name a file that ends with .json, .html or .txt")
        check_output(path, "--output", force=force)
    if work is not None and work.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--work {work} is in the bundle, which an audit never changes; name another folder")
    request = Request(folder, trusted.policy, why_unproved, version(), kept, processes, work, trusted.published)
    try:
        with stages("Auditing") as progress:
            report = audit(request, progress)
    except (BundleError, WorkError) as error:
        raise UsageError(str(error)) from None
    except (UnusableCheckpointError, LostProcessError) as error:
        print("hours:", error, file=sys.stderr)
        return 1
    for path in output or []:
        write_output(path, _written(report, path.suffix))
    if as_json:
        print_json(msgspec.to_builtins(report) | {"verdict": report.verdict, "sound": report.sound})
    else:
        sys.stdout.write(text_of(report))
    return 0 if report.sound else 1


def _written(report: Report, suffix: str) -> bytes:
    if suffix == ".html":
        return as_page(report).encode()
    if suffix == ".txt":
        return text_of(report).encode()
    fields = {"verdict": report.verdict, "sound": report.sound, **msgspec.to_builtins(report)}
    return msgspec.json.format(msgspec.json.encode(fields)) + b"\n"


class _Trust(NamedTuple):
    """Whom the auditor trusts: keys and witnesses, and the published list of keys, if that was given."""

    policy: Policy
    published: PublishedKeys | None = None


def _trust(keys: Sequence[str], path: Path | None) -> _Trust:
    """Return whom the auditor trusts: the logs of --key, or those of the policy; the witnesses of the policy."""
    given = read_keys(keys)
    policy = given.policy(path)
    if not policy.logs:
        raise UsageError("whom do you trust? Name the log's verifier key with --key, or a policy with --policy")
    return _Trust(policy, given.published)


def _kept(path: Path, policy: Policy) -> tuple[str, bytes]:
    """Return a checkpoint that the auditor kept, with the name of its file, if it is one of a log that is trusted."""
    origin = _checkpoint(path).origin
    names = sorted({each.key.name for each in policy.logs})
    if origin not in names:
        raise UsageError(f"--since {path} is a checkpoint of the log {origin}, not of {' or '.join(names)}")
    return str(path), read_file(path, "--since")


def _checkpoint(path: Path) -> Checkpoint:
    try:
        return read_checkpoint(read_file(path, "--since"))
    except NoteError as error:
        raise UsageError(
            f"--since {path} is not a checkpoint: {error}; name a file `checkpoint` that you kept"
        ) from None
