"""Checkpoints, tiles and proofs over HTTP: anybody verifies with hashes alone, and entries are for auditors."""

from __future__ import annotations

import shutil
from collections.abc import Hashable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.roles import ROLES_OF_RIGHT, Right, Role
from api.http.requests.lanes import FILES_PER_CLIENT_MAX
from replay.proof.checkpoints import Checkpoint, verify_checkpoint
from replay.proof.entries import entries_in, entry_of
from replay.proof.keys import PublishedKeys
from replay.proof.proofs import Proof
from replay.proof.tree import TILE_WIDTH, leaf_hash, tiles, verify_inclusion
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]


@pytest.fixture
def signed(served: Served) -> Checkpoint:
    """The newest checkpoint as an outsider reads it, who has the keys."""
    served.ledger.tree.grow()
    keys = PublishedKeys.from_json(served.get("/.well-known/service-hours-keys", role=None).text)
    answer = served.get("/v1/log/checkpoint", role=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=5"
    return verify_checkpoint(answer.content, keys)


def test_anybody_reads_all_tiles_of_a_checkpoint(served: Served, signed: Checkpoint) -> None:
    for tile in tiles(signed.size):
        answer = served.get(f"/v1/log/{tile.path}", role=None)
        assert (answer.status_code, len(answer.content)) == (200, 32 * tile.width)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers.get_list("cache-control") == [answer.headers["cache-control"]]


@pytest.mark.parametrize(
    "path",
    [
        *("0/1", "0/0000", "0/x000", "0/x000/000", "00/000", "64/000", "-1/000", "0/999", "9/000", "x/000"),
        *(
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/007",
            "0/000.p/",
            "0/000/",
            "0/%2e%2e/checkpoint",
            "+0/000",
            "0x0/000",
            "%200/000",
        ),
        "0/%D9%A0%D9%A0%D9%A0",  # digits of another script
    ],
)
def test_other_addresses_are_no_tiles(served: Served, signed: Checkpoint, path: str) -> None:
    assert served.get(f"/v1/log/tile/{path}", role=None).status_code in {404, 422}
    assert signed


def test_what_no_checkpoint_covers_is_not_answered(served: Served, signed: Checkpoint) -> None:
    served.volunteer()
    number, width = divmod(signed.size, TILE_WIDTH)
    wider = f"{number:03}.p/{width + 1}" if width < 255 else f"{number:03}"
    for level in ("0", "entries"):
        answer = served.get(f"/v1/log/tile/{level}/{wider}", role=Role.AUDITOR)
        assert (answer.status_code, answer.json()["rejection"]) == (404, "no-such-address")


def test_entries_are_for_auditors(served: Served, signed: Checkpoint) -> None:
    width = min(signed.size, TILE_WIDTH)
    address = "/v1/log/tile/entries/000" + ("" if width == TILE_WIDTH else f".p/{width}")
    answer = served.get(address, role=Role.AUDITOR)
    entries = list(entries_in(answer.content))
    assert entries == [entry_of(event) for event in served.ledger.log.read(0, width)]  # type: ignore[arg-type]
    assert answer.headers["cache-control"] == "no-store"
    tile = served.get(address.replace("entries", "0"), role=None).content
    assert b"".join(map(leaf_hash, entries)) == tile
    for role in (None, *Role):
        may = role in ROLES_OF_RIGHT[Right.AUDIT]
        assert (served.get(address, role=role).status_code == 200) == may, role


def test_a_proof_of_an_event_leads_to_the_checkpoint(served: Served) -> None:
    volunteer = served.volunteer()
    position = int(served.ledger.log.head())
    answer = served.get(f"/v1/events/{position}/proof")
    assert (answer.status_code, answer.json()["rejection"], answer.json()["retry"]) == (503, "not-covered", True)
    signed = served.ledger.tree.grow()
    assert signed is not None
    answer = served.get(f"/v1/events/{position}/proof")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    proof = Proof.parse(answer.content)
    checkpoint = verify_checkpoint(proof.checkpoint.encode(), served.ledger.tree.keys.published())
    (event,) = served.ledger.log.read(position - 1, 1)  # type: ignore[arg-type]
    verify_inclusion(leaf_hash(entry_of(event)), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    assert (proof.index, checkpoint.size) == (position - 1, signed.size)
    assert volunteer


def test_a_proof_of_no_event_is_not_found(served: Served) -> None:
    answer = served.get("/v1/events/1000000/proof")
    assert (answer.status_code, answer.json()["rejection"]) == (404, "unknown-event")


def test_volunteers_get_the_proofs_of_their_own_events_only(served: Served) -> None:
    own, other = served.volunteer(), served.volunteer()
    _, mine = served.served_shift(own, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    _, theirs = served.served_shift(other, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    served.ledger.tree.grow()
    _, token = served.ledger.keys.make(Role.VOLUNTEER, own)
    headers = {"Authorization": f"Bearer {token}"}
    for position, status in ((mine, 200), (theirs, 403), (1, 403), (10**6, 403)):
        answer = served.client.get(f"/v1/events/{position}/proof", headers=headers)
        assert answer.status_code == status, answer.text


def test_a_key_that_may_not_read_reads_what_is_open(served: Served, signed: Checkpoint) -> None:
    assert served.get("/v1/log/checkpoint", role=Role.VOLUNTEER).content == signed.encode()


def test_strangers_occupy_one_lane_only(served: Served) -> None:
    limits = served.client.app.state.concurrency  # type: ignore[attr-defined]
    assert limits.files.at_once < limits.queries.at_once
    assert limits.files.held_max == FILES_PER_CLIENT_MAX


def test_a_level_is_written_in_one_way(served: Served, signed: Checkpoint) -> None:
    assert "how a level is written" in served.get("/v1/log/tile/00/000", role=None).json()["detail"]
    assert signed


def test_a_tile_that_cannot_be_read_tells_no_path(served: Served, signed: Checkpoint) -> None:
    tile = next(iter(tiles(signed.size)))
    folder = served.ledger.tree.tiles.folder
    hidden = folder.with_name("hidden")
    folder.rename(hidden)
    try:
        (folder / "tile").mkdir(parents=True)
        shutil.copy(hidden / "checkpoint", folder)
        answer = served.get(f"/v1/log/{tile.path}", role=None)
    finally:
        shutil.rmtree(folder)
        hidden.rename(folder)
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"{tile.path} is missing here, or damaged"
    assert answer.headers["cache-control"] == "no-store"


def test_the_clients_of_a_proxy_and_the_networks_of_clients_share_files(
    served: Served, signed: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = served.client.app
    lane, shares = app.state.concurrency.files, []
    acquire = lane.acquire

    async def noted(share: Hashable) -> Any:
        shares.append(share)
        return await acquire(share)

    monkeypatch.setattr(lane, "acquire", noted)
    behind = TestClient(app, client=("127.0.0.1", 50_000))
    for address in ("192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2"):
        answer = behind.get("/v1/log/checkpoint", headers={"X-Forwarded-For": f"203.0.113.1, {address}"})
        assert answer.content == signed.encode()
    assert shares == ["192.0.2.7", "192.0.2.8", "2001:db8::/64", "2001:db8::/64"]
