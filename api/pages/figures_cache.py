"""The public figures, kept until the position moves: strangers ask for them as often as they like.

However many ask, one query runs at a time, in a thread of its own, and at most one in REFRESH_SECONDS.
"""

from __future__ import annotations

import asyncio
import time
from datetime import tzinfo
from zoneinfo import ZoneInfo

import psycopg
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from api.messages.periods import local_day
from api.operations.service import Service
from replay.generations.store import NoGenerationError
from replay.queries.public_figures import PublicFigures, public_figures

REFRESH_SECONDS = 2.0
LOAD_SHARE = 0.1
"""A query of a second is repeated after ten at the earliest, so that figures take at most this share of a processor."""
STREAMS_MAX = 200
STREAMS_PER_CLIENT_MAX = 6


class FiguresCache:
    """The newest public figures of one service. It belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._figures: PublicFigures | None = None
        self._zone: tzinfo | None = None
        self._fresh_until = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)
        self._streams: dict[str, int] = {}

    async def current(self) -> PublicFigures | None:
        """Return the figures, at most some seconds old; None while there are no read models or no database.

        Nobody but the first waits for a query: figures that are known are returned while newer ones are read.
        """
        if time.monotonic() >= self._fresh_until and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        if self._figures is None and self._refreshing is not None:
            await asyncio.shield(self._refreshing)
        return self._figures

    async def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._figures = await run_sync(self._read, limiter=self._thread)
        except NoGenerationError:
            self._figures = None
        except psycopg.Error:
            pass  # the older figures are still true of their position
        finally:
            ended = time.monotonic()
            self._fresh_until = ended + max(REFRESH_SECONDS, (ended - began) / LOAD_SHARE)
            self._refreshing = None

    async def zone(self) -> tzinfo:
        """Return the time zone of the rules; UTC before there are any."""
        if self._zone is None:
            await self.current()
        return self._zone or ZoneInfo("UTC")

    def _read(self) -> PublicFigures:
        ledger = self._service.ledger
        generation = ledger.current_generation()
        timeline = generation.timeline()
        self._zone = ZoneInfo(timeline.time_zone)
        today = local_day(ledger.clock(), timeline)
        known = self._figures
        if known and (known.position, known.generation, known.today) == (generation.position, generation.id, today):
            return known
        return public_figures(ledger.database, today)

    def begin_stream(self, client: str) -> bool:
        """Count a stream of a client; return whether there is room for it."""
        held = self._streams.get(client, 0)
        if held >= STREAMS_PER_CLIENT_MAX or sum(self._streams.values()) >= STREAMS_MAX:
            return False
        self._streams[client] = held + 1
        return True

    def end_stream(self, client: str) -> None:
        """Count a stream no more."""
        left = self._streams[client] - 1
        if left:
            self._streams[client] = left
        else:
            del self._streams[client]
