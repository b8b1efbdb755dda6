"""The names of stations, projects and organisations, added to answers beside their ids.

An answer's field `station_name` stands beside `station`, and so on; `answers.NameOf` marks such fields. Queries leave
them empty, and `add_names` fills those of a complete answer, as known at its position: no query has to know names.

    station_name: StationName = omit_none()

Names come from the events that open, launch, found or rename a place. These are few, and an index finds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel

from ledger.aggregates.organisation import OrganisationFounded, OrganisationRenamed
from ledger.aggregates.project import ProjectLaunched, ProjectRenamed
from ledger.aggregates.station import StationOpened, StationRenamed
from ledger.names import PlaceKind, Position
from ledger.store.log_queries import LogQueries
from ledger.store.mapper import decode
from replay.axes.answers import Basis, NameOf, NamesIn

T = TypeVar("T")

_NAMING: dict[type[Any], PlaceKind] = {
    StationOpened: "station",
    StationRenamed: "station",
    ProjectLaunched: "project",
    ProjectRenamed: "project",
    OrganisationFounded: "organisation",
    OrganisationRenamed: "organisation",
}
_LISTS: dict[str, PlaceKind] = {"stations": "station", "projects": "project", "organisations": "organisation"}
"""The kind of the places in a list, by the name of its field."""
_FIELDS: dict[str, PlaceKind] = {
    "station": "station",
    "project": "project",
    "organisation": "organisation",
    "parent": "organisation",
    "provider": "organisation",
}
"""The kind of the place that a field of an event or a command names."""


class PlaceNames:
    """The names of one ledger's places, at any position. Read once, and continued as the log grows."""

    def __init__(self, log: LogQueries) -> None:
        self._log = log
        self._names: dict[tuple[PlaceKind, str], list[tuple[Position, str]]] = {}
        self._until = Position(0)
        self._lock = Lock()

    def head(self) -> Position:
        """Return the last position of the log."""
        return self._log.head()

    def read_until(self, position: Position) -> None:
        """Read the names that were given up to a position."""
        with self._lock:
            if position <= self._until:
                return
            position = min(position, self._log.head())  # a reader may name one that the log has not reached
            for row in self._log.of_topics([kind.TOPIC for kind in _NAMING], position, after=self._until):
                event = cast("Any", decode(row.topic, row.state))
                kind = _NAMING[type(event)]
                if event.name is not None:
                    self._names.setdefault((kind, getattr(event, kind)), []).append((row.position, event.name))
            self._until = position

    def name(self, kind: PlaceKind, place: str, position: Position) -> str | None:
        """Return the name that a place had at a position, which was read; None if it had none."""
        given = self._names.get((kind, place), ())
        return next((name for since, name in reversed(given) if since <= position), None)


def add_names(answer: T, names: PlaceNames) -> T:
    """Return an answer with the names of its places. An answer without axes gets those that are given now."""
    if not isinstance(answer, BaseModel) or not _is_named(type(answer)):
        return answer
    position = Position(answer.known_at) if isinstance(answer, Basis) else names.head()
    names.read_until(position)
    return cast("T", _Naming(names, position).of(answer, None))


class _Naming(NamedTuple):
    names: PlaceNames
    position: Position

    def of(self, answer: BaseModel, kind: PlaceKind | None) -> BaseModel:
        """Return a model with its names. `kind`: that of the places in the list which it is an entry of."""
        ranking = getattr(answer, "of", None)
        if ranking is not None:
            kind = _LISTS.get(ranking)
        changed: dict[str, object] = {}
        for field, mark in _marked(type(answer)).items():
            name = self._name(getattr(answer, mark.field or str(mark.kind)), mark.kind or kind)
            if name:
                changed[field] = name
        for field, inside in _marked_inside(type(answer)).items():
            names = self._names_in([getattr(answer, each) for each in inside.fields])
            if names:
                changed[field] = names
        for field in _nested(type(answer)):
            value = getattr(answer, field)
            found = self._inside(value, _LISTS.get(field, kind))
            if found is not value:
                changed[field] = found
        return answer.model_copy(update=changed) if changed else answer

    def _name(self, place: object, kind: PlaceKind | None) -> object:
        if kind is None or place is None:
            return None
        if isinstance(place, list):
            found = {each: self.names.name(kind, each, self.position) for each in place}
            return {each: name for each, name in found.items() if name is not None}
        return self.names.name(kind, str(place), self.position)

    def _names_in(self, values: list[object]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for value in values:
            for field, inner in value.items() if isinstance(value, dict) else ():
                if isinstance(inner, dict):  # the fields of the act that a request is for
                    for each, names in self._names_in([inner]).items():
                        found.setdefault(each, {}).update(names)
                elif field in _FIELDS and isinstance(inner, str):
                    name = self.names.name(_FIELDS[field], inner, self.position)
                    if name is not None:
                        found.setdefault(field, {})[inner] = name
        return found

    def _inside(self, value: object, kind: PlaceKind | None) -> object:
        match value:
            case BaseModel():
                return self.of(value, kind)
            case list() if value:
                return [self._inside(each, kind) for each in value]
            case _:
                return value


@cache
def _marked(model: type[BaseModel]) -> dict[str, NameOf]:
    """Return the fields of a model that hold names."""
    fields = model.model_fields.items()
    return {field: mark for field, info in fields for mark in info.metadata if isinstance(mark, NameOf)}


@cache
def _marked_inside(model: type[BaseModel]) -> dict[str, NamesIn]:
    """Return the fields of a model that hold the names of places in other fields."""
    fields = model.model_fields.items()
    return {field: mark for field, info in fields for mark in info.metadata if isinstance(mark, NamesIn)}


@cache
def _nested(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields of a model that hold other models with names."""
    return tuple(
        field
        for field, info in model.model_fields.items()
        if any(_is_named(inner) for inner in models_in(info.annotation))
    )


@cache
def _is_named(model: type[BaseModel]) -> bool:
    return bool(_marked(model) or _marked_inside(model) or _nested(model))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models_in(inner)
