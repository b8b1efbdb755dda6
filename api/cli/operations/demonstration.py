"""The demonstration's keys, and three examples that use them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from api.access.keys import digest
from api.access.roles import Role
from api.access.sign_in_links import sign_in_link
from api.messages.periods import local_day
from api.operations.service import OpenLedger
from replay.durable import atomic_file

KEYS = "demo-keys.json"
NAMES = {
    Role.STATION: "",  # the first station's id
    Role.STAFF: "demo",
    Role.APPROVER: "demo-approver",
    Role.VOLUNTEER: "",  # the number of a volunteer with many hours
    Role.HONORS_OFFICER: "demo-honors-officer",
    Role.ANALYST: "demo-analyst",
    Role.AUDITOR: "demo-auditor",
}
"""Whose keys the demonstration has, in the order in which they are made."""


def demo_keys(ledger: OpenLedger) -> dict[str, str]:
    """Return the demonstration's keys by role, and as `station_id` and `volunteer_id` whose two of them are. They are
    made at the first start and stored in the data directory.

    Only its owner can read the file. Keys that were revoked or belong to another ledger are replaced.
    """
    path = ledger.data / KEYS
    known = _read(path)
    missing = [role for role in NAMES if not ledger.keys.find(digest(known.get(role.value, "")))]
    if not missing:
        return known
    own = {Role.STATION: ledger.queries.stations()[0], Role.VOLUNTEER: _volunteer(ledger, 0)}
    made = {**known, **{f"{role.value}_id": own[role] for role in own if role in missing}}
    made |= {role.value: ledger.keys.make(role, own.get(role) or NAMES[role])[1] for role in missing}
    with atomic_file(path) as temporary:
        temporary.touch(0o600)
        temporary.write_text(json.dumps(made, indent=2))
    return made


def _read(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def sign_in_links(address: str, keys: dict[str, str]) -> dict[str, str]:
    """Return the links that sign a browser in, by role."""
    return {role.value: sign_in_link(address, keys[role.value]) for role in NAMES}


def things_to_try(ledger: OpenLedger, address: str, keys: dict[str, str], shift: UUID) -> list[tuple[str, str]]:
    """Return examples as pairs of description and command: check in and out, see the minutes, have them corrected."""
    volunteer = _volunteer(ledger, shift.int)
    now = datetime.now(UTC).replace(microsecond=0, second=0)
    source, name = f"/stations/{keys['station_id']}", str(shift)[-12:]
    events = [
        {
            "specversion": "1.0",
            "id": f"{kind}-{name}",
            "source": source,
            "type": f"org.service-hours.check-{kind}.v1",
            "data": {
                "volunteer": volunteer,
                "station": keys["station_id"],
                "shift": str(shift),
                "occurred_at": (now - timedelta(hours=hours)).isoformat(),
            },
        }
        for kind, hours in (("in", 3), ("out", 1))
    ]
    request = {
        "request": f"left-early-{name}",
        "act": "correct-shift",
        "fields": {
            "volunteer": volunteer,
            "shift": str(shift),
            "changes": ["check_out"],
            "check_out": (now - timedelta(minutes=90)).isoformat(),
            "reason": "left-early",
        },
    }
    approval = {"request": request["request"]}
    station, staff, approver = (f"-H 'Authorization: Bearer {keys[role]}'" for role in ("station", "staff", "approver"))
    plain = "-H 'Content-Type: application/json'"
    batch = "-H 'Content-Type: application/cloudevents-batch+json'"
    wanted = (
        f"curl -s {address}/v1/commands/request-act {staff} {plain} -d '{json.dumps(request)}'",
        f"curl -s {address}/v1/commands/approve-act {approver} {plain} -d '{json.dumps(approval)}'",
    )
    day = (now - timedelta(days=1)).date()
    return [
        (
            "Check a volunteer in three hours ago, and out an hour ago",
            f"curl -s {address}/v1/events {station} {batch} -d '{json.dumps(events)}'",
        ),
        (
            "See the minutes, and where each went",
            f"curl -s '{address}/v1/volunteers/{volunteer}/shifts?from={day}' {station}",
        ),
        (
            "Have the check-out corrected to an hour and a half ago: staff requests it, another key approves it",
            " && echo && ".join(wanted),
        ),
    ]


def _volunteer(ledger: OpenLedger, draw: int) -> str:
    """Return a volunteer with many hours; `draw` selects which."""
    timeline = ledger.current_generation().timeline()
    first = next((honor.id for rule_set in timeline.rule_sets for honor in rule_set.honors), None)
    today = local_day(ledger.clock(), timeline)
    reached = ledger.queries.standings(first, today).standings if first else []
    if reached:
        return reached[draw % len(reached)].volunteer
    with ledger.database.pool.connection() as connection:
        row = connection.execute("SELECT min(volunteer) FROM replay.volunteers").fetchone()
    return (row and row[0]) or "V0000001"
