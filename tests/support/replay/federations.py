"""Histories in several ledgers: of one history, those of a federation's ledgers, and the same as of one ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from ledger.aggregates import Event
from ledger.aggregates.volunteer import VolunteerMerged, VolunteerMergeUndone
from projections.kernels.facts import Facts, facts_of
from projections.rules.table import honor_ids
from projections.rules.timeline import RuleTimeline
from replay.federation.joining import Member
from replay.generations.named_rows import Rows, rows_of
from tests.support.oracle.histories import Case, cases, make

LEDGERS = ("east", "west")
NAMES = ("volunteer", "into", "station", "project", "raise_id")
MERGES = (VolunteerMerged, VolunteerMergeUndone)


class Split(NamedTuple):
    """A history in several ledgers: the events of each, those of the federation's own ledger, and all as of one."""

    ledgers: Mapping[str, list[Event]]
    own: list[Event]
    one: list[Event]

    def members(self) -> list[Member]:
        return [
            *(Member(name, facts_of(events)) for name, events in self.ledgers.items()),
            Member(None, facts_of(self.own)),
        ]


def renamed(event: Event, ledger_of: Mapping[str, str], ledger: str) -> Event:
    """Return an event with the names that it has in the federation; a volunteer's ledger is looked up by number."""
    names: dict[str, Any] = {}
    for field in NAMES:
        if (name := getattr(event, field, None)) is not None:
            names[field] = f"{ledger_of.get(name, ledger)}.{name}"
    return msgspec.structs.replace(event, **names)


def split(events: Sequence[Event], ledger_of: Mapping[str, str]) -> Split:
    """Give each volunteer's events to their ledger; every ledger has all stations and projects."""
    found = Split({name: [] for name in LEDGERS}, [], [])
    for event in events:
        volunteer = getattr(event, "volunteer", None)
        if volunteer is None:
            for name, of_ledger in found.ledgers.items():
                of_ledger.append(event)
                found.one.append(renamed(event, {}, name))
            continue
        mine = ledger_of[volunteer]
        as_one = renamed(event, ledger_of, mine)
        found.one.append(as_one)
        if isinstance(event, MERGES) and ledger_of[event.into] != mine:
            found.own.append(as_one)
        else:
            found.ledgers[mine].append(event)
    return found


def link(whole: Split, pairs: Sequence[tuple[str, ...]]) -> None:
    """Add links between numbers of different ledgers, those that one ledger would record as well."""
    merged = dict[str, str]()
    for event in whole.one:
        if isinstance(event, VolunteerMerged):
            merged[event.volunteer] = event.into
        elif isinstance(event, VolunteerMergeUndone):
            merged.pop(event.volunteer, None)
    last = max(event.recorded_at for event in whole.one)
    for volunteer, into in pairs:
        if volunteer.partition(".")[0] != into.partition(".")[0] and not merged.keys() & {volunteer, into}:
            event = make(VolunteerMerged, last, volunteer=volunteer, into=into)
            merged[volunteer] = into
            whole.own.append(event)
            whole.one.append(event)


def in_federation(timeline: RuleTimeline) -> RuleTimeline:
    """Return rules whose windows name the projects of all ledgers."""
    sets = [
        each.model_copy(
            update={
                "factors": tuple(
                    factor.model_copy(
                        update={"projects": tuple(f"{name}.{of}" for of in factor.projects for name in LEDGERS)}
                    )
                    for factor in each.factors
                )
            }
        )
        for each in timeline.rule_sets
    ]
    return timeline.model_copy(update={"rule_sets": tuple(sets)})


def replayed(facts: Facts, timeline: RuleTimeline) -> Rows:
    names = (facts.volunteers.texts(), facts.stations.texts(), honor_ids(timeline), facts.projects.texts())
    return rows_of(facts.read_models(timeline), *names)


class Federated(NamedTuple):
    """A history in several ledgers, and the rules of their federation."""

    split: Split
    timeline: RuleTimeline
    ledger_of: Mapping[str, str]


@st.composite
def federations(draw: st.DrawFn) -> Federated:
    """A random history, with a ledger for each volunteer, and links between ledgers."""
    case: Case = draw(cases(volunteers=(2, 3, 4)))
    volunteers = sorted({event.volunteer for event in case.events if hasattr(event, "volunteer")})
    ledger_of = {name: draw(st.sampled_from(LEDGERS)) for name in volunteers}
    found = split(case.events, ledger_of)
    pairs = draw(st.lists(st.tuples(*[st.sampled_from(volunteers)] * 2), max_size=6))
    link(found, [tuple(f"{ledger_of[number]}.{number}" for number in pair) for pair in pairs])
    return Federated(found, in_federation(case.timeline), ledger_of)
