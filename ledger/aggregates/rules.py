"""Rule timelines: published as whole TOML texts, and put in force. The caller checks the content before publishing.

Which rules are in force is what the last event of the stream says: publishing puts the text in force at once, unless it
says otherwise; an earlier text is put in force again by its version or digest, with a reason. Whoever replays the log,
or a copy of it, therefore comes to the same rules (docs/decisions/0022).

`ledger/deciding/policies.py` reads from the text which acts need approval and the deadlines of disputes,
`ledger/deciding/honor_policies.py` the minimum requirements of honours. The rules of credit belong to `projections/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from ledger.deciding.base import Act, Aggregate, Event, Noted
from ledger.deciding.case import Case, Decision
from ledger.deciding.policies import ApprovableAct, policies_of
from ledger.names import AS_WRITTEN, Digest, ReasonCode, stream
from ledger.rejections import Refused, Rejection, refuse

TIMELINE = stream("rules", "timeline")
"""The stream of the published rules."""
PUT_IN_FORCE: ApprovableAct = "put-rules-in-force"


@dataclass(frozen=True, slots=True)
class Rules(Aggregate):
    """The published rule timelines, in order, and the one in force."""

    published: tuple[RulesPublished, ...] = ()
    in_force: RulesPublished | None = None

    def after(self, event: Event) -> Rules:
        rules = replace(self, version=self.version + 1)
        match event:
            case RulesPublished():
                in_force = event if event.in_force else self.in_force
                return replace(rules, published=(*self.published, event), in_force=in_force)
            case RulesPutInForce():
                return replace(rules, in_force=self.of_version(event.version))
            case _:
                return rules

    def of_version(self, version: int) -> RulesPublished | None:
        """Return the rules of a version."""
        return next((rules for rules in self.published if rules.version == version), None)

    def of_digest(self, digest: str) -> RulesPublished | None:
        """Return the rules of a digest; the latest, if the text was published several times."""
        return next((rules for rules in reversed(self.published) if rules.digest == digest), None)


class RulesEvent(Event):
    """An event of the one stream of rules. `version` counts published timelines from 1."""

    AGGREGATE = Rules
    version: Annotated[int, Field(strict=True, ge=1)]
    digest: Digest

    @property
    def stream_id(self) -> UUID:
        return TIMELINE


class RulesPublished(RulesEvent):
    """A rule timeline as one TOML text. `in_force`: whether it is in force from then on."""

    TOPIC = "rules-published.v1"
    STREAM_FIELD = "text"
    text: str
    in_force: bool = True


class RulesPutInForce(RulesEvent):
    """Published rules were put in force, for the first time or again."""

    TOPIC = "rules-put-in-force.v1"
    STREAM_FIELD = "rules_version"
    reason: ReasonCode
    note: Digest | None = None


def published_rules(case: Case) -> Rules:
    """Return the published rule timelines."""
    return case.streams.state(Rules, TIMELINE)


def rules_in_force(case: Case) -> RulesPublished | None:
    """Return the rules in force."""
    return published_rules(case).in_force


def _moves_days(text: str, in_force: RulesPublished | None, *, asked: bool) -> Refused | None:
    """Return a refusal if a text has another time zone than the rules in force, and that was not asked for.

    It moves every local day and time of the ledger, mostly because somebody began from another file.
    """
    if asked or in_force is None:
        return None
    before, after = policies_of(in_force.text).zone, policies_of(text).zone
    if before == after or before is None or after is None:
        return None
    return refuse(Rejection.CHANGES_TIME_ZONE, "change_time_zone", f"false ({before} is in force, not {after})")


class PublishRules(Act):
    """Publish a rule timeline as TOML text. The caller checks its content; the ledger itself reads only a few keys.

    It is in force at once, unless `in_force` is false: then `put-rules-in-force` puts it in force later. Rules whose
    `[approvals]` name that act can only be replaced in this way. Another time zone than that of the rules in force is
    refused unless `change_time_zone` is true: it moves every local day and time.
    """

    TYPE = "publish-rules"
    text: Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
    in_force: Annotated[bool, Field(strict=True)] = True
    change_time_zone: Annotated[bool, Field(strict=True)] = False

    def decide(self, case: Case) -> Decision:
        rules = published_rules(case)
        now = rules.in_force
        if self.in_force and now and PUT_IN_FORCE in policies_of(now.text).approvals.kinds:
            way = f"true (publish with in_force false; {PUT_IN_FORCE} then puts it in force)"
            return refuse(Rejection.NEEDS_APPROVAL, "in_force", way)
        if refused := case.future(self, "occurred_at"):
            return refused
        digest = sha256(self.text.encode()).hexdigest()
        if now and now.digest == digest:
            return refuse(Rejection.ALREADY_PUBLISHED, "text", f"of version {now.version}")
        if not self.in_force and (same := rules.of_digest(digest)):
            return refuse(Rejection.ALREADY_PUBLISHED, "text", f"of version {same.version}")
        if refused := _moves_days(self.text, now, asked=self.change_time_zone):
            return refused
        version = rules.published[-1].version + 1 if rules.published else 1
        return [case.event(RulesPublished, self, version=version, digest=digest)]


class PutRulesInForce(Act, Noted):
    """Put published rules in force: new ones, or earlier ones again. With `rules_digest`, only if that is theirs.

    They hold for every answer from then on, also after a rebuild, a restore and in copies of the archive. Another time
    zone than that of the rules in force is refused unless `change_time_zone` is true.
    """

    TYPE = "put-rules-in-force"
    rules_version: Annotated[int, Field(strict=True, ge=1, le=1_000_000), AS_WRITTEN]
    rules_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    reason: ReasonCode
    change_time_zone: Annotated[bool, Field(strict=True)] = False

    def decide(self, case: Case) -> Decision:
        if refused := case.future(self, "occurred_at"):
            return refused
        rules = published_rules(case)
        found = rules.of_version(self.rules_version)
        if found is not None and found == rules.in_force:
            return refuse(Rejection.ALREADY_IN_FORCE, "rules_version", self.rules_version)
        if found is None:
            return refuse(Rejection.UNKNOWN_RULES, "rules_version", self.rules_version)
        if refused := _moves_days(found.text, rules.in_force, asked=self.change_time_zone):
            return refused
        if self.rules_digest not in {None, found.digest}:
            return refuse(Rejection.UNKNOWN_RULES, "rules_digest", self.rules_digest)
        return [case.event(RulesPutInForce, self, version=found.version, digest=found.digest)]
