"""Eight attackers: what one caller, with or without a key, can do to everybody else; see `bench/abuse.py`.

They run in a process of their own (`python -m bench.support.attackers`), which reads a JSON object with the address and
the keys from standard input, attacks until standard input ends, and prints how many requests each made, and the
statuses of their answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

from bench.support.http_client import as_json, request

HALF_REQUESTS, SLOW_REQUESTS, TRICKLES = 1_100, 100, 20
CHUNK = b"X-Wide: " + b"x" * 8_000 + b"\r\n"
CHUNKS = 8_000
"""64 MiB of header lines in one request."""
ANSWER_SECONDS_MAX = 60.0


class Attackers:
    """What the attackers share: the address, the keys, a shift of the volunteer, and what they count."""

    def __init__(self, target: dict[str, str]) -> None:
        self.target = target
        parts = urlsplit(target["address"])
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.statuses: dict[str, Counter[str]] = {name: Counter() for name in ATTACKS}

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def sent(self, name: str, message: bytes) -> bytes:
        """Send a request over a new connection, count its status, and return the body."""
        reader, writer = await self.connected()
        try:
            writer.write(message)
            await writer.drain()
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS_MAX)
            self.statuses[name][head[9:12].decode()] += 1
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            return await reader.readexactly(int(length)) if length.strip().isdigit() else b""
        finally:
            writer.close()

    def post(self, path: str, key: str, body: bytes, media_type: str = "application/json") -> bytes:
        return request(self.target["address"], path, self.target.get(key, ""), media_type, body)

    async def repeated(self, name: str, attack: Callable[[Attackers, str], Awaitable[None]]) -> None:
        """Attack again and again; a connection that is refused or cut off is counted."""
        while True:
            try:
                await attack(self, name)
            except TimeoutError:
                self.statuses[name]["no answer"] += 1
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                self.statuses[name]["cut off"] += 1
                await asyncio.sleep(0.01)


async def big_headers(attackers: Attackers, name: str) -> None:
    """Send 64 MiB of header lines in one request, without a key."""
    reader, writer = await attackers.connected()
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        for _ in range(CHUNKS):
            writer.write(CHUNK)
            await writer.drain()
        writer.write(b"\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), ANSWER_SECONDS_MAX)
        attackers.statuses[name][head[9:12].decode()] += 1
    finally:
        writer.close()


async def slow_requests(attackers: Attackers, name: str) -> None:
    """Send the headers of many requests byte by byte."""

    async def one() -> None:
        _, writer = await attackers.connected()
        try:
            for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 1_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
        finally:
            attackers.statuses[name]["sent"] += 1
            writer.close()

    await asyncio.gather(*(one() for _ in range(SLOW_REQUESTS)), return_exceptions=True)


async def half_requests(attackers: Attackers, name: str) -> None:
    """Open many connections, send half a request over each, and hold them."""
    held = []
    try:
        for _ in range(HALF_REQUESTS):
            with suppress(OSError):
                reader, writer = await attackers.connected()
                writer.write(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
                held.append((reader, writer))
                attackers.statuses[name]["held"] += 1
        await asyncio.sleep(10)
    finally:
        for _, writer in held:
            writer.close()


async def rule_candidates(attackers: Attackers, name: str) -> None:
    """As a reader, post rules whose key is nested ten thousand deep."""
    text = b"a." * 14_500 + b"a=1\n"
    await attackers.sent(name, attackers.post("/v1/rules/candidates", "reader", text, "application/toml"))


async def what_ifs(attackers: Attackers, name: str) -> None:
    """As an analyst, ask for comparisons, nine at a time."""
    message = attackers.post("/v1/what-ifs", "analyst", as_json({"before": {"rules": "current"}, "after": {}}))
    await asyncio.gather(*(attackers.sent(name, message) for _ in range(9)))


async def disputes(attackers: Attackers, name: str) -> None:
    """As a volunteer, dispute one own shift, a thousand times a request."""
    about = {"volunteer": attackers.target["number"], "shift": attackers.target["shift"], "reason": "too-few-minutes"}
    source = f"/volunteers/{attackers.target['number']}"
    events = [
        {"specversion": "1.0", "id": str(uuid4()), "source": source, "type": attackers.target["dispute"], "data": about}
        for _ in range(1_000)
    ]
    await attackers.sent(name, attackers.post("/v1/events", "volunteer", as_json(events), attackers.target["batch"]))


async def trickling_streams(attackers: Attackers, name: str) -> None:
    """As a station, send lines of streams byte by byte."""

    async def one() -> None:
        _, writer = await attackers.connected()
        try:
            head = attackers.post("/v1/events", "station", b"", "application/x-ndjson")
            writer.write(head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
            for _ in range(5_000):
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(0.002)
        finally:
            attackers.statuses[name]["sent"] += 1
            writer.close()

    await asyncio.gather(*(one() for _ in range(TRICKLES)), return_exceptions=True)


async def big_bodies(attackers: Attackers, name: str) -> None:
    """Send a mebibyte of JSON without a key."""
    body = b"[" + b"[]," * 349_000 + b"[]]"
    await attackers.sent(name, attackers.post("/v1/events", "none", body, attackers.target["batch"]))


ATTACKS: dict[str, Callable[[Attackers, str], Awaitable[None]]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        big_headers,
        slow_requests,
        half_requests,
        rule_candidates,
        what_ifs,
        disputes,
        trickling_streams,
        big_bodies,
    )
}


async def _run(target: dict[str, Any]) -> NoReturn:
    attackers = Attackers(target)
    chosen = {name: attack for name, attack in ATTACKS.items() if name in target["attacks"]}
    tasks = [asyncio.create_task(attackers.repeated(name, attack)) for name, attack in chosen.items()]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # until the bench closes it
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)
    print(json.dumps({name: dict(attackers.statuses[name]) for name in chosen}), flush=True)
    os._exit(0)  # an attacker that is still busy must not delay the end


def main() -> None:
    """Attack the target on standard input."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8_192), hard), hard))
    asyncio.run(_run(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
