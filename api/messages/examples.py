"""An example of every command, for the OpenAPI description.

Together they are a story that the demonstration (`hours run`) accepts. What a station sends is about V0000442, who is
registered there, and is accepted as it is; what people send is also about a volunteer whom the story registers first.
"""

from __future__ import annotations

from typing import Any

_SHIFT = "01677760-3d00-7000-8000-000000000001"
_ABOUT = {"volunteer": "V0000442", "shift": _SHIFT}

EXAMPLES: dict[str, dict[str, Any]] = {
    "check-in": {
        "volunteer": "V0000442",
        "station": "C01",
        "occurred_at": "2018-12-04T09:00:00+08:00",
        "shift": _SHIFT,
    },
    "check-out": {
        "volunteer": "V0000442",
        "station": "C01",
        "occurred_at": "2018-12-04T12:00:00+08:00",
        "shift": _SHIFT,
    },
    "punch": {
        "volunteer": "V0000442",
        "station": "C01",
        "occurred_at": "2018-12-05T09:00:00+08:00",
        "direction": "in",
    },
    "attest-shift": {
        "volunteer": "V0000442",
        "station": "C01",
        "check_in": "2018-12-01T09:00:00+08:00",
        "check_out": "2018-12-01T12:00:00+08:00",
        "evidence": "paper-list",
        "text": "The tablet was at the repair shop.",
    },
    "correct-shift": {
        **_ABOUT,
        "changes": ["check_out"],
        "check_out": "2018-12-04T11:30:00+08:00",
        "reason": "left-early",
    },
    "void-shift": {**_ABOUT, "reason": "entered-twice"},
    "reinstate-shift": {**_ABOUT, "reason": "voided-in-error"},
    "move-shift": {**_ABOUT, "to_volunteer": "V0000462", "reason": "wrong-card"},
    "dispute-shift": {**_ABOUT, "reason": "too-few-minutes", "text": "I stayed until noon."},
    "answer-dispute": {
        **_ABOUT,
        "reason": "scans-looked-at",
        "text": "The tablet shows 11:30; we ask the shift leader.",
    },
    "settle-dispute": {**_ABOUT, "outcome": "upheld", "reason": "seen-by-others"},
    "register-volunteer": {"volunteer": "V9000001", "registered_on": "2016-03-05", "organisation": "fed-01"},
    "withdraw-volunteer": {"volunteer": "V9000001", "withdrawn_on": "2018-12-01", "reason": "moved-away"},
    "merge-volunteer": {"volunteer": "V9000001", "into": "V0000442", "reason": "registered-twice"},
    "undo-merge": {"volunteer": "V9000001", "into": "V0000442", "reason": "two-persons"},
    "record-training": {
        "volunteer": "V9000001",
        "tier": "basic",
        "content": "first-aid",
        "learning_minutes": 180,
        "provider": "fed-01",
        "completed_on": "2018-11-10",
    },
    "void-training": {
        "volunteer": "V9000001",
        "tier": "basic",
        "content": "first-aid",
        "provider": "fed-01",
        "completed_on": "2018-11-10",
        "reason": "another-volunteer",
    },
    "join-organisation": {"volunteer": "V9000001", "organisation": "tree-friends", "joined_on": "2018-01-01"},
    "leave-organisation": {"volunteer": "V9000001", "organisation": "tree-friends", "left_on": "2018-12-01"},
    "found-organisation": {
        "organisation": "tree-friends",
        "kind": "ngo",
        "parent": "luohu",
        "name": "爱树之友",
    },
    "rename-organisation": {"organisation": "tree-friends", "name": "爱树之友义工队"},
    "move-organisation": {
        "organisation": "tree-friends",
        "parent": "fed-01",
        "moved_on": "2018-07-01",
        "reason": "district-reform",
    },
    "end-organisation": {"organisation": "tree-friends", "ended_on": "2018-12-01", "reason": "dissolved"},
    "open-station": {"station": "C99", "kind": "city", "organisation": "fed-01", "name": "罗湖图书馆"},
    "rename-station": {"station": "C99", "name": "罗湖图书馆服务站"},
    "close-station": {"station": "C99", "reason": "rebuilding"},
    "launch-project": {
        "project": "tree-care",
        "content": "caring-for-trees",
        "in_charge": "V9000001",
        "name": "护树行动",
    },
    "rename-project": {"project": "tree-care", "name": "护树课堂"},
    "end-project": {"project": "tree-care", "reason": "completed"},
    "count-people-served": {"station": "C01", "day": "2018-12-04", "people": 120},
    "record-opening-balance": {
        "volunteer": "V9000001",
        "minutes": 6000,
        "as_of": "2010-12-31",
        "evidence": "paper-register",
    },
    "void-opening-balance": {"volunteer": "V9000001", "reason": "entered-twice"},
    "raise-day-cap": {
        "volunteer": "V9000001",
        "day": "2018-02-16",
        "raise_id": "spring-festival-7",
        "minutes": 720,
        "reason": "spring-festival",
    },
    "withdraw-day-cap-raise": {
        "volunteer": "V9000001",
        "day": "2018-02-16",
        "raise_id": "spring-festival-7",
        "reason": "not-served",
    },
    "request-act": {
        "request": "typhoon-7",
        "act": "raise-day-cap",
        "fields": {
            "volunteer": "V9000001",
            "day": "2018-09-16",
            "raise_id": "typhoon-7",
            "minutes": 720,
            "reason": "typhoon",
        },
        "text": "The shelter was open all night.",
    },
    "approve-act": {"request": "typhoon-7"},
    "decline-act": {"request": "typhoon-8", "reason": "shelter-was-closed"},
    "withdraw-request": {"request": "typhoon-9", "reason": "asked-twice"},
    "publish-rules": {
        "text": 'name = "luohu"\ntime_zone = "Asia/Shanghai"\n\n[[rule_sets]]\nholds_from = 2000-01-01\n'
        "day_minutes_max = 480\nshift_minutes_min = 10\nshift_minutes_max = 720\n"
    },
    "put-rules-in-force": {"rules_version": 1, "reason": "cap-too-low", "text": "The board asked for the old cap."},
    "announce-honor": {
        "award": "star-1-V9000001",
        "honor": "star-1",
        "volunteer": "V9000001",
        "rules_version": 1,
        "evidence_position": 1000,
        "credited_minutes": 6120,
        "reached_on": "2018-11-17",
    },
    "object-to-honor": {"award": "star-1-V9000001", "reason": "hours-doubted"},
    "settle-honor-objection": {
        "award": "star-1-V9000001",
        "objection": 1,
        "outcome": "rejected",
        "reason": "seen-by-others",
    },
    "award-honor": {
        "award": "star-1-V9000001",
        "awarded_on": "2018-12-14",
        "rules_version": 1,
        "evidence_position": 1000,
        "credited_minutes": 6120,
    },
    "revoke-honor": {"award": "star-1-V9000001", "reason": "hours-voided"},
    "issue-certificate": {
        "volunteer": "V9000001",
        "from_year": 2018,
        "to_year": 2018,
        "scanned_minutes": 150,
        "attested_minutes": 180,
        "evidence_position": 1000,
        "rules_digest": "a017ab790a90a184a714e4a35bcd65cd69c334e574c5fe26e8f3d94d13f0b5c0",  # of rules/luohu.toml
        "organisation": "fed-01",
        "content": "车站引导",
        "handler": "王经办",
    },
    "revoke-certificate": {"certificate": "2018-000001", "reason": "issued-in-error"},
}
"""An example body for each type of command."""

EVENT_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "in-000017",
    "source": "/stations/C01/tablet-1",
    "type": "org.service-hours.check-in.v1",
    "datacontenttype": "application/json",
    "data": EXAMPLES["check-in"],
}
"""One CloudEvent."""

BINARY_HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "in-000018",
    "ce-source": "/stations/C01/tablet-1",
    "ce-type": "org.service-hours.check-in.v1",
}
"""The headers with which its data alone is an event."""

EVENTS_EXAMPLE: list[dict[str, Any]] = [
    EVENT_EXAMPLE,
    {**EVENT_EXAMPLE, "id": "out-000017", "type": "org.service-hours.check-out.v1", "data": EXAMPLES["check-out"]},
]
"""A batch of CloudEvents."""
