"""Rule check: errors and probable mistakes in a rule timeline, each with its line and a remedy.

A timeline that `parse_timeline` refuses can never be used. One with an error that is found only here remains usable if
it was published before, but cannot be a candidate or a new version. Warnings block nothing.

    error    more than the limits allow (`projections/rules/limits.py`); unknown, missing or invalid keys; rule sets out
             of order; a cap below the shortest shift; a unit that no shift can earn; a window outside its rule set, or
             completely hidden by earlier ones
    warning  windows that overlap with different percentages (the first in the file wins), or that change nothing;
             honours, rankings and windows that a later set drops or renames; levels whose minutes do not increase;
             honours that cannot be reached; sets that change nothing; unknown projects; late entries in two units;
             thresholds that nearly everything exceeds; settings of approvals without effect
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from projections.rules.dropped_windows import REMEDY, dropped_windows
from projections.rules.dropped_windows import sentence as sentence_of_windows
from projections.rules.errors import FINDINGS_MAX, Finding, RulesError
from projections.rules.limits import text_exceeds, timeline_exceeds
from projections.rules.timeline import Factor, RuleSet, RuleTimeline, Threshold, parse_timeline
from projections.rules.toml_places import Place, line_of, places
from projections.rules.window_overlaps import CELLS_COMPARED_MAX, TooManyError, window_reach

_YEARS_OF_SERVICE: Final = 60
_LAST_DAY: Final = date(2100, 1, 1)
_NAMED_MAX: Final = 20
"""The maximum number of honours named in one finding."""


KnownProjects = Callable[[Collection[str]], Collection[str]]
"""Returns those of the given projects that the ledger knows."""


def check_rules(text: str, *, known_projects: KnownProjects | None = None) -> list[Finding]:
    """Return the findings about a rule timeline, by line, at most FINDINGS_MAX, errors first; none if it is sound.

    Args:
        known_projects: returns those of the given projects that the ledger knows; None without a ledger.
    """
    if beyond := text_exceeds(text):
        return [beyond]
    try:
        timeline = parse_timeline(text)
    except RulesError as error:
        return list(error.findings)
    if too_many := list(timeline_exceeds(timeline)):
        return too_many
    named = {name for rule_set in timeline.rule_sets for factor in rule_set.factors for name in factor.projects}
    projects = known_projects(named) if known_projects and named else None
    found = _Check(timeline, tomllib.loads(text)["rule_sets"], places(text), projects).findings()
    errors_first = sorted(_each_once(found), key=lambda finding: finding.severity)[:FINDINGS_MAX]
    return sorted(errors_first, key=lambda finding: finding.line)


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings without those that say the same of a line again, as of an honour that later rule sets inherit."""
    return list({(one.line, one.severity, one.sentence, one.remedy): one for one in reversed(list(findings))}.values())[
        ::-1
    ]


def require_sound(text: str) -> RuleTimeline:
    """Parse a rule timeline that will be used for the first time.

    Raises:
        RulesError: the timeline has errors; it holds all of them.
    """
    require_no_errors(check_rules(text))
    return parse_timeline(text)


def require_no_errors(findings: Sequence[Finding]) -> None:
    """Require that none of the findings of `check_rules` is an error.

    Raises:
        RulesError: some are; it holds all of them.
    """
    if errors := [finding for finding in findings if finding.severity == "error"]:
        raise RulesError(errors)


@dataclass(frozen=True)
class _Check:
    timeline: RuleTimeline
    written: list[dict[str, Any]]
    """The rule sets as written in the text, without inherited honours."""
    lines: dict[Place, int]
    projects: Collection[str] | None

    def findings(self) -> Iterator[Finding]:
        sets = self.timeline.rule_sets
        yield from self._approvals(sets[-1])
        for number, rule_set in enumerate(sets):
            following = sets[number + 1] if number + 1 < len(sets) else None
            yield from self._minutes(number, rule_set)
            yield from self._windows(number, rule_set, following.holds_from if following else None)
            yield from self._levels(number, rule_set)
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
        seen: set[str] = set()
        for number, kind in enumerate(approvals.kinds):
            if kind in seen:
                yield self._warning(f"{kind} is listed twice", "remove one", "approvals", "kinds", number)
            seen.add(kind)
        raised_max, cap = approvals.raised_day_minutes_max, last.day_minutes_max
        if raised_max <= cap and ("approvals", "raised_day_minutes_max") in self.lines:
            sentence = f"a raise to at most {raised_max} minutes cannot exceed a day cap of {cap}"
            yield self._warning(sentence, f"use more than {cap}", "approvals", "raised_day_minutes_max")
        for name, what, most in (
            ("shift_minutes_more", "a shift", last.shift_minutes_max),
            ("person_day_minutes_more", "a day", cap),
        ):
            more = getattr(approvals, name)
            if more is not None and more >= most:
                sentence = f"{what} earns at most {most} minutes, and {more} may be added without approval"
                yield self._warning(sentence, f"use less than {most}", "approvals", name)

    def _written(self, number: int, kind: str, name: str) -> Place:
        """Return the place of an honour or ranking of a rule set in the text, which may be in an earlier set."""
        for earlier in range(number, -1, -1):
            place = self._places_of[kind][earlier].get(name)
            if place is not None:
                return "rule_sets", earlier, kind, place
        return "rule_sets", number, kind

    @cached_property
    def _places_of(self) -> dict[str, list[dict[str, int]]]:
        """The place of each honour and ranking, by its id, in each rule set as written."""
        return {
            kind: [{entry["id"]: place for place, entry in enumerate(own.get(kind, ()))} for own in self.written]
            for kind in ("honors", "rankings")
        }

    # --- minutes ----------------------------------------------------------------------------------------------------

    def _minutes(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        at = "rule_sets", number
        shortest, longest, cap = rules.shift_minutes_min, rules.shift_minutes_max, rules.day_minutes_max
        missing, unit = rules.missing_check_out_minutes, rules.credit_unit_minutes
        if cap < shortest:
            sentence = f"the day cap of {cap} minutes is below the shortest shift of {shortest}"
            yield self._error(
                sentence, f"raise it to at least {shortest}, or lower shift_minutes_min", *at, "day_minutes_max"
            )
        best = max([100, *(factor.percent for factor in rules.factors)])
        if unit > longest * best // 100:
            sentence = f"no shift can earn a whole unit of {unit} minutes"
            yield self._error(sentence, f"use at most {max(longest, 1)}", *at, "credit_unit_minutes")
        elif unit > max(shortest, 1):
            sentence = f"a shift of {shortest} minutes is long enough, but earns less than a unit of {unit}"
            yield self._warning(
                sentence, f"raise shift_minutes_min to {unit}, or lower the unit", *at, "credit_unit_minutes"
            )
        if 0 < missing < shortest:
            sentence = f"a shift without a check-out lasts {missing} minutes, which is too short to earn anything"
            yield self._warning(sentence, f"use 0, or at least {shortest}", *at, "missing_check_out_minutes")
        if missing > longest:
            sentence = f"a shift without a check-out lasts {missing} minutes, of which only {longest} can count"
            yield self._warning(sentence, f"use at most {longest}", *at, "missing_check_out_minutes")
        if rules.holds_from >= _LAST_DAY:
            yield self._warning(f"no service can be dated {_LAST_DAY} or later", "correct the date", *at, "holds_from")
        if rules.late_entry_working_days is not None and "late_entry_days" in rules.model_fields_set:
            sentence = "late entries are counted in working days, so late_entry_days has no effect"
            yield self._warning(sentence, "remove it", *at, "late_entry_days")

    # --- anomalies --------------------------------------------------------------------------------------------------

    def _anomalies(self) -> Iterator[Finding]:
        """Find thresholds with which nearly everything would be reported."""
        rules = self.timeline.anomalies
        caps = [rule_set.day_minutes_max for rule_set in self.timeline.rule_sets]
        by_chance = "if instants are entered in quarter hours, one in four is on a full hour by chance"
        minimums = (
            ("burst_entries_min", 2, "a single entry would be a burst"),
            ("round_shifts_min", 2, "a single shift on full hours would be reported"),
            ("same_person_entries_min", 2, "anybody who enters a single shift would be reported"),
            ("same_person_decisions_min", 2, "anybody who corrects a single shift would be reported"),
            ("clock_scans_min", 2, "a single scan sent late would count as a wrong clock"),
            ("round_percent_min", 50, by_chance),
            ("long_shift_minutes", min(caps), "shifts within the day cap would be reported"),
        )
        for name, minimum, sentence in minimums:
            if "anomalies" in self.timeline.model_fields_set and getattr(rules, name) < minimum:
                yield self._warning(sentence, f"use at least {minimum}", "anomalies", name)

    # --- windows ----------------------------------------------------------------------------------------------------

    def _windows(self, number: int, rules: RuleSet, until: date | None) -> Iterator[Finding]:
        at = "rule_sets", number, "factors"
        first = None if number == 0 else rules.holds_from
        try:
            cells_max = CELLS_COMPARED_MAX // len(self.timeline.rule_sets)
            reaches = window_reach(rules.factors, first, until, cells_max)
        except TooManyError:
            sentence = f"{len(rules.factors)} windows are too many to check for overlaps"
            yield self._warning(sentence, "combine some of them", *at)
            return
        needed = {other for reach in reaches for other in reach.before}
        for place, (factor, reach) in enumerate(zip(rules.factors, reaches, strict=True)):
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
                        f"the window {factor.name} overlaps {earlier.name} (line {self._line(*at, other)}), which "
                        f"comes first and wins: {earlier.percent} percent instead of {factor.percent}"
                    )
                    yield self._warning(sentence, "to let the other win, put it first", *at, place)
            if factor.name in [other.name for other in rules.factors[:place]]:
                sentence = f"two windows are named {factor.name}, so explanations could not distinguish them"
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
                f"the window {factor.name} extends beyond its rule set, {_span(first, until)}: it does not hold there"
            )
            yield self._warning(sentence, "put the rest of it in the neighbouring set", *place)
        for number, project in enumerate(factor.projects):
            if self.projects is not None and project not in self.projects:
                yield self._warning(f"no project is called {project}", "check its spelling", *place, "projects", number)

    def _named(self, rules: RuleSet, number: int, windows: Sequence[int]) -> str:
        return ", ".join(
            f"{rules.factors[other].name} (line {self._line('rule_sets', number, 'factors', other)})"
            for other in windows
        )

    # --- honours and rankings ---------------------------------------------------------------------------------------

    def _levels(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        """Find levels of an honour (star-1, star-2) whose minutes do not increase."""
        levels: dict[str, list[tuple[int, Threshold]]] = {}
        for honor in rules.honors:
            if parts := re.fullmatch(r"(.*?)[-._]?(\d+)", honor.id):
                levels.setdefault(parts.group(1), []).append((int(parts.group(2)), honor))
        for of_honor in levels.values():
            for (_, lower), (_, higher) in pairwise(sorted(of_honor, key=lambda level: level[0])):
                if higher.minutes_min <= lower.minutes_min:
                    sentence = (
                        f"{higher.id} requires {higher.minutes_min} minutes, no more than {lower.id} with "
                        f"{lower.minutes_min}"
                    )
                    at = *self._written(number, "honors", higher.id), "credited_minutes_min"
                    if self.written[number].get("honors"):  # inherited honours are reported in their own set
                        yield self._warning(sentence, "let the minutes increase with the level", *at)

    def _reachable(self, number: int, rules: RuleSet) -> Iterator[Finding]:
        """Find honours that nobody can reach in sixty years of service, or in one year of 366 days."""
        day_max = max(
            earlier.day_minutes_max * max([100, *(factor.percent for factor in earlier.factors)]) // 100
            for earlier in self.timeline.rule_sets[: number + 1]
        )
        for kind, honors, minutes_max in (
            ("honors", rules.honors, day_max * 366 * _YEARS_OF_SERVICE),
            ("rankings", [ranking for ranking in rules.rankings if ranking.of == "volunteers"], day_max * 366),
        ):
            for honor in honors:
                at = self._written(number, kind, honor.id)
                if at[:2] != ("rule_sets", number):
                    continue  # inherited honours are reported in their own set
                if honor.credited_minutes_min > minutes_max:
                    sentence = f"nobody can ever reach {honor.credited_minutes_min} minutes for {honor.id}"
                    yield self._warning(sentence, f"use at most {minutes_max}", *at, "credited_minutes_min")
                if isinstance(honor, Threshold) and honor.active_year_minutes_min > day_max * 366:
                    sentence = f"no year can ever have {honor.active_year_minutes_min} minutes for {honor.id}"
                    yield self._warning(sentence, f"use at most {day_max * 366}", *at, "active_year_minutes_min")

    def _dropped(self, number: int, before: RuleSet, after: RuleSet) -> Iterator[Finding]:
        """Find honours that a set drops or renames, windows that it drops, and a set that changes nothing."""
        dropped = []
        for kind in ("honors", "rankings"):
            later = {honor.id: honor for honor in getattr(after, kind)}
            for honor in getattr(before, kind):
                other = later.get(honor.id)
                if other is None:
                    dropped.append(honor.id)
                elif other.title != honor.title:
                    sentence = f"{honor.id} is called {other.title}, but {honor.title} in the set before"
                    at = *self._written(number, kind, honor.id), "title"
                    yield self._warning(sentence, "give it one title, or another id", *at)
        if dropped:
            more = len(dropped) - _NAMED_MAX
            named = ", ".join(dropped[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
            verb, subject = ("is", "it") if len(dropped) == 1 else ("are", "they")
            sentence = (
                f"{named} {verb} not in the set from {after.holds_from} on, so {subject} can no longer be reached"
            )
            remedy = "add honors_go_on = true to the set to keep the honours and rankings of the set before"
            yield self._warning(sentence, remedy, "rule_sets", number)
        if windows := dropped_windows(before, after, after.holds_from):
            yield self._warning(sentence_of_windows(windows, after.holds_from), REMEDY, "rule_sets", number, "factors")
        same = {"holds_from": after.holds_from, "honors_go_on": after.honors_go_on}
        if before.model_copy(update=same) == after:
            sentence = "this rule set is the same as the one before"
            yield self._warning(sentence, "make the intended change, or remove it", "rule_sets", number)


def _span(first: date | None, until: date | None) -> str:
    begins = f"from {first} on" if first else "from the beginning"
    return f"which holds {begins}" + (f" and ends before {until}" if until else "")
