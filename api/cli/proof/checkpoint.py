"""`hours checkpoint`: bring the tree to the head of the log, sign a checkpoint, and print it.

A server does the same by itself, every minute if anything is new. Exit code 1: the log is not the one that was signed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Force, Json, data_of, refuse_idle
from api.cli.output import check_output, notify, out, print_json, stages, write_output
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from replay.proof.checkpoints import Checkpoint
from replay.proof.notary import make_missing_keys

_EMPTY = "the ledger holds no events yet, so there is nothing to sign; record some first"


def checkpoint(
    context: typer.Context,
    *,
    output: Annotated[Path | None, typer.Option(help="Write the checkpoint to a file.")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="First compare every event with the tree; if none differs, an alarm ends."),
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Sign a checkpoint of the log as it is now, if anything is new, and print the newest one."""
    if output is None:
        refuse_idle(context, "without --output", "force")
    else:
        check_output(output, "--output", force=force)
    with open_ledger(data_of(context)) as ledger, stages("Checkpoint") as progress:
        if ledger.log.head() == 0 and not ledger.tree.keys.exist():
            raise UsageError(_EMPTY)
        if make_missing_keys(ledger.tree, ledger.database):
            notify(f"made signing keys of the origin {ledger.tree.keys.published().origin}")
        compared = ledger.tree.verify(progress) if verify else None
        signed = ledger.tree.grow(progress)
        if signed is None:
            raise UsageError(_EMPTY)
        instant = signed.signed_at(ledger.tree.keys.published().verifier_keys)
    if compared is not None:
        notify(f"{compared:,} events agree with the tree that was signed")
    if output is not None:
        write_output(output, signed.encode())
    if as_json:
        print_json({**_shown(signed), "signed_at": instant, "compared": compared})
    elif output is None:
        sys.stdout.write(signed.encode().decode())
    else:
        out().print(f"the checkpoint of {signed.size:,} events was written to {output}", soft_wrap=True, markup=False)


def _shown(signed: Checkpoint) -> dict[str, object]:
    return {
        "origin": signed.origin,
        "size": signed.size,
        "root": signed.root.hex(),
        "extensions": list(signed.extensions),
        "checkpoint": signed.encode().decode(),
    }
