"""Federations on the command line: the ledgers of a federation's file, opened at the places of their archives.

A ledger that cannot be read is refused by default, because an answer without it is another answer. The caller may ask
for the answer without such ledgers, which then names them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from api.axes.written import AmbiguousDigestError, AxisError, candidate, choose_rules, instant_of, names_rules
from api.cli.archive_places import open_place
from api.cli.output import err, print_table
from api.cli.readers.queries import read_rules
from api.operations.usage_errors import UsageError
from replay.archive.manifest import ArchiveError
from replay.archive.open_archive import OpenArchive
from replay.federation.definition import Definition, DefinitionError, read_definition
from replay.federation.heads import OWN, Federated, Head, doubts, heads_again, heads_at, seal
from replay.progress import Progress
from replay.published import NoRulesError, Rules

HEADS_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class OpenFederation:
    """The ledgers of a federation that can be read, by name, its own as `OWN`; and why the others cannot."""

    definition: Definition
    archives: dict[str, OpenArchive]
    missing: dict[str, str]

    @property
    def own(self) -> OpenArchive | None:
        """The archive of the federation's own ledger, if it has one."""
        return self.archives.get(OWN)

    def heads(self, known_at: str | None, earlier: Path | None, rules: str | None = None) -> list[Head]:
        """Return the heads of an answer: all that is known, or what was known at a time, or an earlier answer's.

        Args:
            known_at: an instant with a zone, or a day, which means its end.
            earlier: the `replay.json` of an earlier answer.
            rules: those of the answer (`rules`), whose time zone days are of.

        Raises:
            UsageError: both are given, or one is malformed. replay.federation.heads.HeadError: of `heads_again`.
        """
        if earlier is not None:
            if known_at is not None:
                raise UsageError("--known-at and --heads both say what is known; leave one of them out")
            return heads_again(self.archives, self.definition.name, _read_earlier(earlier))
        instant = None if known_at is None else self._instant(known_at, rules)
        found = heads_at(self.archives, instant)
        for sentence in doubts(found, datetime.now(UTC), instant):
            err().print(f"Note: {sentence}", markup=False, soft_wrap=True)
        return found

    def _instant(self, known_at: str, rules: str | None) -> int:
        if known_at.isdecimal():
            raise UsageError(
                f"--known-at {known_at} is a position, and a federation has one in each ledger; name an instant with a "
                "zone or a day, or --heads with the replay.json of an earlier answer"
            )
        return instant_of(known_at, lambda: self._zone(known_at, rules))

    def _zone(self, day: str, rules: str | None) -> str:
        try:
            return self.rules(rules).timeline().time_zone
        except UsageError:
            raise UsageError(
                f"--known-at {day} is a day, and the federation has no rules to say in which time zone; write an "
                "instant with a zone"
            ) from None

    def rules(self, text: str | None, heads: Sequence[Head] = ()) -> Rules:
        """Return the rules of an answer: those asked for, those of the file, or those in force in the own ledger.

        Args:
            text: a version or digest of rules published in the own ledger, or the path of a file.
            heads: of the answer; without that of the own ledger, all that it holds is known.

        Raises:
            UsageError, AxisError: there are no such rules. projections.rules.timeline.RulesError: a file holds none.
        """
        if text is not None and not names_rules(text):
            return candidate(read_rules(Path(text)))
        if text is None and self.definition.rules is not None:
            return candidate(read_rules(Path(self.definition.rules)))
        if self.own is None:
            where = "has no ledger of its own" if self.definition.own is None else "cannot read its own ledger"
            raise UsageError(f"the federation {where}, so name the rules of the answer with --rules FILE")
        try:
            if text is None:
                return self.own.rules(None, next((head.position for head in heads if head.name == OWN), None))
            return choose_rules(text, self.own.published())
        except AmbiguousDigestError:
            raise
        except (NoRulesError, AxisError):
            asked = "no rules were in force at that time" if text is None else f"there are no rules {text}"
            raise UsageError(f"in the federation's own ledger {asked}; name a file with --rules FILE") from None


def open_federation(
    path: Path, progress: Progress, *, only: Collection[str] | None = None, without_unreachable: bool = False
) -> OpenFederation:
    """Open the ledgers of a federation. Progress counts the bytes that are fetched from stores.

    Args:
        only: the members that are needed beside the federation's own ledger; None for all.
        without_unreachable: leave ledgers out that cannot be read. The federation's own ledger never is: without its
            links, numbers of one person would count as several persons.

    Raises:
        UsageError: the file defines no federation, two ledgers of it are the same, or none can be read.
        replay.archive.manifest.ArchiveError: a ledger cannot be read.
    """
    try:
        definition = read_definition(path)
    except DefinitionError as error:
        raise UsageError(str(error)) from None
    places = {name: place for name, place in sorted(definition.ledgers.items()) if only is None or name in only}
    if definition.own is not None:
        places[OWN] = definition.own
    opened, missing = dict[str, OpenArchive](), dict[str, str]()
    for name, place in places.items():
        try:
            opened[name] = open_place(place, progress=progress)
            opened[name].refresh()
        except (ArchiveError, UsageError, OSError) as error:
            if name == OWN or not without_unreachable:
                ways = (
                    "" if name == OWN or only is not None else "; --without-unreachable answers without it, and says so"
                )
                raise ArchiveError(f"the ledger {name} cannot be read: {error}{ways}") from error
            missing[name] = str(error)
            err().print(
                f"Note: the ledger {name} is left out, because it cannot be read: {error}", markup=False, soft_wrap=True
            )
    if missing.keys() == definition.ledgers.keys():
        raise ArchiveError(f"no ledger of {path} can be read")
    _require_different(path, opened)
    return OpenFederation(definition, opened, missing)


def _require_different(path: Path, opened: dict[str, OpenArchive]) -> None:
    """Refuse a ledger that is named twice, as by two copies of its archive: its hours would count twice."""
    names: dict[object, str] = {}
    for name, archive in opened.items():
        if (other := names.setdefault(archive.manifest.ledger, name)) != name:
            raise UsageError(f"{path}: {other} and {name} are archives of the same ledger; name each ledger once")


def _read_earlier(path: Path) -> Federated:
    try:
        with path.open("rb") as file:
            return Federated.model_validate_json(file.read(HEADS_BYTES_MAX))
    except OSError as error:
        raise UsageError(f"--heads {path} cannot be read: {error.strerror}") from None
    except ValidationError:
        raise UsageError(f"--heads {path} is not the replay.json of a federation's answer") from None


# --- tables ---------------------------------------------------------------------------------------------------------


def print_heads(name: str, heads: Sequence[Head], missing: Iterable[str] = ()) -> None:
    """Print how far each ledger is known."""
    rows: list[tuple[object, ...]] = [(head.name, head.position, _when(head), str(head.ledger)) for head in heads]
    rows += [(name, None, "cannot be read", "") for name in missing]
    print_table(
        f"The federation {name}",
        ("ledger", "position", "recorded until (UTC)", "id"),
        rows,
        f"seal {seal(name, heads, list(missing))}",
    )


def _when(head: Head) -> str:
    return "" if head.recorded_until is None else head.recorded_until.strftime("%Y-%m-%d %H:%M:%S")
