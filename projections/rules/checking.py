"""Rule check: what is wrong with a rule timeline, and what is hardly meant, each with its line and the way out.

What `parse_timeline` refuses can never be used. What is an error only here can be used, and has to be where it was
published once; but no candidate and no new version may say it. A warning hinders nobody.

    error    unknown, missing or impossible keys; rule sets out of order; a cap below the shortest shift, a unit that
             nothing fills; a window outside its rule set, or wholly behind earlier ones
    warning  windows that meet with different percentages (the first in the file wins), or that change nothing;
             honours and rankings that a later set drops or changes in title; ladders that do not rise; honours out
             of reach; sets that change nothing; projects nobody knows; late entries in two units; anomalies that
             nearly everything would be; approvals that hinder nothing
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Final

from projections.rules.errors import Finding, RulesError
from projections.rules.timeline import Factor, RuleSet, RuleTimeline, Threshold, parse_timeline
from projections.rules.toml_places import Place, line_of, places
from projections.rules.window_overlaps import TooManyError, reaches

_YEARS_OF_SERVICE: Final = 60
_LAST_DAY: Final = date(2100, 1, 1)


KnownProjects = Callable[[Collection[str]], Collection[str]]
"""Given names of projects, those that are known."""


def check_rules(text: str, *, known_projects: KnownProjects | None = None) -> list[Finding]:
    """Return all findings about a rule timeline, by line; none if it is sound.

    Args:
        known_projects: told the projects that windows name, returns those the ledger knows; None where no ledger is
            at hand.
    """
    try:
        timeline = parse_timeline(text)
    except RulesError as error:
        return list(error.findings)
    named = {name for rule_set in timeline.rule_sets for factor in rule_set.factors for name in factor.projects}
    projects = known_projects(named) if known_projects and named else None
    found = _Check(timeline, tomllib.loads(text)["rule_sets"], places(text), projects).findings()
    return sorted(found, key=lambda finding: finding.line)


def require_sound(text: str) -> RuleTimeline:
    """Read a rule timeline that is to be used for the first time.

    Raises:
        RulesError: with every finding that is an error.
    """
    if errors := [finding for finding in check_rules(text) if finding.severity == "error"]:
        raise RulesError(errors)
    return parse_timeline(text)


@dataclass(frozen=True)
class _Check:
    timeline: RuleTimeline
    written: list[dict[str, Any]]
    """The rule sets as they stand in the text: honours that go on stand in an earlier one."""
    lines: dict[Place, int]
    projects: Collection[str] | None

    def findings(self) -> Iterator[Finding]:
        sets = self.timeline.rule_sets
        yield from self._approvals(sets[-1])
        for number, rule_set in enumerate(sets):
            following = sets[number + 1] if number + 1 < len(sets) else None
            yield from self._minutes(number, rule_set)
            yield from self._windows(number, rule_set, following.holds_from if following else None)
            yield from self._ladders(number, rule_set)
            yield from self._reachable(number, rule_set)
            if following:
                yield from self._dropped(number + 1, rule_set, following)
        yield from self._anomalies()

    def _error(self, sentence: str, remedy: str, *place: str | int) -> Finding:
        return self._finding("error", sentence, remedy, place)

    def _warning(self, sentence: str, remedy: str, *place: str | int) -> Finding:
        return self._finding("warning", sentence, remedy, place)

    def _finding(self, severity: str, sentence: str, remedy: str, place: Place) -> Finding:
        key = ".".join(map(str, place))
        return Finding(self._line(*place), key, "error" if severity == "error" else "warning", sentence, remedy)

    def _line(self, *place: str | int) -> int:
        return line_of(self.lines, place)

    # --- acts -------------------------------------------------------------------------------------------------------

    def _approvals(self, last: RuleSet) -> Iterator[Finding]:
        approvals = self.timeline.approvals
        for number, kind in enumerate(approvals.kinds):
            if kind in approvals.kinds[:number]:
                yield self._warning(f"{kind} stands there twice", "remove one", "approvals", "kinds", number)
        most, cap = approvals.raised_day_minutes_max, last.day_minutes_max
        if most <= cap and ("approvals", "raised_day_minutes_max") in self.lines:
            sentence = f"no raise to {most} minutes at most changes a day's cap of {cap}"
            yield self._warning(sentence, f"write more than {cap}", "approvals", "raised_day_minutes_max")

    def _written(self, number: int, kind: str, name: str) -> Place:
        """Return where an honour or ranking that holds in a rule set was written: there, or in a set before."""
        for earlier in range(number, -1, -1):
            names = [one["id"] for one in self.written[earlier].get(kind, ())]
            if name in names:
                return "rule_sets", earlier, kind, names.index(name)
        return "rule_sets", number, kind

    # --- minutes ----------------------------------------------------------------------------------------------------

    def _minutes(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        at = "rule_sets", number
        shortest, longest, cap = rules.shift_minutes_min, rules.shift_minutes_max, rules.day_minutes_max
        missing, unit = rules.missing_check_out_minutes, rules.credit_unit_minutes
        if cap < shortest:
            sentence = f"the day's cap of {cap} minutes lies below the shortest shift of {shortest}"
            yield self._error(
                sentence, f"raise it to {shortest} at least, or lower shift_minutes_min", *at, "day_minutes_max"
            )
        best = max([100, *(factor.percent for factor in rules.factors)])
        if unit > longest * best // 100:
            sentence = f"no shift can earn a whole unit of {unit} minutes"
            yield self._error(sentence, f"write {max(longest, 1)} at most", *at, "credit_unit_minutes")
        elif unit > max(shortest, 1):
            sentence = f"a shift of {shortest} minutes is long enough, but earns less than a unit of {unit}"
            yield self._warning(
                sentence, f"raise shift_minutes_min to {unit}, or lower the unit", *at, "credit_unit_minutes"
            )
        if 0 < missing < shortest:
            sentence = f"a shift without a check-out lasts {missing} minutes, which is too short to earn anything"
            yield self._warning(sentence, f"write 0, or {shortest} at least", *at, "missing_check_out_minutes")
        if missing > longest:
            sentence = f"a shift without a check-out lasts {missing} minutes, of which only {longest} can count"
            yield self._warning(sentence, f"write {longest} at most", *at, "missing_check_out_minutes")
        if rules.holds_from >= _LAST_DAY:
            yield self._warning(f"no service can be dated {_LAST_DAY} or later", "correct the date", *at, "holds_from")

        if rules.late_entry_working_days is not None and "late_entry_days" in rules.model_fields_set:
            sentence = "late entries are counted in working days, so late_entry_days says nothing"
            yield self._warning(sentence, "remove it", *at, "late_entry_days")

    # --- anomalies --------------------------------------------------------------------------------------------------

    def _anomalies(self) -> Iterator[Finding]:
        """Thresholds that would show an auditor nearly everything."""
        rules = self.timeline.anomalies
        caps = [rule_set.day_minutes_max for rule_set in self.timeline.rule_sets]
        usual = (
            ("burst_entries_min", 2, "a single entry would be a burst"),
            ("round_shifts_min", 2, "a single shift on full hours would be told"),
            ("same_person_entries_min", 2, "whoever enters a single shift would be told"),
            ("same_person_decisions_min", 2, "whoever corrects a single shift would be told"),
            ("clock_scans_min", 2, "a single scan sent late would make a clock wrong"),
            ("round_percent_min", 50, "of entries by the quarter of an hour one in four is on a full hour by chance"),
            ("long_shift_minutes", min(caps), "shifts within the cap of the day would be told"),
        )
        for name, least, sentence in usual:
            if "anomalies" in self.timeline.model_fields_set and getattr(rules, name) < least:
                yield self._warning(sentence, f"write {least} at least", "anomalies", name)

    # --- windows ----------------------------------------------------------------------------------------------------

    def _windows(self, number: int, rules: RuleSet, until: date | None) -> Iterator[Finding]:
        at = "rule_sets", number, "factors"
        first = None if number == 0 else rules.holds_from
        try:
            found = reaches(rules.factors, first, until)
        except TooManyError:
            sentence = f"{len(rules.factors)} windows are too many to look for overlaps"
            yield self._warning(sentence, "join some of them", *at)
            return
        needed = {other for reach in found for other in reach.before}
        for place, (factor, reach) in enumerate(zip(rules.factors, found, strict=True)):
            yield from self._one_window(factor, first, until, *at, place)
            if reach.outside:
                sentence = f"the window {factor.name} holds on no day of its rule set, {_span(first, until)}"
                yield self._error(sentence, "correct its days or weekdays, or move it to another set", *at, place)
            elif reach.hidden:
                sentence = (
                    f"the window {factor.name} never holds: {self._named(rules, number, reach.before)} come first"
                )
                yield self._error(sentence, "put it before them, or remove it", *at, place)
            elif factor.percent == 100 and place not in needed:
                sentence = f"the window {factor.name} changes nothing: 100 percent is what every minute earns"
                yield self._warning(sentence, "correct the percentage, or remove the window", *at, place, "percent")
            else:
                others = [other for other in reach.before if rules.factors[other].percent != factor.percent]
                for other in others:
                    earlier = rules.factors[other]
                    sentence = (
                        f"the window {factor.name} meets {earlier.name} (line {self._line(*at, other)}), which comes "
                        f"first and wins: {earlier.percent} percent instead of {factor.percent}"
                    )
                    yield self._warning(sentence, "if the other is to win, put it first", *at, place)
            if factor.name in [other.name for other in rules.factors[:place]]:
                sentence = f"two windows are named {factor.name}, and reasons could not tell them apart"
                yield self._warning(sentence, "give each its own name", *at, place, "name")

    def _one_window(
        self, factor: Factor, first: date | None, until: date | None, *place: str | int
    ) -> Iterator[Finding]:
        if factor.minute_from == factor.minute_until:
            sentence = "minute_from and minute_until are the same, so the window holds all day"
            yield self._warning(sentence, "leave both out if that is meant", *place, "minute_until")
        cut = (first and factor.first_day and factor.first_day < first) or (
            until and factor.last_day and factor.last_day >= until
        )
        if cut:
            sentence = (
                f"the window {factor.name} reaches beyond its rule set, {_span(first, until)}: there it does not hold"
            )
            yield self._warning(sentence, "write the rest of it in the neighbouring set", *place)
        for number, project in enumerate(factor.projects):
            if self.projects is not None and project not in self.projects:
                yield self._warning(f"no project is called {project}", "check its spelling", *place, "projects", number)

    def _named(self, rules: RuleSet, number: int, windows: Sequence[int]) -> str:
        return ", ".join(
            f"{rules.factors[other].name} (line {self._line('rule_sets', number, 'factors', other)})"
            for other in windows
        )

    # --- honours and rankings ---------------------------------------------------------------------------------------

    def _ladders(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        """Honours of one stem and rising numbers (star-1, star-2) ask for rising minutes."""
        ladders: dict[str, list[tuple[int, Threshold]]] = {}
        for honor in rules.honors:
            if step := re.fullmatch(r"(.*?)[-._]?(\d+)", honor.id):
                ladders.setdefault(step.group(1), []).append((int(step.group(2)), honor))
        for steps in ladders.values():
            for (_, lower), (_, higher) in pairwise(sorted(steps, key=lambda step: step[0])):
                if higher.minutes_min <= lower.minutes_min:
                    sentence = (
                        f"{higher.id} asks for {higher.minutes_min} minutes, no more than {lower.id} with "
                        f"{lower.minutes_min}"
                    )
                    at = *self._written(number, "honors", higher.id), "credited_minutes_min"
                    if self.written[number].get("honors"):  # what only goes on was told where it was written
                        yield self._warning(sentence, "let the steps rise", *at)

    def _reachable(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        """Nobody serves every day for sixty years; no year has more days than 366."""
        best = max(
            known.day_minutes_max * max([100, *(factor.percent for factor in known.factors)]) // 100
            for known in self.timeline.rule_sets[: number + 1]
        )
        for kind, least, most in (
            ("honors", rules.honors, best * 366 * _YEARS_OF_SERVICE),
            ("rankings", [one for one in rules.rankings if one.of == "volunteers"], best * 366),
        ):
            for honor in least:
                at = self._written(number, kind, honor.id)
                if at[:2] != ("rule_sets", number):
                    continue  # it goes on from a set before, where it was told
                if honor.credited_minutes_min > most:
                    sentence = f"nobody can ever reach {honor.credited_minutes_min} minutes for {honor.id}"
                    yield self._warning(sentence, f"write {most} at most", *at, "credited_minutes_min")
                if isinstance(honor, Threshold) and honor.active_year_minutes_min > best * 366:
                    sentence = f"no year can ever have {honor.active_year_minutes_min} minutes for {honor.id}"
                    yield self._warning(sentence, f"write {best * 366} at most", *at, "active_year_minutes_min")

    def _dropped(self, number: int, before: RuleSet, after: RuleSet) -> Iterator[Finding]:
        """What a set no longer knows, or calls something else."""
        for kind in ("honors", "rankings"):
            later = {one.id: one for one in getattr(after, kind)}
            for honor in getattr(before, kind):
                other = later.get(honor.id)
                if other is None:
                    sentence = f"{honor.id} is not in the set from {after.holds_from} on, so nobody reaches it any more"
                    yield self._warning(sentence, "write it there, too, if it is to go on", "rule_sets", number)
                elif other.title != honor.title:
                    sentence = f"{honor.id} is called {other.title}, but {honor.title} in the set before"
                    at = *self._written(number, kind, honor.id), "title"
                    yield self._warning(sentence, "give it one title, or another id", *at)
        same = {"holds_from": after.holds_from, "honors_go_on": after.honors_go_on}
        if before.model_copy(update=same) == after:
            sentence = "this rule set changes nothing of the one before"
            yield self._warning(sentence, "change what is meant to change, or remove it", "rule_sets", number)


def _span(first: date | None, until: date | None) -> str:
    begins = f"from {first} on" if first else "from the beginning"
    return f"which holds {begins}" + (f" and ends before {until}" if until else "")
