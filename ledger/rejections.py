"""Rejections: the reasons why a command is refused. Each has a code, a sentence with a remedy, and a retry flag.

The list is in the order of precedence: if several reasons apply to a command, the first one here is returned. Commands
are refused only if they cannot be facts or are not allowed; what a fact is worth is left to the rules of credit.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Rejection(Enum):
    """A reason for refusal. `retry`: the same command may be accepted later, because what it lacks may still arrive."""

    def __init__(self, code: str, sentence: str, retry: bool) -> None:  # noqa: FBT001 - the table below reads as a table
        self.code = code
        self.sentence = sentence
        self.retry = retry

    # The command's name.
    NAME_TAKEN = (
        "name-taken",
        "this name was used for a command with other content; repeat that one as it was first sent, or use a new id",
        False,
    )

    # Four-eyes approval.
    OWN_HOURS = "own-hours", "nobody may act on their own hours; let somebody else do it", False
    NEEDS_APPROVAL = (
        "needs-approval",
        "the rules require another person's approval for this; request it with request-act",
        False,
    )

    # References: a fact is about volunteers, stations, projects and organisations that the ledger knows.
    UNKNOWN_VOLUNTEER = "unknown-volunteer", "no volunteer has this number; register the volunteer first", True
    UNKNOWN_STATION = "unknown-station", "no station has this id; open the station first", True
    UNKNOWN_PROJECT = "unknown-project", "no project has this id; launch the project first", True
    UNKNOWN_ORGANISATION = "unknown-organisation", "no organisation has this id; found it first", True
    SAME_VOLUNTEER = "same-volunteer", "this is the same volunteer; name another", False

    # Time.
    FUTURE = "future", "lies in the future, beyond the allowed clock skew; check the clock", True
    ENDS_BEFORE_IT_BEGINS = (
        "ends-before-it-begins",
        "the check-out must be after the check-in; correct one of the two",
        False,
    )
    LASTS_TOO_LONG = "lasts-too-long", "a shift lasts a week at most; correct the day of one of its ends", False

    # Shifts.
    UNKNOWN_SHIFT = "unknown-shift", "the volunteer has no shift with this id; check the number and the id", True
    SHIFT_EXISTS = "shift-exists", "the volunteer already has a shift with this id; correct or reinstate it", False
    ALREADY_VOID = "already-void", "the shift is void; reinstate it first", False
    NOT_VOID = "not-void", "the shift is not void; there is nothing to reinstate", False
    REPLACEMENT_STANDS = (
        "replacement-stands",
        "the shift counts for the volunteer it moved to; void it there first",
        False,
    )
    NO_CHECK_IN = "no-check-in", "the shift has no check-in to move; correct it first", True
    NO_OPEN_DISPUTE = "no-open-dispute", "the shift is not disputed; there is nothing to settle", False
    DISPUTE_FULL = (
        "dispute-full",
        "the open dispute has as many additions as are kept; wait until it is settled",
        False,
    )
    OWN_DISPUTE = (
        "own-dispute",
        "the person who opened the dispute may not settle it; let somebody else settle it",
        False,
    )
    OWN_ENTRY = (
        "own-entry",
        "the person who made the disputed entry may not settle the dispute; let somebody else settle it",
        False,
    )

    # Volunteers and organisations.
    ALREADY_REGISTERED = "already-registered", "the volunteer is already registered; no action is needed", False
    ALREADY_WITHDRAWN = "already-withdrawn", "the volunteer has already withdrawn; no action is needed", False
    ALREADY_MERGED = "already-merged", "this number was merged into another; name that number instead", False
    NOT_MERGED = "not-merged", "the number is not merged into this one; there is nothing to undo", False
    ALREADY_MEMBER = (
        "already-member",
        "the volunteer is already a member of this organisation; no action is needed",
        False,
    )
    NOT_A_MEMBER = "not-a-member", "the volunteer is not a member of this organisation; check its id", False
    ALREADY_FOUNDED = "already-founded", "the organisation exists; choose another id", False
    ORGANISATION_ENDED = (
        "organisation-ended",
        "the organisation had ended by then; name another, or found it again",
        False,
    )
    ENDED_ALREADY = "ended-already", "the organisation has already ended; no action is needed", False
    STANDS_THERE = "stands-there", "the organisation already has this parent; no action is needed", False
    BELOW_ITSELF = "below-itself", "the organisation would be its own ancestor; name another parent", False
    UNKNOWN_TRAINING = (
        "unknown-training",
        "no training record in force matches; check tier, content, provider and date",
        True,
    )

    # Stations and projects.
    ALREADY_NAMED = "already-named", "it already has this name; no action is needed", False
    ALREADY_OPEN = "already-open", "the station is open; close it first to change it", False
    ALREADY_CLOSED = "already-closed", "the station is already closed; no action is needed", False
    ALREADY_LAUNCHED = "already-launched", "the project is running; end it first to change it", False
    ALREADY_ENDED = "already-ended", "the project has already ended; no action is needed", False
    NO_REASON = "no-reason", "this was counted before; give a reason for the new count", False

    # Balances and caps.
    BALANCE_STANDS = "balance-stands", "an opening balance is in force; void it first", False
    NO_BALANCE = "no-balance", "no opening balance is in force; there is nothing to void", False
    RAISE_TOO_HIGH = "raise-too-high", "exceeds the maximum that the rules allow; request less", False
    RAISE_TOO_LOW = "raise-too-low", "is below the day cap of the rules, which no raise lowers; request more", False
    RAISE_EXISTS = "raise-exists", "this day already has or had a raise with this id; choose another id", False
    UNKNOWN_RAISE = "unknown-raise", "no raise with this id is in force on this day; check the day and the id", False

    # Requests.
    REQUEST_EXISTS = "request-exists", "a request with this id exists; choose another id", False
    UNKNOWN_REQUEST = "unknown-request", "no request has this id; check the id", True
    REQUEST_ENDED = (
        "request-ended",
        "the request was approved, declined or withdrawn; make a new request under another id",
        False,
    )
    OWN_REQUEST = (
        "own-request",
        "the requester may not decide about the request; let somebody else decide, or withdraw it",
        False,
    )
    ANOTHERS_REQUEST = "anothers-request", "another person made this request; decline it instead", False

    # Rules and honours.
    ALREADY_PUBLISHED = "already-published", "this text is already the timeline in force; no action is needed", False
    ALREADY_IN_FORCE = "already-in-force", "these rules are in force; no action is needed", False
    CHANGES_TIME_ZONE = (
        "changes-time-zone",
        "the new rules would move every local day and time; correct time_zone, or send change_time_zone true",
        False,
    )
    UNKNOWN_RULES = "unknown-rules", "no rule timeline with this version was published; publish it first", True
    AWARD_EXISTS = "award-exists", "an honour was announced under this award id; choose another", False
    UNKNOWN_AWARD = "unknown-award", "no honour was announced under this award id; announce it first", True
    ALREADY_AWARDED = "already-awarded", "the honour was awarded; revoke it to take it back", False
    ALREADY_REVOKED = "already-revoked", "the honour was revoked; announce it again under another award id", False
    UNKNOWN_OBJECTION = "unknown-objection", "the award has no objection with this number; check the award", True
    OWN_HONOR = "own-honor", "nobody may decide about their own honour; let another officer do it", False
    SAME_HANDS = (
        "same-hands",
        "the person who announced the honour or objected to it may not settle the objection; let another officer do it",
        False,
    )
    OBJECTION_SETTLED = "objection-settled", "the objection was settled; object again if necessary", False

    # The evidence of an honour, as far as it can be verified without the read models.
    NO_EVIDENCE = "no-evidence", "the honour has no evidence; give rules version, position and minutes", False
    UNKNOWN_HONOR = "unknown-honor", "the rules have no honour with this id; see /v1/honors", False
    WRONG_RECIPIENT = (
        "wrong-recipient",
        "the rules give this honour to another kind of recipient; name a project instead of a volunteer, or vice versa",
        False,
    )
    WRONG_YEAR = (
        "wrong-year",
        "only the honours of a ranking have a year and a rank; give both for a ranking, else neither",
        False,
    )
    EVIDENCE_AHEAD = "evidence-ahead", "the log has no such position; give an existing one", True
    BELOW_MINIMUM = "below-minimum", "the rules require more minutes for this honour; correct the evidence", False
    BEHIND_LAST_PLACE = "behind-last-place", "the ranking has fewer places; correct the rank", False

    # The life of an award.
    NOTICE_RUNS = "notice-runs", "its public notice has not ended; award it once it has", True
    OBJECTION_OPEN = "objection-open", "an objection is open; settle it first", True
    OBJECTION_UPHELD = (
        "objection-upheld",
        "an objection was upheld; revoke the honour, and announce it again if due",
        False,
    )

    # Certificates.
    OWN_CERTIFICATE = (
        "own-certificate",
        "nobody may issue a certificate for themselves; let another officer do it",
        False,
    )
    UNKNOWN_CERTIFICATE = "unknown-certificate", "no certificate has this number; check the number", True
    CERTIFICATE_REVOKED = "certificate-revoked", "the certificate was revoked; no action is needed", False

    # Records that grew beyond what one decision reads.
    MERGED_TOO_OFTEN = (
        "merged-too-often",
        "too many numbers were merged one into the next; undo a merge",
        False,
    )
    TREE_TOO_LARGE = (
        "tree-too-large",
        "the organisation has or had too many ancestors to verify the tree; name another parent",
        False,
    )

    # What the command was based on, which is compared once it is decided.
    CHANGED_SINCE = (
        "changed-since",
        "the record has changed since the version that this was based on; read it again",
        False,
    )

    # Records that hold as much as they may.
    RECORD_FULL = (
        "record-full",
        "this record holds as many events of this kind as it may; begin another, or ask the operator",
        False,
    )

    EVENT_TOO_LARGE = (
        "event-too-large",
        "the event would be larger than the 65,535 bytes that an entry of the transparency log may have; send less",
        False,
    )

    # The submission.
    NOT_ALONE = (
        "not-alone",
        "another command of this atomic submission was refused; correct it or leave it out",
        True,
    )

    # The ledger itself.
    FAILED = "failed", "the ledger failed to process this command; its error log has the details", True


class Refused(NamedTuple):
    """The answer to a refused command: the reason, the field at fault, and a sentence with the remedy."""

    rejection: Rejection
    field: str
    detail: str
    expected_version: int | None = None
    """The version of the record that the command was based on, if that is the reason."""
    actual_version: int | None = None
    """The version that the record has, if that is the reason."""

    @property
    def retry(self) -> bool:
        """Whether the same command may be accepted later."""
        return self.rejection.retry


class RefusedError(Exception):
    """Ends a decision with a refusal, from deep inside it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


def refuse(rejection: Rejection, field: str, value: object) -> Refused:
    """Return a refusal whose detail names the field, its value and the remedy."""
    return Refused(rejection, field, f"{field} {value}: {rejection.sentence}")
