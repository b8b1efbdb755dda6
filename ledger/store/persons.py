"""Personal data, stored outside the log and erasable: the directory of persons, and free texts.

An event refers to a volunteer by number and to a text by digest. The digest is keyed with a salt that is stored only
beside the text, so once the row is erased nobody can test a guess against the log (docs/glossary.md, "Personal data").

Looking a person up leaves a record of who did, when, by what, and which numbers were shown, in the same transaction. It
holds no personal data: not even what was searched for, which is a name or a phone number of somebody.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from psycopg import Connection, Cursor
from psycopg.rows import TupleRow, class_row

from ledger.names import holds_identity_number
from ledger.store.pool import Pool

_UPSERT = """
INSERT INTO ledger.persons (volunteer, name, phone, email) VALUES (%s, %s, %s, %s)
ON CONFLICT (volunteer) DO UPDATE SET (name, phone, email) = (excluded.name, excluded.phone, excluded.email)
"""


class Person(NamedTuple):
    """A volunteer's personal data in the directory."""

    volunteer: str
    name: str
    phone: str | None = None
    email: str | None = None


PersonField = Literal["name", "phone", "email"]
SearchBy = Literal["name", "phone", "number", "any"]
PHONE_DIGITS_MIN = 4
"""Fewer digits find half of the directory."""
MOBILE_DIGITS = 11
_FIND = """
SELECT volunteer, name, phone, email FROM ledger.persons WHERE {}
ORDER BY ({}) DESC NULLS LAST, {} DESC, name, volunteer LIMIT %(limit)s
"""
_RECORD = "INSERT INTO ledger.person_lookups (actor, key, by, volunteers) VALUES (%s, %s, %s, %s)"
_LOOKUPS = """
SELECT lookup, looked_up_at, actor, key, by, volunteers FROM ledger.person_lookups
WHERE lookup < %s AND (%s::text IS NULL OR volunteers @> ARRAY[%s::text]) AND (%s::text IS NULL OR actor = %s)
ORDER BY lookup DESC LIMIT %s
"""


class Search(NamedTuple):
    """What to look for in the directory. `text`: the beginning of a name, phone number or volunteer number, or the end
    of a volunteer number without its zeros, 462 of V0000462; with `exact` all of it. Neither case nor blanks nor the
    width of characters matter, nor what is written between the digits of a phone number.
    """

    text: str
    by: SearchBy = "any"
    exact: bool = False
    limit: int = 20


class LookedUpBy(NamedTuple):
    """Who looks a person up: an actor, and the number of the key that is used."""

    actor: str
    key: int | None = None


class Lookup(NamedTuple):
    """A record of a look-up. `by`: what was searched, or `show`; or `set`, if data were changed; `volunteers`: the
    numbers that were shown.
    """

    lookup: int
    looked_up_at: datetime
    actor: str
    key: int | None
    by: str
    volunteers: list[str]


class Text(NamedTuple):
    """A free text, its salt, and the volunteers it is about: it is erased with any of them. The event holds its digest.

    It is about nobody the ledger knows if it belongs to an honour of a project that nobody is in charge of, or to a
    station's numbers; the text of any event can be erased by its position.
    """

    text: str
    salt: bytes
    about: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The salted digest."""
        return blake2b(self.text.encode(), key=self.salt, digest_size=32).hexdigest()


def salted(text: str, *about: str) -> Text:
    """Return a text with a new random salt."""
    return Text(text, secrets.token_bytes(32), about)


def store_texts(cursor: Cursor[TupleRow], texts: list[Text]) -> None:
    """Store texts, in the transaction that records the events with their digests."""
    if not texts:  # saves a round trip
        return
    cursor.executemany(
        "INSERT INTO ledger.texts (digest, salt, text, volunteer, others) VALUES (%s, %s, %s, %s, %s)",
        [(one.digest, one.salt, one.text, next(iter(one.about), None), list(one.about[1:])) for one in texts],
    )


_SHARED_PHONES = """
SELECT array_agg(DISTINCT volunteer COLLATE "C" ORDER BY volunteer COLLATE "C")
FROM (
    SELECT volunteer, right(number, 11) AS digits
    FROM ledger.persons, unnest(string_to_array(phone_keys, '|')) AS number
) AS person
WHERE length(digits) >= 5
GROUP BY digits HAVING count(DISTINCT volunteer) > 1
ORDER BY min(volunteer COLLATE "C")
"""


class Persons:
    """The directory of persons of one ledger, and its texts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def save(self, person: Person) -> None:
        """Store a person, replacing earlier data."""
        with self._pool.connection() as connection:
            connection.execute(_UPSERT, person)

    def save_all(self, persons: Collection[Person]) -> None:
        """Store several persons, all or none."""
        with self._pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_UPSERT, persons)

    def remove(self, volunteers: Collection[str]) -> None:
        """Remove persons whose registration failed from the directory; their texts stay."""
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM ledger.persons WHERE volunteer = ANY(%s)", (list(volunteers),))

    def find(self, volunteer: str) -> Person | None:
        """Return a volunteer's personal data, None if there is none."""
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Person)) as cursor:
            query = "SELECT volunteer, name, phone, email FROM ledger.persons WHERE volunteer = %s"
            return cursor.execute(query, (volunteer,)).fetchone()

    def search(self, search: Search, who: LookedUpBy) -> tuple[list[Person], bool]:
        """Return the persons that a search finds, exact matches first, and whether there are more; record who looked.

        Raises:
            ValueError: the text is too short, or holds no digit of a phone number.
        """
        conditions, values = _conditions(search)
        whole = " OR ".join(each.whole for each in conditions)
        begins = " OR ".join(each.begins for each in conditions)
        near = _ENDS if "padded" in values else "volunteer IS NULL"
        query = _FIND.format(whole if search.exact else f"{whole} OR {begins}", whole, near)
        with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=class_row(Person)) as cursor,
        ):
            found = cursor.execute(query, {**values, "limit": search.limit + 1}).fetchall()
            shown = found[: search.limit]
            connection.execute(_RECORD, (who.actor, who.key, search.by, [person.volunteer for person in shown]))
        return shown, len(found) > search.limit

    def show(self, volunteer: str, who: LookedUpBy) -> Person | None:
        """Return a volunteer's personal data, None if there is none, and record who looked."""
        query = "SELECT volunteer, name, phone, email FROM ledger.persons WHERE volunteer = %s"
        with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=class_row(Person)) as cursor,
        ):
            found = cursor.execute(query, (volunteer,)).fetchone()
            connection.execute(_RECORD, (who.actor, who.key, "show", [found.volunteer] if found else []))
        return found

    def change(self, volunteer: str, changes: Mapping[PersonField, str | None], who: LookedUpBy) -> Person:
        """Add or change a volunteer's personal data; what `changes` does not name stays. Record who did, as a look-up.

        Raises:
            ValueError: the volunteer has no data yet and `changes` has no name, or a value cannot be kept.
        """
        for field, value in changes.items():
            if value is not None and (wrong := wrong_personal(field, value)):
                raise ValueError(f"{field} {wrong}")
        query = "SELECT volunteer, name, phone, email FROM ledger.persons WHERE volunteer = %s FOR UPDATE"
        with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=class_row(Person)) as cursor,
        ):
            found = cursor.execute(query, (volunteer,)).fetchone()
            name = changes.get("name", found.name if found else None)
            if not name:
                raise ValueError("name is missing: the directory has none of this volunteer; give one")
            before = found or Person(volunteer, name)
            phone, email = changes.get("phone", before.phone), changes.get("email", before.email)
            person = Person(volunteer, name, phone, email)
            connection.execute(_UPSERT, person)
            connection.execute(_RECORD, (who.actor, who.key, "set", [volunteer]))
        return person

    def find_all(self, volunteers: Collection[str]) -> dict[str, Person]:
        """Return the personal data of several volunteers, by number."""
        query = "SELECT volunteer, name, phone, email FROM ledger.persons WHERE volunteer = ANY(%s)"
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Person)) as cursor:
            return {person.volunteer: person for person in cursor.execute(query, (list(volunteers),))}

    def lookups(
        self, limit: int, before: int | None = None, volunteer: str | None = None, actor: str | None = None
    ) -> list[Lookup]:
        """Return records of look-ups, the latest first: all, those that showed a volunteer, or those of an actor.

        Args:
            before: only those before this one.
        """
        first = _LOOKUP_MAX if before is None else before
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Lookup)) as cursor:
            return cursor.execute(_LOOKUPS, (first, volunteer, volunteer, actor, actor, limit)).fetchall()

    def numbers_by_phone(self) -> list[list[str]]:
        """Return the volunteer numbers of each phone that several have. Phones are compared by their last eleven
        digits, so that a country code, blanks and hyphens make no difference.
        """
        with self._pool.connection() as connection:
            return [row[0] for row in connection.execute(_SHARED_PHONES)]

    def text(self, digest: str) -> str | None:
        """Return the text of an event's note, None if it was erased."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT text FROM ledger.texts WHERE digest = %s", (digest,)).fetchone()
        return row[0] if row else None

    def salted_texts(self, digests: Collection[str]) -> dict[str, Text]:
        """Return texts with their salts by their digests, without those that were erased."""
        with self._pool.connection() as connection:
            query = "SELECT digest, text, salt FROM ledger.texts WHERE digest = ANY(%s)"
            return {digest: Text(text, salt) for digest, text, salt in connection.execute(query, (list(digests),))}

    def texts(self, digests: Collection[str]) -> dict[str, str]:
        """Return the texts of notes by their digests, without those that were erased."""
        if not digests:
            return {}
        with self._pool.connection() as connection:
            query = "SELECT digest, text FROM ledger.texts WHERE digest = ANY(%s)"
            return dict(connection.execute(query, (list(digests),)).fetchall())

    def erase(self, volunteer: str) -> int:
        """Erase a person, and the texts about them with their salts; return the number of rows."""
        with self._pool.connection() as connection, connection.transaction():
            return erase_person(connection, volunteer)

    def erase_text(self, digest: str) -> int:
        """Erase a text with its salt; return the number of rows."""
        with self._pool.connection() as connection:
            return connection.execute("DELETE FROM ledger.texts WHERE digest = %s", (digest,)).rowcount


_LOOKUP_MAX = 2**63 - 1


class _Condition(NamedTuple):
    """What a person is found by, in SQL: the whole of something, or its beginning."""

    whole: str
    begins: str


def _conditions(search: Search) -> tuple[list[_Condition], dict[str, str]]:
    """Return the conditions of a search, and the values in them."""
    text = plain_form(search.text)
    if not text or "\x00" in text:
        raise ValueError("is empty; write the beginning of a name, a phone number or a volunteer number")
    digits = "".join(character for character in text if character.isascii() and character.isdigit())
    is_phone = len(digits) >= PHONE_DIGITS_MIN and not any(character.isalpha() for character in text)
    if search.by == "phone" and not is_phone:
        raise ValueError(f"is no phone number to search for; write at least {PHONE_DIGITS_MIN} digits")
    found: list[_Condition] = []
    values = {"text": search.text, "number": text}
    if search.by in {"name", "any"}:
        # In a database with the locale C only SQL leaves letters beyond ASCII as they are.
        keys = ("ledger.person_key(%(text)s)", "%(number)s")
        found += [_Condition(f"name_key = {key}", f"starts_with(name_key, {key})") for key in keys]
    if search.by in {"number", "any"}:
        begins = "starts_with(lower(volunteer), %(number)s)"
        if padded := _PADDED.fullmatch(text):
            letters = re.escape(padded[1]) if padded[1] else "[^0-9]*"
            values["padded"] = f"^{letters}0*{padded[2]}$"
            begins += f" OR {_ENDS}"
        found.append(_Condition("lower(volunteer) = %(number)s", begins))
    if search.by in {"phone", "any"} and is_phone:
        if len(digits) > MOBILE_DIGITS:
            digits = digits.removeprefix("00").removeprefix("86")
        for name, number in (("phone", digits), ("abroad", f"86{digits}"), ("prefixed", f"0086{digits}")):
            found.append(_Condition(f"phone_keys LIKE %({name}_whole)s", f"phone_keys LIKE %({name})s"))
            values |= {f"{name}_whole": f"%|{number}|%", name: f"%|{number}%"}
    return found, values


_ENDS = "lower(volunteer) ~ %(padded)s"
_PADDED = re.compile(r"([a-z._-]*)0*([0-9]+)")
_BLANKS = re.compile(r"[\s\u200b\ufeff]")


def plain_form(text: str) -> str:
    """Return a text as it is compared: without blanks, in small letters, full-width characters as plain ones. The
    columns `name_key` and `phone_keys` hold the same form (schema_10.sql).
    """
    return _BLANKS.sub("", unicodedata.normalize("NFKC", text)).lower()


def differing_fields(person: Person, known: Person | None) -> tuple[PersonField, ...]:
    """Return which of a person's data the directory has otherwise, or not at all, but for what the person lacks."""
    given: tuple[tuple[PersonField, str | None], ...] = (
        ("name", person.name), ("phone", person.phone), ("email", person.email)
    )  # fmt: skip
    return tuple(field for field, value in given if value and _compared(field, value) != _of(known, field))


def _of(known: Person | None, field: PersonField) -> str | None:
    value = getattr(known, field, None)
    return None if value is None else _compared(field, value)


def _compared(field: PersonField, value: str) -> str:
    plain = plain_form(value)
    return re.sub(r"[^0-9/,;|]", "", plain) if field == "phone" else plain


def wrong_personal(field: PersonField, value: str) -> str | None:
    """Return what is wrong with a name, phone number or mail address, and what to do; None if it can be kept."""
    if not plain_form(value):
        return "is empty; write it, or leave it out"
    if len(value) > PERSONAL_LENGTH_MAX:
        return f"has {len(value)} characters; {PERSONAL_LENGTH_MAX} are the most"
    if not value.isprintable():
        return "holds characters that cannot be printed; remove them"
    if holds_identity_number(value):
        return f"looks like an identity number, which the ledger keeps nowhere; write the {_CALLED[field]}"
    return None


PERSONAL_LENGTH_MAX = 200
_CALLED: dict[PersonField, str] = {"name": "name", "phone": "phone number", "email": "mail address"}


def erase_person(connection: Connection[Any], volunteer: str) -> int:
    """Erase a person, and the texts about them with their salts, in a transaction; return the number of rows."""
    persons = connection.execute("DELETE FROM ledger.persons WHERE volunteer = %s", (volunteer,))
    texts = connection.execute(
        "DELETE FROM ledger.texts WHERE volunteer = %s OR others @> ARRAY[%s]", (volunteer, volunteer)
    )
    return persons.rowcount + texts.rowcount
