"""Machine words as people read them: reasons, types of command, events and states, in the reader's language.

Codes stand in the log for ever, and anybody may write others: what is not listed here is shown as it was written.
"""

from __future__ import annotations

from collections.abc import Callable

from api.pages.languages import marked as _

_OTHER = _("Other, see the note")
CORRECTION_REASONS = {
    "forgotten-check-out": _("The check-out was forgotten"),
    "left-early": _("Left earlier"),
    "stayed-longer": _("Stayed longer"),
    "came-later": _("Came later"),
    "came-earlier": _("Came earlier"),
    "wrong-station": _("Scanned at the wrong station"),
    "wrong-project": _("The wrong project was chosen"),
    "reader-clock": _("The reader's clock was wrong"),
    "typing-error": _("A typing error"),
    "other": _OTHER,
}
"""Why a shift is corrected, in the order in which a form offers them."""
VOID_REASONS = {
    "not-served": _("Nobody served this shift"),
    "entered-twice": _("Entered twice"),
    "wrong-card": _("Scanned with another person's card"),
    "test-scan": _("A test of the reader"),
    "spot-check": _("Not found at a spot check"),
    "other": _OTHER,
}
EVIDENCE = {
    "sign-in-sheet": _("Sign-in sheet"),
    "seen-by-leader": _("Seen by the shift leader"),
    "photo": _("Photograph"),
    "reader-failed": _("The reader did not work"),
    "paper-list": _("Paper list"),
    "other": _OTHER,
}
"""What a late entry rests on."""
DISPUTE_REASONS = {
    "too-few-minutes": _("Too few hours"),
    "could-not-check-out": _("I could not check out"),
    "times-wrong": _("The times are wrong"),
    "place-wrong": _("The station or the project is wrong"),
    "not-there": _("I was not there"),
    "something-else": _("Another reason"),
}
"""Why a volunteer disputes a shift."""
ANSWER_REASONS = {
    "scans-looked-at": _("The scans were checked"),
    "guard-asked": _("The people on site were asked"),
    "being-checked": _("It is being looked into"),
    "other": _OTHER,
}
UPHELD_REASONS = {
    "seen-by-others": _("Others saw it"),
    "seen-by-guard": _("Seen by the guard"),
    "on-the-list": _("It is on the sign-in sheet"),
    "other": _OTHER,
}
REJECTED_REASONS = {
    "not-seen": _("Nobody saw it"),
    "scans-are-right": _("The scans are right"),
    "not-on-the-list": _("It is not on the sign-in sheet"),
    "other": _OTHER,
}
DECLINE_REASONS = {
    "not-shown": _("The evidence is missing"),
    "not-right": _("The times are not right"),
    "asked-twice": _("Asked for twice"),
    "other": _OTHER,
}
OBJECTION_REASONS = {
    "hours-doubted": _("The hours are in doubt"),
    "conduct": _("Conduct"),
    "wrong-person": _("The wrong person"),
    "other": _OTHER,
}
REVOCATION_REASONS = {
    "hours-voided": _("Hours were voided"),
    "given-in-error": _("Given in error"),
    "other": _OTHER,
}
_OTHER_REASONS = {
    "forgot": _("The check-out was forgotten"),
    "left-earlier": _("Left earlier"),
    "too-few": _("Too few hours"),
    "too-many-minutes": _("Too many hours"),
    "evidence-found": _("Evidence was found"),
    "voided-in-error": _("Voided in error"),
    "two-cards": _("One person, two cards"),
    "registered-twice": _("Registered twice"),
    "moved-away": _("Moved away"),
    "long-event": _("A long event"),
    "checked": _("Checked"),
}
_TRAININGS = {
    "basic": _("Basic training"),
    "professional": _("Professional training"),
    "leader": _("Training of leaders"),
    "orientation": _("Orientation"),
    "first-aid": _("First aid"),
    "team-leading": _("Leading a team"),
}
_ACTS = {
    "check-in": _("check-in"),
    "check-out": _("check-out"),
    "attest-shift": _("late entry"),
    "correct-shift": _("correction of a shift"),
    "void-shift": _("voiding of a shift"),
    "reinstate-shift": _("reinstatement of a shift"),
    "move-shift": _("move of a shift to another volunteer"),
    "answer-dispute": _("answer to a dispute"),
    "settle-dispute": _("settlement of a dispute"),
    "merge-volunteer": _("merging of two numbers"),
    "undo-merge": _("undoing of a merge"),
    "withdraw-volunteer": _("withdrawal of a volunteer"),
    "record-opening-balance": _("opening balance"),
    "void-opening-balance": _("voiding of an opening balance"),
    "raise-day-cap": _("raise of a day's cap"),
    "withdraw-day-cap-raise": _("withdrawal of a raise of a day's cap"),
    "approve-act": _("approval"),
    "decline-act": _("refusal of a request"),
    "withdraw-request": _("withdrawal of a request"),
    "announce-honor": _("announcement of an honour"),
    "object-to-honor": _("objection to an honour"),
    "settle-honor-objection": _("settlement of an objection"),
    "revoke-honor": _("revocation of an honour"),
    "award-honor": _("award of an honour"),
    "put-rules-in-force": _("change of the rules in force"),
}
_TOPICS = {
    "checked-in.v1": _("Checked in"),
    "checked-out.v1": _("Checked out"),
    "punched.v1": _("Scanned"),
    "shift-corrected.v1": _("Shift corrected"),
    "shift-voided.v1": _("Shift voided"),
    "shift-reinstated.v1": _("Shift reinstated"),
    "shift-disputed.v1": _("Disputed"),
    "dispute-answered.v1": _("Dispute answered"),
    "dispute-settled.v1": _("Dispute settled"),
    "volunteer-registered.v1": _("Registered"),
    "volunteer-withdrawn.v1": _("Withdrawn"),
    "volunteer-merged.v1": _("Numbers merged"),
    "volunteer-merge-undone.v1": _("Merge undone"),
    "training-completed.v1": _("Training completed"),
    "training-voided.v1": _("Training voided"),
    "organisation-joined.v1": _("Joined an organisation"),
    "organisation-left.v1": _("Left an organisation"),
    "opening-balance-recorded.v1": _("Opening balance recorded"),
    "opening-balance-voided.v1": _("Opening balance voided"),
    "day-cap-raised.v1": _("Day's cap raised"),
    "day-cap-raise-withdrawn.v1": _("Raise of the day's cap withdrawn"),
    "act-requested.v1": _("Approval asked for"),
    "act-approved.v1": _("Approved"),
    "act-declined.v1": _("Declined"),
    "act-withdrawn.v1": _("Request withdrawn"),
    "honor-announced.v1": _("Honour announced"),
    "honor-objected.v1": _("Objection"),
    "honor-objection-settled.v1": _("Objection settled"),
    "honor-awarded.v1": _("Honour awarded"),
    "honor-revoked.v1": _("Honour revoked"),
    "certificate-issued.v1": _("Certificate issued"),
    "certificate-revoked.v1": _("Certificate revoked"),
}
_STATES = {
    "announced": _("announced"),
    "objected": _("objection open"),
    "rejected": _("rejected"),
    "upheld": _("upheld"),
    "awarded": _("awarded"),
    "revoked": _("revoked"),
    "open": _("open"),
    "answered": _("answered"),
    "settled": _("settled"),
    "approved": _("approved"),
    "declined": _("declined"),
    "withdrawn": _("withdrawn"),
}
FIELDS = {
    "check_in": _("Check-in"),
    "check_out": _("Check-out"),
    "station": _("Station"),
    "project": _("Project"),
    "shift": _("Shift"),
    "volunteer": _("Volunteer"),
    "to_volunteer": _("To the volunteer"),
    "minutes": _("Minutes"),
    "evidence": _("Evidence"),
    "reason": _("Reason"),
    "outcome": _("Outcome"),
    "state": _("State"),
    "void": _("Void"),
    "as_of": _("As of"),
}
_WORDS = (
    CORRECTION_REASONS | VOID_REASONS | EVIDENCE | DISPUTE_REASONS | ANSWER_REASONS | UPHELD_REASONS | REJECTED_REASONS
    | DECLINE_REASONS | OBJECTION_REASONS | REVOCATION_REASONS | _OTHER_REASONS | _TRAININGS | _ACTS
    | _TOPICS | _STATES | FIELDS
)  # fmt: skip


def in_words(gettext: Callable[[str], str]) -> Callable[[str | None], str]:
    """Return the filter `words` of templates for one language."""

    def words(code: str | None) -> str:
        """Return a code as people read it; an unknown one as it was written, its hyphens as spaces."""
        if code is None:
            return "–"
        text = _WORDS.get(code)
        return gettext(text) if text else code.removesuffix(".v1").replace("-", " ").replace("_", " ")

    return words


def actor_in_words(gettext: Callable[[str], str]) -> Callable[[str | None], str]:
    """Return the filter `actor` of templates for one language."""

    def actor(by: str | None) -> str:
        """Return who did something: a person's name, or a station by its id."""
        kind, _colon, name = (by or "–").rpartition(":")
        return gettext("station %(name)s") % {"name": name} if kind == "station" else name

    return actor
