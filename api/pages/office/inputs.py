"""What forms of the office hold: local times, the version of a record, and the name of the act."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, tzinfo

from fastapi import Request

from api.pages.rendering import text_for

_LETTERS = "abcdefghjkmnpqrstuvwxyz"


class FormError(Exception):
    """A field cannot be used: a sentence with the way out, in the reader's language."""


def new_name() -> str:
    """Return a name for an act: one form is one act, however often it is sent. It holds no digits, so it is nobody's
    phone number.
    """
    return "office-" + "".join(secrets.choice(_LETTERS) for _ in range(14))


def local_text(instant: datetime | str | None, zone: tzinfo) -> str:
    """Return an instant as a field for local times holds it: to the minute."""
    if not instant:
        return ""
    found = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return found.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def instant_of(request: Request, form: Mapping[str, str], field: str, zone: tzinfo) -> str | None:
    """Return the instant that a field for local times names; None if it is empty.

    Raises:
        FormError: it is no time.
    """
    text = form.get(field, "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).isoformat()
    except ValueError:
        sentence = text_for(request, "%(text)s is not a date and time. Write one such as 2018-12-05T17:30.")
        raise FormError(sentence % {"text": text}) from None


def version_of(form: Mapping[str, str]) -> int | None:
    """Return the version of the record that a form was made from."""
    text = form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None
