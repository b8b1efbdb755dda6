"""Rule timelines: published as whole TOML texts. The caller checks the content before publishing.

`ledger/deciding/policies.py` reads from the text which acts need approval and the deadlines of disputes,
`ledger/deciding/honor_policies.py` the minimum requirements of honours. The rules of credit belong to `projections/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from ledger.deciding.base import Act, Aggregate, Event
from ledger.deciding.case import Case, Decision
from ledger.names import Digest, stream
from ledger.rejections import Rejection, refuse

TIMELINE = stream("rules", "timeline")
"""The stream of the published rules."""


@dataclass(frozen=True, slots=True)
class Rules(Aggregate):
    """The published rule timelines, in order."""

    published: tuple[RulesPublished, ...] = ()

    def after(self, event: Event) -> Rules:
        published = (*self.published, event) if isinstance(event, RulesPublished) else self.published
        return replace(self, version=self.version + 1, published=published)

    @property
    def in_force(self) -> RulesPublished | None:
        """The rules published last."""
        return self.published[-1] if self.published else None

    def of_version(self, version: int) -> RulesPublished | None:
        """Return the rules of a version."""
        return next((rules for rules in self.published if rules.version == version), None)


class RulesPublished(Event):
    """A rule timeline as one TOML text; `version` counts from 1."""

    AGGREGATE = Rules
    TOPIC = "rules-published.v1"
    STREAM_FIELD = "text"
    version: Annotated[int, Field(strict=True, ge=1)]
    digest: Digest
    text: str

    @property
    def stream_id(self) -> UUID:
        return TIMELINE


def published_rules(case: Case) -> Rules:
    """Return the published rule timelines."""
    return case.streams.state(Rules, TIMELINE)


def rules_in_force(case: Case) -> RulesPublished | None:
    """Return the rules published last."""
    return published_rules(case).in_force


class PublishRules(Act):
    """Publish a rule timeline as TOML text. The caller checks its content; the ledger itself reads only a few keys."""

    TYPE = "publish-rules"
    text: Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        last = published_rules(case).in_force
        digest = sha256(self.text.encode()).hexdigest()
        if last and last.digest == digest:
            return refuse(Rejection.ALREADY_PUBLISHED, "text", f"of version {last.version}")
        version = last.version + 1 if last else 1
        return [case.event(RulesPublished, self, version=version, digest=digest)]
