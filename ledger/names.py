"""The types of the ledger's fields: names, instants, days and amounts; and the ids of streams.

Every name that enters an event is validated here. The patterns keep names short, printable ASCII and free of personal
data (docs/glossary.md): a mobile number or an identity number is refused as a volunteer number, because an event can
never be erased.

Errors: an invalid value raises `ValueError`, which pydantic turns into a `ValidationError` that names the field.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Literal, NewType
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from ledger.instants import EARLIEST_INSTANT, LATEST_INSTANT, read_instant

Position = NewType("Position", int)
"""The dense number of an event in the log, from 1, in commit order; 0 stands for the empty log."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERSONAL = re.compile(
    r"""(?<![0-9A-Fa-f]) (?: (?:\+|00)?86[-._]? )? 1[3-9][0-9] (?P<gap>[-._]?) [0-9]{4} (?P=gap) [0-9]{4}
        (?![0-9A-Fa-f])
      | (?<![0-9A-Fa-f]) [0-9]{6} (?:19|20)[0-9]{2} (?:0[1-9]|1[0-2]) [0-3][0-9] [0-9]{3} [0-9Xx] (?![0-9A-Fa-f])
      | (?:^|(?<=[/:#,;?&=])) [A-Za-z0-9._+-]+ @ [A-Za-z0-9.-]+ [.] [A-Za-z]{2,} (?=$|[/:#,;?&=])
    """,
    re.VERBOSE,
)
"""A mobile number, an identity number with its date of birth, a mail address. They may be parts of a name, but not of a
longer number or of hexadecimal digits, so that no UUID is mistaken for one."""
_IDENTITY_NUMBER = re.compile(r"^[0-9]{17}[0-9Xx]$")
"""As a whole name, 18 digits are refused whatever date they hold."""


_PERSONAL_LENGTH_MIN = 11
"""No mobile number and no identity number is shorter."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def not_personal(name: str) -> str:
    """Return a name that will be stored permanently: of a volunteer, an actor, a command or anything else.

    Every name is checked here, of actors, commands and things: people do log in with their phone numbers.

    Raises:
        ValueError: the name looks like personal data, or contains what does.
    """
    is_short = len(name) < _PERSONAL_LENGTH_MIN and "@" not in name
    if is_short or _UUID.fullmatch(name):  # most names are, and searching takes ten times as long
        return name
    if _PERSONAL.search(name) or _IDENTITY_NUMBER.match(name):
        raise ValueError("looks like a phone or identity number or a mail address; use a name without personal data")
    return name


_DATED_IDENTITY_NUMBER = re.compile(
    r"(?<![0-9]) [1-9][0-9]{5} (?:19|20)[0-9]{2} (?:0[1-9]|1[0-2]) [0-3][0-9] [0-9]{3} [0-9Xx] (?![0-9])", re.VERBOSE
)


def holds_identity_number(text: str) -> bool:
    """Return whether a text holds an identity number, whatever is written between its digits: it is kept nowhere."""
    plain = unicodedata.normalize("NFKC", text)
    joined = re.sub(r"[\s._-]", "", plain)
    return _DATED_IDENTITY_NUMBER.search(joined) is not None or _IDENTITY_NUMBER.match(plain.strip()) is not None


_NOT_PERSONAL = AfterValidator(not_personal)
VolunteerNumber = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
StationId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
ProjectId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
OrganisationId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
HonorId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
AWARD_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"  # room for honour, year and recipient
AwardId = Annotated[str, StringConstraints(pattern=AWARD_PATTERN), _NOT_PERSONAL]
CERTIFICATE_PATTERN = r"^20[0-9]{2}-[0-9]{6}$"
CertificateNumber = Annotated[str, StringConstraints(pattern=CERTIFICATE_PATTERN)]
"""The year in which a certificate was issued, and its number in that year from 1."""
RaiseId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
RequestId = Annotated[str, StringConstraints(pattern=NAME_PATTERN), _NOT_PERSONAL]
PLACE_NAME_LENGTH_MAX = 80
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(first, last + 1)
}
"""Characters that show nothing, although Unicode counts them among letters, marks and symbols."""


def _place_name(name: str) -> str:
    """Return a place's name in Unicode's normal form C, without spaces around it.

    Raises:
        ValueError: it is empty or too long, or contains a control character or one that cannot be seen.
    """
    composed = unicodedata.normalize("NFC", name).strip(" \u3000")
    for character in composed:
        category = unicodedata.category(character)
        is_space = category == "Zs" and character not in " \u3000"
        if category[0] == "C" or category in {"Zl", "Zp"} or is_space or character in _INVISIBLE:
            raise ValueError(f"contains U+{ord(character):04X}, which cannot be seen; leave it out")
    if not composed:
        raise ValueError("is empty; write a name, or leave the field out")
    if composed[0] in "=+-@":
        raise ValueError(
            f"begins with {composed[0]}, which spreadsheet programs take for a formula; write it otherwise"
        )
    if len(composed) > PLACE_NAME_LENGTH_MAX:
        raise ValueError(f"has {len(composed)} characters; write at most {PLACE_NAME_LENGTH_MAX}")
    return composed


PlaceName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=PLACE_NAME_LENGTH_MAX),
    AfterValidator(_place_name),
    _NOT_PERSONAL,
]
"""The name of a station, project or organisation, as people write it. It is permanent, so it is not personal data."""
PlaceKind = Literal["station", "project", "organisation"]
REASON_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
ReasonCode = Annotated[str, StringConstraints(pattern=REASON_PATTERN)]
ACTOR_PATTERN = r"^(station|person|system):[A-Za-z0-9][A-Za-z0-9._-]{0,47}$"
Actor = Annotated[str, StringConstraints(pattern=ACTOR_PATTERN)]
CallingActor = Annotated[Actor, _NOT_PERSONAL]
"""An actor in an order, which must not be named by personal data. (Recorded ones may be: the log is immutable.)"""
SOURCE_FORM = r"^[!-\"$-\[\]-~]{1,120}$"  # printable, no space, no '#', no '\'
Source = Annotated[str, StringConstraints(pattern=SOURCE_FORM), _NOT_PERSONAL]
COMMAND_ID_FORM = r"^[!-\[\]-~]{1,120}$"  # printable, no space, no '\'
CommandId = Annotated[str, StringConstraints(pattern=COMMAND_ID_FORM), _NOT_PERSONAL]
CommandName = Annotated[str, StringConstraints(pattern=r"^[!-\[\]-~]{1,241}$")]
"""`source#id`: the permanently unique name that the caller gave a command."""
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32,64}$")]
KeyNumber = Annotated[int, Field(strict=True, ge=1, le=0x7FFF_FFFF)]
"""The number of the API key that was used."""


def command_name(source: str, command_id: str) -> str:
    """Return the name of a command: its CloudEvents `source` and `id`, separated by '#'."""
    return f"{source}#{command_id}"


IMPORT_PATTERN = r"^/imports/[A-Za-z0-9._-]{1,60}$"
"""The source of an import, which is the same whoever runs it."""
IMPORTS = "/imports/"


@lru_cache(maxsize=1 << 12)
def is_own_source(source: str, actor: str) -> bool:
    """Return whether a source belongs to an actor alone, so that names under it are the actor's in any case."""
    kind, _, name = actor.partition(":")
    own = {f"/callers/{actor}", f"/honors/{actor}"}
    own |= {f"/{realm}/{name}" for realm, of in (("stations", "station"), ("volunteers", "person")) if of == kind}
    return any(source == one or source.startswith(one + "/") for one in own)


_ALIKE = str.maketrans({"1": "l", "i": "l", "0": "o", ".": None, "-": None, "_": None})


@lru_cache(maxsize=1 << 12)
def writing_of(actor: str) -> str:
    """Return what is left of an actor's name without what readers confuse: case, I, l and 1, O and 0, dots and dashes.

    Actors of the same writing count as one person where two are needed. (Names are ASCII, so these are the confusable
    characters of Unicode's UTS #39, and the separators, which it leaves out.)
    """
    kind, _, name = actor.partition(":")
    return f"{kind}:{name.lower().translate(_ALIKE).replace('rn', 'm').replace('vv', 'w')}"


def _whole(value: object) -> object:
    """Convert 42.0 to 42: JSON has one type of number, and some programs write whole numbers this way."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _day_of_text(value: object) -> object:
    """Accept dates and ISO 8601 dates as text; refuse everything else."""
    if isinstance(value, date) or (isinstance(value, str) and _ISO_DAY.fullmatch(value)):
        return value
    raise ValueError("is not a day; write one such as 2018-12-04")


EpochSeconds = Annotated[int, Field(strict=True, ge=EARLIEST_INSTANT, le=LATEST_INSTANT)]
"""An instant in whole seconds since 1970-01-01T00:00Z, in the local years 2000 to 2099."""
Instant = Annotated[
    EpochSeconds,
    BeforeValidator(read_instant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": EARLIEST_INSTANT, "maximum": LATEST_INSTANT},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
"""An instant as a caller may write it: epoch seconds, or RFC 3339 text, which has a zone (`ledger/instants.py`)."""
WrittenDay = Annotated[date, BeforeValidator(_day_of_text)]
"""A day as a caller may write it: an ISO 8601 date, never a number, which would be read as seconds since 1970."""
FIRST_QUERY_DAY, LAST_QUERY_DAY = date(1900, 1, 1), date(2999, 12, 31)
QueryDay = Annotated[WrittenDay, Field(ge=FIRST_QUERY_DAY, le=LAST_QUERY_DAY)]
"""A day that limits a query: the days around it exist in every time zone, and spans from it can be counted."""
Day = Annotated[WrittenDay, Field(ge=date(1900, 1, 1), le=date(2099, 12, 31))]
"""A day in living memory: of a registration, a training, an opening balance."""
ServiceDay = Annotated[WrittenDay, Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))]
"""A day of service, in the years 2000 to 2099 as instants are."""
AS_WRITTEN = BeforeValidator(_whole)
"""Accepts a whole number as callers may write it. It must come last in an annotation, or schemas lose the bounds."""
Minutes = Annotated[int, Field(strict=True, ge=0, le=100_000_000), AS_WRITTEN]


def _require_own(shift: UUID) -> UUID:
    if not shift.int:
        raise ValueError("is the nil UUID, which programs write for none; give each shift an id of its own, or omit it")
    return shift


NewShiftId = Annotated[UUID, AfterValidator(_require_own)]
"""The id of a shift that a caller chooses: a UUID, but not nil."""


CorrectedField = Literal["check_in", "check_out", "station", "project"]
Direction = Literal["in", "out"]
"""The direction in which a card was punched."""
Outcome = Literal["upheld", "rejected"]
"""The outcome of a dispute or an objection."""
People = Annotated[int, Field(strict=True, ge=0, le=100_000_000), AS_WRITTEN]
"""People served: people helped, not volunteers."""
RecordVersion = Annotated[int, Field(strict=True, ge=0, le=1_000_000), AS_WRITTEN]
"""The version of a record: the number of events of its stream, 0 if there is none yet."""
Rank = Annotated[int, Field(strict=True, ge=1, le=10_000), AS_WRITTEN]
HonorYear = Annotated[int, Field(strict=True, ge=2000, le=2099), AS_WRITTEN]
"""The year of a ranking."""
RulesVersion = Annotated[int, Field(strict=True, ge=0, le=1_000_000), AS_WRITTEN]
POSITION_MAX = 10**15
"""No log will be longer. PostgreSQL compares a number beyond its bigint with each row, without an index."""
LogPosition = Annotated[int, Field(strict=True, ge=0, le=POSITION_MAX), AS_WRITTEN]


def instant_text(instant: int) -> str:
    """Return epoch seconds as ISO 8601 text in UTC, for people."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- stream ids -----------------------------------------------------------------------------------------------------

# Stream ids are made for every command, mostly for the same volunteers and stations, so each function caches its last
# results; the caches keyed by volunteer hold a whole district. The properties of UUID are slow Python code (measured),
# hence the arithmetic on `int`.

_TIMELESS = b"\xff\xff"


def _day_prefix(shift: int) -> bytes:
    """Return two bytes: the day on which a UUIDv7 was made, or 0xffff for an id without a time."""
    if shift >> 76 & 0xF != 7 or shift >> 62 & 0x3 != 2:
        return _TIMELESS
    return min((shift >> 80) // 86_400_000, 0xFFFE).to_bytes(2, "big")


@lru_cache(maxsize=1 << 17)
def volunteer_prefix(volunteer: str) -> bytes:
    """Return the six bytes that identify a volunteer in the stream ids of the volunteer's shifts."""
    return blake2b(volunteer.encode(), digest_size=6).digest()


def shift_stream(volunteer: str, shift: UUID) -> UUID:
    """Return the id of a shift's stream: day (2 bytes), volunteer (6), shift (8).

    The day comes first, so that new rows go to one end of the index (measured: COPY is 40 % faster than with random
    ids). The volunteer follows, so that a volunteer's shifts of one day are one range of that index: a check-out
    without a shift id finds the open shift there, without a table of open shifts.
    """
    return UUID(bytes=shift_stream_key(volunteer, shift))


def shift_stream_key(volunteer: str, shift: UUID) -> bytes:
    """Return `shift_stream` as 16 bytes."""
    number = shift.int
    tail = blake2b(volunteer.encode() + b"|" + number.to_bytes(16, "big"), digest_size=8).digest()
    return _day_prefix(number) + volunteer_prefix(volunteer) + tail


@lru_cache(maxsize=1 << 12)
def shift_stream_ranges(volunteer: str, first_day: int, last_day: int) -> tuple[tuple[UUID, UUID], ...]:
    """Return the ranges (both ends included) of stream ids that hold a volunteer's shifts of these days (since 1970).

    The last range holds the shifts whose ids have no time.
    """
    middle = volunteer_prefix(volunteer)
    prefixes = [day.to_bytes(2, "big") for day in range(max(first_day, 0), last_day + 1)] + [_TIMELESS]
    return tuple((UUID(bytes=day + middle + bytes(8)), UUID(bytes=day + middle + b"\xff" * 8)) for day in prefixes)


def stream(kind: str, *key: str) -> UUID:
    """Return the id of any other stream, by its kind and key: `stream("volunteer", "V0000001")`."""
    return UUID(bytes=stream_key(kind, *key))


@lru_cache(maxsize=1 << 17)
def stream_key(kind: str, *key: str) -> bytes:
    """Return `stream` as 16 bytes."""
    return blake2b("|".join((kind, *key)).encode(), digest_size=16).digest()


@lru_cache(maxsize=1 << 14)
def shift_id_for(occurred_at: int, name: str) -> UUID:
    """Return the UUIDv7 of a shift whose command has no shift id, made from its instant and the command's name.

    The same command always gets the same id, so a repeated upload names the same shift.
    """
    return UUID(int=shift_number_for(occurred_at, name))


def shift_number_for(occurred_at: int, name: str) -> int:
    """Return `shift_id_for` as a number, without its cache."""
    random_bits = int.from_bytes(blake2b(name.encode(), digest_size=10).digest(), "big")
    value = (occurred_at * 1000) << 80 | random_bits
    value = value & ~(0xF << 76) | 7 << 76
    return value & ~(0x3 << 62) | 2 << 62
