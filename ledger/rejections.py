"""Why a command is refused: each rule has a name, a sentence with the way out, and says whether a retry can help.

The order of this list is the order of precedence: where several rules forbid a command, the first one here is the
answer. Only what cannot be a fact, or is not allowed, is refused; what a fact is worth is for the rules of credit.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple
from uuid import UUID


class Rejection(Enum):
    """A named rule. `retry`: what is missing may be on its way, so the same command may be accepted later."""

    def __init__(self, code: str, sentence: str, retry: bool) -> None:  # noqa: FBT001 - the table below reads as a table
        self.code = code
        self.sentence = sentence
        self.retry = retry

    # The command's name.
    NAME_TAKEN = "name-taken", "this name was used for a command of other content; choose another", False

    # Two pairs of eyes.
    OWN_HOURS = "own-hours", "nobody acts on their own hours; let somebody else do it", False
    NEEDS_APPROVAL = "needs-approval", "the rules want another's approval for this; ask for it with request-act", False

    # Who and where: a fact is about volunteers, stations, projects and organisations that the ledger knows.
    UNKNOWN_VOLUNTEER = "unknown-volunteer", "no volunteer has this number; register the volunteer first", True
    UNKNOWN_STATION = "unknown-station", "no station has this id; open the station first", True
    UNKNOWN_PROJECT = "unknown-project", "no project has this id; launch the project first", True
    UNKNOWN_ORGANISATION = "unknown-organisation", "no organisation has this id; found it first", True
    SAME_VOLUNTEER = "same-volunteer", "this is the same volunteer; name another", False

    # When.
    FUTURE = "future", "lies in the future, beyond what a clock may be wrong by; check the clock", True
    ENDS_BEFORE_IT_BEGINS = "ends-before-it-begins", "the check-out must be after the check-in", False

    # Shifts.
    NO_OPEN_SHIFT = "no-open-shift", "the volunteer has no shift that this check-out could end; name the shift", True
    SEVERAL_OPEN_SHIFTS = "several-open-shifts", "the check-out could end any of the candidates; name the shift", False
    UNKNOWN_SHIFT = "unknown-shift", "the volunteer has no shift of this id; check the number and the id", True
    SHIFT_EXISTS = "shift-exists", "the volunteer already has a shift of this id; correct or reinstate it", False
    ALREADY_VOID = "already-void", "the shift is void; reinstate it first", False
    NOT_VOID = "not-void", "the shift is not void; there is nothing to reinstate", False
    REPLACEMENT_STANDS = (
        "replacement-stands",
        "the shift counts for the volunteer it moved to; void it there first",
        False,
    )
    NO_CHECK_IN = "no-check-in", "the shift has no check-in to move; correct it first", True
    NO_OPEN_DISPUTE = "no-open-dispute", "the shift is not disputed; there is nothing to settle", False
    OWN_DISPUTE = "own-dispute", "who opened the dispute may not settle it; let somebody else settle it", False
    OWN_ENTRY = (
        "own-entry",
        "who made the disputed entry may not settle the dispute; let somebody else settle it",
        False,
    )

    # Volunteers and organisations.
    ALREADY_REGISTERED = "already-registered", "the volunteer is registered; nothing is to be done", False
    ALREADY_WITHDRAWN = "already-withdrawn", "the volunteer has withdrawn; nothing is to be done", False
    ALREADY_MERGED = "already-merged", "this number was merged into another; name the number that goes on", False
    NOT_MERGED = "not-merged", "the number is not merged into this one; there is nothing to undo", False
    ALREADY_MEMBER = "already-member", "the volunteer is a member of this organisation; nothing is to be done", False
    NOT_A_MEMBER = "not-a-member", "the volunteer is not a member of this organisation; check its id", False
    ALREADY_FOUNDED = "already-founded", "the organisation exists; choose another id", False
    ORGANISATION_ENDED = (
        "organisation-ended",
        "the organisation had ended by then; name another, or found it again",
        False,
    )
    ENDED_ALREADY = "ended-already", "the organisation has ended; nothing is to be done", False
    STANDS_THERE = "stands-there", "the organisation stands there already; nothing is to be done", False
    BELOW_ITSELF = "below-itself", "the organisation would stand below itself; name another parent", False
    UNKNOWN_TRAINING = (
        "unknown-training",
        "no training record that stands says this; check tier, content, provider and date",
        True,
    )

    # Stations and projects.
    ALREADY_OPEN = "already-open", "the station is open; close it first to change it", False
    ALREADY_CLOSED = "already-closed", "the station is closed; nothing is to be done", False
    ALREADY_LAUNCHED = "already-launched", "the project is running; end it first to change it", False
    ALREADY_ENDED = "already-ended", "the project has ended; nothing is to be done", False
    NO_REASON = "no-reason", "this was counted before; say why it is counted anew", False

    # Balances and caps.
    BALANCE_STANDS = "balance-stands", "an opening balance stands; void it first", False
    NO_BALANCE = "no-balance", "no opening balance stands; there is nothing to void", False
    RAISE_TOO_HIGH = "raise-too-high", "lies beyond what the rules let anybody approve here; ask for less", False
    RAISE_EXISTS = "raise-exists", "this day has had a raise of this id; choose another id", False
    UNKNOWN_RAISE = "unknown-raise", "no raise of this id is in force on this day; check the day and the id", False

    # Requests.
    REQUEST_EXISTS = "request-exists", "something was asked for under this id; choose another", False
    UNKNOWN_REQUEST = "unknown-request", "nothing was asked for under this id; check it", True
    REQUEST_ENDED = (
        "request-ended",
        "the request was approved, declined or withdrawn; ask again under another id",
        False,
    )
    OWN_REQUEST = "own-request", "who asked may not decide about it; let somebody else, or withdraw it", False
    ANOTHERS_REQUEST = "anothers-request", "another asked for this; decline it instead", False

    # Rules and honours.
    ALREADY_PUBLISHED = "already-published", "this very text is the timeline in force; nothing is to be done", False
    UNKNOWN_RULES = "unknown-rules", "no rule timeline of this version was published; publish it first", True
    AWARD_EXISTS = "award-exists", "an honour was announced under this award id; choose another", False
    UNKNOWN_AWARD = "unknown-award", "no honour was announced under this award id; announce it first", True
    ALREADY_AWARDED = "already-awarded", "the honour was conferred; revoke it to take it back", False
    ALREADY_REVOKED = "already-revoked", "the honour was revoked; announce it anew under another award id", False
    UNKNOWN_OBJECTION = "unknown-objection", "the award has no objection of this number; see the award", True
    OWN_HONOR = "own-honor", "nobody decides about an honour of their own; let another officer do it", False
    SAME_HANDS = (
        "same-hands",
        "who announced the honour or objected to it may not settle the objection; let another officer do it",
        False,
    )
    OBJECTION_SETTLED = "objection-settled", "the objection was settled; object anew if there is more to say", False

    # The evidence of an honour, as far as the ledger can tell without the read models.
    NO_EVIDENCE = "no-evidence", "the honour has no evidence; name rules, position and minutes", False
    UNKNOWN_HONOR = "unknown-honor", "the rules have no honour of this id; see /v1/honors for those they have", False
    WRONG_RECIPIENT = "wrong-recipient", "the rules give this honour to others; name one of them", False
    WRONG_YEAR = (
        "wrong-year",
        "the honours of a ranking have a year and a rank, and no others have; name them, or leave them out",
        False,
    )
    EVIDENCE_AHEAD = "evidence-ahead", "the log does not reach so far; name a position that it has", True
    BELOW_MINIMUM = "below-minimum", "the rules never give this honour for so little; correct the evidence", False
    BEHIND_LAST_PLACE = "behind-last-place", "the ranking never has so many places; correct the rank", False

    # The life of an award.
    NOTICE_RUNS = "notice-runs", "its public notice has not ended; award it when it has", True
    OBJECTION_OPEN = "objection-open", "an objection is open; settle it first", True
    OBJECTION_UPHELD = "objection-upheld", "an objection was upheld; revoke it, and announce it anew if due", False

    # The submission.
    NOT_ALONE = (
        "not-alone",
        "another command of this atomic submission was refused; correct it or leave it out",
        True,
    )

    # Ourselves.
    FAILED = "failed", "the ledger failed at this command; the failure is in its error log", True


class Refused(NamedTuple):
    """The answer to a command that changed nothing: the rule, the field at fault, what it is and the way out."""

    rejection: Rejection
    field: str
    detail: str
    candidates: tuple[UUID, ...] = ()
    """The shifts that a check-out could have meant."""

    @property
    def retry(self) -> bool:
        """Whether the same command may be accepted later."""
        return self.rejection.retry


def refuse(rejection: Rejection, field: str, value: object, candidates: tuple[UUID, ...] = ()) -> Refused:
    """Return a refusal whose detail names the field and its value, and says the way out."""
    return Refused(rejection, field, f"{field} {value}: {rejection.sentence}", candidates)
