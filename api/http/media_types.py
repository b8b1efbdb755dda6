"""The media type of an answer, by the header `Accept` (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from fastapi import Request

from api.messages.problems import problem

JSON = "application/json"


def chosen(request: Request, *offered: str) -> str:
    """Return the media type that a caller wants most of JSON and those that are offered besides.

    JSON is the answer to callers who name nothing, or anything. Of types wanted alike, the one named first wins.

    Raises:
        Problem: the caller names types, and none of them is offered.
    """
    header = ",".join(request.headers.getlist("accept"))
    ranges = [each for each in map(_range, header.split(",")) if each]
    kinds = {_bare(kind): kind for kind in (JSON, *offered)}
    refused = {name for name, quality in ranges if not quality}
    wanted = sorted((each for each in ranges if each[1]), key=lambda each: -each[1])
    if not ranges:
        return JSON
    for name, _ in wanted:
        for bare, kind in kinds.items():
            if bare not in refused and (name in {bare, "*/*"} or name == f"{bare.partition('/')[0]}/*"):
                return kind
    raise problem("not-acceptable", f"Accept names none of the media types of this answer: {', '.join(kinds)}")


def _range(text: str) -> tuple[str, float] | None:
    """Return a media range of the header with its quality; None if it is empty."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return (name, quality) if name else None


def _bare(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()
