"""Routes to the tree over the log: checkpoint, tiles and keys without a key, entries and proofs with one.

Checkpoint and tiles are those of C2SP tlog-tiles, with `/v1/log` as prefix. They hold hashes only, so anybody may read
them; entries hold volunteer numbers, so only who may audit reads them. Only what the published checkpoint covers is
answered, so a tile never changes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from api.access.clients import client_of
from api.access.roles import Caller, Right, Role, forbids_right
from api.http.requests.dependencies import CallerDep, PermitDep, ServiceDep, allowed_to, run_read
from api.http.requests.lanes import READ_SECONDS_MAX, ConcurrencyLimits, run_with
from api.messages.problems import problem
from api.operations.service import OpenLedger
from ledger.names import POSITION_MAX, Position
from ledger.store.mapper import decode
from replay.certificates.evidence import extra_of_event
from replay.proof.checkpoints import Checkpoint
from replay.proof.entries import entry_of
from replay.proof.growth import NotCoveredError
from replay.proof.keys import NoSigningKeysError
from replay.proof.tiles import TileError
from replay.proof.tree import TILE_HEIGHT, TILE_WIDTH, Tile
from replay.queries.queries import UnknownNameError

router = APIRouter(tags=["proof"])
logger = logging.getLogger(__name__)

OCTETS, TEXT = "application/octet-stream", "text/plain; charset=utf-8"
FOREVER = "public, max-age=31536000, immutable"
A_MOMENT = "public, max-age=5"
_INDEX = re.compile(r"(?P<number>(x[0-9]{3}/)*[0-9]{3})(\.p/(?P<width>[1-9][0-9]{0,2}))?")
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
}
T = TypeVar("T")

IndexPath = Annotated[
    str,
    Path(
        description="The tile's number in groups of three digits, all but the last with an x before it; for a partial "
        "tile followed by `.p/` and its width.",
        examples=["000", "x001/234", "000.p/17"],
        max_length=60,
    ),
]


class KeysOfGeneration(BaseModel):
    """A generation of keys as verifier keys (vkey), and the sizes of the checkpoints they sign; `last_size` is null
    while they sign. Nothing may be verified with stolen keys.
    """

    generation: int
    keys: list[str]
    made_at: int
    first_size: int
    last_size: int | None
    stolen: bool


class PublishedKeysAnswer(BaseModel):
    """The origin of the ledger's checkpoints, and the keys that have signed them, oldest first."""

    origin: str
    generations: list[KeysOfGeneration]


@router.get("/v1/log/checkpoint", summary="The newest checkpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request, service: ServiceDep) -> Response:
    """The newest signed checkpoint, a C2SP signed note: the origin, the number of events and the root of their tree.

    No key is needed.
    """
    found = await _run_open(request, lambda: _published(service.ledger))
    return Response(found.encode(), media_type=TEXT, headers={"Cache-Control": A_MOMENT})


@router.get(
    "/v1/log/tile/entries/{index:path}", summary="The events of a tile", responses=_BINARY, response_class=Response
)
async def entries(
    request: Request,
    index: IndexPath,
    service: ServiceDep,
    _caller: Annotated[Caller, Depends(allowed_to(Right.AUDIT))],
    _permit: PermitDep,
) -> Response:
    """The entries whose hashes are in a tile of level 0: stored events, each after its length in two bytes.

    For auditors only, because events name volunteers.
    """
    number, width = _number_and_width(index)

    def read() -> bytes:
        tile = _covered(service.ledger, Tile(0, number, width))
        first = tile.number * TILE_WIDTH
        return service.ledger.log.entries(first, first + tile.width).bundle

    return Response(await run_read(request, read), media_type=OCTETS)


@router.get(
    "/v1/log/tile/{level}/{index:path}", summary="A tile of the tree", responses=_BINARY, response_class=Response
)
async def tile(
    request: Request,
    level: Annotated[int, Path(ge=0, le=63, description="0 for the hashes of events, 1 for those of full tiles.")],
    index: IndexPath,
    service: ServiceDep,
) -> Response:
    """Up to 256 hashes of 32 bytes: those of events, or those of full tiles of the level below.

    No key is needed. A tile that the published checkpoint covers never changes.
    """
    number, width = _number_and_width(index)
    if request.path_params["level"] != str(level):  # 00 is read as 0, but every tile has one address
        raise problem("no-such-address", f"{request.path_params['level']} is not how a level is written; it is {level}")

    def read() -> bytes:
        found = _covered(service.ledger, Tile(level, number, width))
        try:
            return service.ledger.tree.tiles.read(found)
        except TileError as error:  # it names a path, which is not for strangers
            logger.error("a tile that the published checkpoint covers cannot be read: %s", error)  # noqa: TRY400 - expected
            raise problem("no-such-address", f"{found.path} is missing here, or damaged") from None

    return Response(await _run_open(request, read), media_type=OCTETS, headers={"Cache-Control": FOREVER})


@router.get("/v1/events/{position}/proof", summary="The proof of an event", response_class=PlainTextResponse)
async def proof(
    request: Request,
    position: Annotated[int, Path(ge=1, le=POSITION_MAX, description="The position of the event in the log.")],
    service: ServiceDep,
    caller: CallerDep,
    _permit: PermitDep,
) -> Response:
    """A C2SP tlog-proof file: the hashes that lead from the event to the root of the newest checkpoint, and that
    checkpoint.

    The line `extra` carries the event for those who may read events: `hours verify` needs it. An event that was just
    recorded is covered within a minute; until then the answer is 503.
    """

    def prove() -> bytes:
        _require_own(service.ledger, caller, position)
        try:
            return service.ledger.tree.prove(position, _extra(service.ledger, caller, position)).encode()
        except NotCoveredError as error:
            if position > service.ledger.log.head():
                raise UnknownNameError("event", str(position)) from None
            raise problem("not-covered", str(error)) from None

    return Response(await run_read(request, prove), media_type=TEXT)


@router.get("/.well-known/service-hours-keys", summary="The keys that sign checkpoints")
async def signing_keys(request: Request, response: Response, service: ServiceDep) -> PublishedKeysAnswer:
    """The public keys that verify checkpoints. No key is needed. Keep them: what you verify rests on them."""
    try:
        found = await _run_open(request, service.ledger.tree.keys.published)
    except NoSigningKeysError:
        raise problem("no-checkpoint", "this ledger has no signing keys yet") from None
    response.headers["Cache-Control"] = A_MOMENT
    return PublishedKeysAnswer.model_validate(found.as_json())


async def _run_open(request: Request, work: Callable[[], T]) -> T:
    """Run a read of a file for anybody, in turn with the reads of other clients."""
    limits: ConcurrencyLimits = request.app.state.concurrency
    return await run_with(await limits.files.acquire(client_of(request)), work, READ_SECONDS_MAX)


def _published(ledger: OpenLedger) -> Checkpoint:
    found = ledger.tree.checkpoints.published()
    if found is None:
        raise problem("no-checkpoint", "no checkpoint was published yet")
    return found


def _number_and_width(index: str) -> tuple[int, int]:
    found = _INDEX.fullmatch(index)
    number = int(found["number"].replace("x", "").replace("/", "")) if found else 0
    width = int(found["width"] or TILE_WIDTH) if found else 0
    if found is None or Tile(0, number, width).path != f"tile/0/{index}":
        raise problem("no-such-address", f"{index} is not the number of a tile; one is written as x001/234 or 000.p/17")
    return number, width


def _covered(ledger: OpenLedger, found: Tile) -> Tile:
    """Return a tile that the published checkpoint covers."""
    size = _published(ledger).size >> (TILE_HEIGHT * found.level)
    if found.number * TILE_WIDTH + found.width > size:
        raise problem("no-such-address", f"the published checkpoint covers no {found.path}")
    return found


def _extra(ledger: OpenLedger, caller: Caller, position: int) -> bytes | None:
    """Return what a proof carries besides: the event, unless it is not in the log or the caller may not read events."""
    if forbids_right(caller, Right.READ):
        return None
    events = ledger.log.read(Position(position - 1), 1, Position(position))
    return extra_of_event(entry_of(events[0])) if events else None


def _require_own(ledger: OpenLedger, caller: Caller, position: int) -> None:
    """Refuse a volunteer's key for the events of others."""
    if caller.role is not Role.VOLUNTEER:
        return
    events = ledger.log.read(Position(position - 1), 1, Position(position))
    event = decode(events[0].topic, events[0].state) if events else None
    if getattr(event, "volunteer", None) != caller.name:
        raise problem("forbidden", f"this key opens only the records of volunteer {caller.name}", field="role")
