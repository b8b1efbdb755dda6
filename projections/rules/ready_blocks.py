"""Ready blocks: the usual changes of the shipped rules as TOML, for `docs/rules-reference.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Block(NamedTuple):
    """A change as TOML. `changes`: the keys of a new rule set that differ from those of the set before it."""

    title: str
    about: str
    toml: str
    changes: tuple[str, ...] = ()


_SET: Final[Mapping[str, str]] = {
    "holds_from": "2027-01-01",
    "day_minutes_max": "480",
    "shift_minutes_min": "10",
    "shift_minutes_max": "720",
    "missing_check_out_minutes": "0",
    "credit_unit_minutes": "1",
    "double_tap_seconds": "60",
    "open_hours_max": "24",
    "undirected_punches": '"alternate"',
    "pair_across_stations": "true",
    "late_entry_working_days": "10",
    "honors_go_on": "true",
}
_NIGHT: Final = """
[[rule_sets.factors]]
name = "night"
percent = 120
minute_from = "22:00"
minute_until = "06:00"
station_kinds = ["city", "special"]
"""


def _new_set(changes: Mapping[str, str | None], tables: str = "") -> str:
    """Return a rule set with some values changed (None: left out), and what comes before the night window."""
    lines = []
    for key, value in {**_SET, **changes}.items():
        if value is not None:
            was = _SET.get(key)
            mark = f"  # was {was}" if key in changes and was else "  # new" if key in changes else ""
            lines.append(f"{key} = {value}{mark}")
    return "\n".join(["[[rule_sets]]", *lines]) + "\n" + tables + _NIGHT


def _change(title: str, about: str, tables: str = "", **changes: str | None) -> Block:
    return Block(title, about, _new_set(changes, tables), tuple(changes))


BLOCKS: Final = (
    _change(
        "Raise the cap of the day",
        "From a day of service on; the days before keep their cap. For one person and day there is the command "
        "`raise-day-cap` ([corrections](corrections.md)).",
        day_minutes_max="600",
    ),
    _change(
        "Change the shortest and the longest shift",
        "Shorter stays earn nothing; later minutes of a longer shift earn nothing.",
        shift_minutes_min="15",
        shift_minutes_max="600",
    ),
    _change(
        "Credit a shift without a check-out",
        "So many minutes, as attested service. 0 credits nothing until the shift is corrected.",
        missing_check_out_minutes="60",
    ),
    _change(
        "Credit whole half hours",
        "The unit of credit; a shift shorter than a unit would earn nothing, so the shortest shift goes with it.",
        shift_minutes_min="30",
        credit_unit_minutes="30",
    ),
    _change(
        "Take repeated taps of a card as one scan",
        "Two minutes instead of one.",
        double_tap_seconds="120",
    ),
    _change(
        "Pair scans without a shift id otherwise",
        "A check-out within 12 hours, at the same station only; readers without direction give the first and the "
        "last scan of a day.",
        open_hours_max="12",
        undirected_punches='"first-and-last"',
        pair_across_stations="false",
    ),
    _change(
        "Shorten the time for late entries",
        "Five working days after the service. Later entries are marked, and lose nothing.",
        late_entry_working_days="5",
    ),
    _change(
        "Count the time for late entries in calendar days",
        "The key for working days is left out, or it would win.",
        late_entry_working_days=None,
        late_entry_days="30",
    ),
    Block(
        "Add a factor window for some days",
        "A minute earns 150 percent. At the end of the shipped file it belongs to the set from 2017 on. From "
        "22:00 to 06:00 the window `night` comes first and wins, so the new one ends there.",
        """
[[rule_sets.factors]]
name = "spring-festival-2027"
percent = 150
first_day = 2027-02-05
last_day = 2027-02-11
minute_from = "06:00"
minute_until = "22:00"
""",
    ),
    Block(
        "Add a factor window for a project",
        "By day, for the service of a project.",
        """
[[rule_sets.factors]]
name = "games-2027"
percent = 200
first_day = 2027-08-01
last_day = 2027-08-31
minute_from = "06:00"
minute_until = "22:00"
projects = ["P0001"]
""",
    ),
    _change(
        "Add a factor window for weekends",
        "A window without dates holds on all days of its set, so it needs a new one, or past weekends would earn "
        "more as well.",
        """
[[rule_sets.factors]]
name = "weekend"
percent = 110
weekdays = [6, 7]
minute_from = "06:00"
minute_until = "22:00"
""",
    ),
    Block(
        "Add an honour",
        "It belongs to the last set of the file. It is reached on the first day on which its conditions hold, "
        "which can be a day in the past.",
        """
[[rule_sets.honors]]
id = "diamond"
title = "钻石义工"
credited_minutes_min = 300_000
tenure_months_min = 60
""",
    ),
    Block(
        "Add a badge for years of service",
        "Ten calendar years with 50 hours each, all of them scanned.",
        """
[[rule_sets.honors]]
id = "ivy-10"
title = "长春藤十年徽章"
credited_minutes_min = 0
grade = "scanned"
active_years_min = 10
active_year_minutes_min = 3_000
""",
    ),
    _change(
        "Change what an honour requires",
        "In a new set, by the same id. Who has reached it before keeps it.",
        """
[[rule_sets.honors]]
id = "star-1"
title = "一星级义工"
credited_minutes_min = 6_000
tenure_months_min = 6
""",
    ),
    Block(
        "Add a ranking",
        "The first hundred by scanned minutes. Ranks of past years are computed as well, from the year in which "
        "the set holds.",
        """
[[rule_sets.rankings]]
id = "top-scanned"
title = "百优到岗义工"
of = "volunteers"
places = 100
order = ["scanned_minutes", "shifts"]
credited_minutes_min = 0
scanned_minutes_min = 3_000
""",
    ),
    Block(
        "Require approval of more acts",
        "Here also of awards, and of training. `kinds` is the whole list: acts that are left out need no approval"
        " of their own.",
        """
[approvals]
kinds = [
    "attest-shift", "correct-shift", "void-shift", "reinstate-shift", "move-shift", "undo-merge",
    "record-opening-balance", "void-opening-balance", "raise-day-cap", "withdraw-day-cap-raise",
    "award-honor", "revoke-honor", "record-training",
]
""",
    ),
    Block(
        "Require approval of effects only",
        "Any act that adds more than an hour to a shift or a day needs approval, of whatever type it is.",
        """
[approvals]
kinds = []
shift_minutes_more = 60
person_day_minutes_more = 60
""",
    ),
    Block(
        "Refuse scans that are typed",
        "Hours that nobody scanned are then requested with `attest-shift`.",
        """
[approvals]
typed_scans = true
""",
    ),
    Block(
        "Limit raises of a person's day",
        "At most ten hours instead of twelve.",
        """
[approvals]
raised_day_minutes_max = 600
""",
    ),
    Block(
        "Change the deadlines of disputes",
        "In working days after the day a dispute was opened.",
        """
[disputes]
answer_working_days = 3
settle_working_days = 10
""",
    ),
    Block(
        "Announce honours for longer",
        "In working days.",
        """
[public_notice]
working_days = 7
""",
    ),
    Block(
        "Report fewer anomalies",
        "Shorter overlaps are not reported, and scans may arrive a week late.",
        """
[anomalies]
overlap_minutes_min = 10
upload_hours_max = 168
""",
    ),
)
