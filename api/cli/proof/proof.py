"""`hours proof`: the proof that an event is in the log, as a file that is verified offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Force, Json, data_of, refuse_idle
from api.cli.output import check_output, out, print_json, write_output
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from ledger.names import POSITION_MAX, Position
from replay.certificates.evidence import extra_of_event
from replay.proof.entries import entry_of
from replay.proof.growth import NotCoveredError
from replay.proof.notes import tree_head
from replay.proof.proofs import SUFFIX


def proof(
    context: typer.Context,
    position: Annotated[int, typer.Argument(min=1, max=POSITION_MAX, help="The position of the event in the log.")],
    *,
    output: Annotated[Path | None, typer.Option(help=f"Write the proof to a file, such as event{SUFFIX}.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Print the proof of an event: its bytes, the hashes from it to the root of the newest checkpoint, and that
    checkpoint.

    `hours verify FILE` verifies it anywhere.
    """
    if output is None:
        refuse_idle(context, "without --output", "force")
    else:
        check_output(output, "--output", force=force)
    with open_ledger(data_of(context)) as ledger:
        if position > (head := ledger.log.head()):
            raise UsageError(f"the log has {head} events, and none at position {position}; `hours log` lists them")
        try:
            (event,) = ledger.log.read(Position(position - 1), 1)
            made = ledger.tree.prove(position, extra_of_event(entry_of(event)))
        except NotCoveredError as error:
            raise UsageError(str(error)) from None
    if output is not None:
        write_output(output, made.encode())
    _, size, _ = tree_head(made.checkpoint.text)
    if as_json:
        print_json({"position": position, "size": size, "proof": made.encode().decode()})
    elif output is None:
        sys.stdout.write(made.encode().decode())
    else:
        sentence = f"the proof of event {position} under the checkpoint of {size:,} events was written to {output}"
        out().print(sentence, soft_wrap=True, markup=False)
