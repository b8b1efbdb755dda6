"""What a replay has written, as a table or as JSON."""

from __future__ import annotations

from pathlib import Path

from api.cli.output import out, print_json, print_table
from api.cli.readers.federations import print_heads
from replay.federation.heads import Federated
from replay.on_demand.files import Replayed

_NUMBERS_SHOWN = 5


def print_replayed(found: Replayed | Federated, to: Path, *, as_json: bool) -> None:
    """Print the files of a replay and what it rests on."""
    if as_json:
        print_json({"folder": str(to), **found.model_dump(mode="json")})
        return
    known = f"known at position {found.known_at}" if isinstance(found, Replayed) else "known at these heads"
    if isinstance(found, Federated):
        print_heads(found.federation, found.heads, found.missing)
    files = {f"{name}.parquet": count for name, count in found.rows.items()}
    rows = [(name, count, (to / name).stat().st_size // 1024) for name, count in files.items()]
    print_table(f"Replayed to {to}", ("file", "rows", "KiB"), rows)
    valid = f", valid at {found.valid_at}" if found.valid_at else ""
    version = f"version {found.rules.version}" if found.rules.version else "not published"
    out().print(f"{known}{valid}, rules {found.rules.name} ({version}), checksum {found.checksum}", style="dim")
    if isinstance(found, Federated) and found.unknown_numbers:
        count, shown = len(found.unknown_numbers), ", ".join(found.unknown_numbers[:_NUMBERS_SHOWN])
        more = " and others" if count > _NUMBERS_SHOWN else ""
        out().print(
            f"Note: the federation's own ledger names {count} numbers that their ledgers do not have: {shown}{more}",
            markup=False,
            soft_wrap=True,
        )
