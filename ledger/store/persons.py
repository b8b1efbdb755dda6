"""Personal data, stored outside the log and erasable: the directory of persons, and free texts.

An event refers to a volunteer by number and to a text by digest. The digest is keyed with a salt that is stored only
beside the text, so once the row is erased nobody can test a guess against the log (docs/glossary.md, "Personal data").
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from hashlib import blake2b
from typing import Any, NamedTuple

from psycopg import Connection, Cursor
from psycopg.rows import TupleRow, class_row

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

    def text(self, digest: str) -> str | None:
        """Return the text of an event's note, None if it was erased."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT text FROM ledger.texts WHERE digest = %s", (digest,)).fetchone()
        return row[0] if row else None

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


def erase_person(connection: Connection[Any], volunteer: str) -> int:
    """Erase a person, and the texts about them with their salts, in a transaction; return the number of rows."""
    persons = connection.execute("DELETE FROM ledger.persons WHERE volunteer = %s", (volunteer,))
    texts = connection.execute(
        "DELETE FROM ledger.texts WHERE volunteer = %s OR others @> ARRAY[%s]", (volunteer, volunteer)
    )
    return persons.rowcount + texts.rowcount
