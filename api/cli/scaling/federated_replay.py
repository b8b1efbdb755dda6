"""`hours replay --federation`: several ledgers as one, to Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from api.cli.options import AxesTexts
from api.cli.output import day, notify, stages
from api.cli.readers.federations import open_federation
from api.cli.scaling.printing import print_replayed
from api.operations.warming import warm
from projections.local_time import day_number
from projections.schema import NO_DAY
from replay.federation.heads import Federated, read_heads
from replay.generations.rebuild import REPLAYING, replay
from replay.on_demand.files import described, write_replay


class FederatedReplay(NamedTuple):
    """What `hours replay --federation` was called with."""

    path: Path
    to: Path
    texts: AxesTexts
    heads: Path | None
    without_unreachable: bool
    overwrite: bool


def replay_federation(asked: FederatedReplay, *, as_json: bool) -> None:
    """Replay all ledgers of a federation as one to Parquet files, and print what the answer rests on."""
    valid_text, known_at, rules_text = asked.texts
    valid_at = day(valid_text, "--valid-at")
    with stages("Fetching") as progress:
        federation = open_federation(asked.path, progress, without_unreachable=asked.without_unreachable)
    heads = federation.heads(known_at, asked.heads, rules_text)
    rules = federation.rules(rules_text, heads)
    warm(notify)
    with stages("Replaying") as progress:
        joined = read_heads(federation.archives, heads, progress=progress)
        progress(REPLAYING, 0, 0)
        rows = replay(joined.facts, rules, valid_until=NO_DAY if valid_at is None else day_number(valid_at))
        found = Federated(
            federation=federation.definition.name,
            heads=heads,
            missing=list(federation.missing),
            unknown_numbers=joined.unknown,
            **described(rows, rules, valid_at),
        )
        write_replay(asked.to, rows, found, rules.text, overwrite=asked.overwrite, progress=progress)
    print_replayed(found, asked.to, as_json=as_json)
