"""`hours serve` and `hours run`, as processes: they serve, say so, and leave nothing behind when they are ended."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from http_message_signatures.httpx2 import adapt_message

from api.access.roles import Role
from api.cli.operations import demonstration
from api.cli.operations.data import MARK
from api.messages.cloud_events import BATCH
from api.operations.service import create_ledger, open_ledger
from tests.support.api.serving import STATION, found
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program, run

SMALL = ("-c", f"from api.cli.operations import serve; serve.DEMO_SCALE = 0.001; {HOURS[1]}")
"""A demonstration of a tenth of the size; `tests/pages/test_readme.py` makes the whole."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with an embedded PostgreSQL of its own."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path / "data"


@contextmanager
def started(data: Path, *arguments: str, program: tuple[str, str] = HOURS) -> Iterator[tuple[Program, dict[str, Any]]]:
    """Run `hours` until it says what it serves; yield the process and what it said."""
    with Program(*program, "--data", data, *arguments, "--port", "0", "--json") as process:
        said = process.read_object()
        try:
            yield process, said
        finally:
            process.kill() if process.poll() is None else None


def ended(process: Program, by: signal.Signals) -> str:
    """End a process by a signal as a terminal or a supervisor does; return what it said to standard error."""
    process.send_signal(by)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    return err


def postgres_of(data: Path) -> list[int]:
    """Return the process ids of PostgreSQL servers in a data directory."""
    place = data / "postgres" / "postmaster.pid"
    try:
        number = int(place.read_text().splitlines()[0])
    except FileNotFoundError:
        return []
    return [number] if psutil.pid_exists(number) else []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_empty_ledger_is_served_and_ended_cleanly(data: Path, by: signal.Signals) -> None:
    assert run(*HOURS, "--data", data, "init", timeout=PATIENCE_SECONDS).returncode == 0
    with started(data, "serve") as (process, said):
        assert httpx2.get(f"{said['address']}/healthz", timeout=PATIENCE_SECONDS).json() == {"status": "ok"}
        assert postgres_of(data)
        err = ended(process, by)
    assert "Traceback" not in err
    assert postgres_of(data) == []


def test_a_hang_up_drains_running_requests_and_ends_every_process(data: Path) -> None:
    with create_ledger(data) as ledger:
        ledger.make_ready()
        token = ledger.keys.make(Role.ADMIN, "admin")[1]
    with started(data, "serve") as (process, said):
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        host, port = said["address"].removeprefix("http://").split(":")
        body = json.dumps({"station": STATION, "kind": "city"}).encode()
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(
                b"POST /v1/commands/open-station HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body[:5]
            )
            while httpx2.get(f"{said['address']}/healthz", timeout=PATIENCE_SECONDS).status_code != 200:
                pass
            for one in (*children, psutil.Process(process.pid)):  # as a terminal that is closed sends it to all
                one.send_signal(signal.SIGHUP)
            while "stopping" not in process.stderr.readline():
                assert process.poll() is None
            connection.sendall(body[5:])
            answer = connection.recv(65_536)
        assert b" 201 " in answer.splitlines()[0], answer
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        assert alive == []
    assert postgres_of(data) == []
    with open_ledger(data) as ledger:
        assert ledger.knows("station", STATION)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hang_up_ends_a_command_cleanly_unless_it_is_ignored(data: Path, *, ignored: bool) -> None:
    assert run(*HOURS, "--data", data, "init", "--no-rules", timeout=PATIENCE_SECONDS).returncode == 0
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" if ignored else "pass"  # as nohup does
    code = f"import signal; {before}; {HOURS[1]}"
    with Program("-c", code, "--data", data, "post", "-") as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not process_is_reading(process.pid):
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == (0 if ignored else 130), (out, err)
    assert "Traceback" not in err
    assert postgres_of(data) == []


def process_is_reading(number: int) -> bool:
    """Return whether a process waits for its standard input."""
    with suppress(OSError):
        return Path(f"/proc/{number}/wchan").read_text() in {"pipe_read", "anon_pipe_read"}
    return False


def test_a_port_that_is_taken_is_told_at_once(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = run(*HOURS, "--data", data, "serve", "--port", port, timeout=PATIENCE_SECONDS)
    assert (told.returncode, told.stdout) == (2, "")
    assert len(told.stderr.strip().splitlines()) == 1
    assert f"--port {port} cannot be used" in told.stderr
    assert not (data / "postgres").exists()


def test_the_demonstration_is_made_once_and_its_three_things_to_try_work(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(data, "run", program=SMALL) as (process, said):
        tries = [shlex.split(one["command"]) for one in said["try"]]
        assert [command[0] for command in tries] == ["curl"] * 3
        requested, approved = (shlex.split(part) for part in said["try"][2]["command"].split(" && echo && "))
        sent = curl(tries[0])
        assert (sent["accepted"], sent["refused"]) == (2, 0)
        seen = waited_for(tries[1], said, sent["position"])
        assert seen["shifts"][0]["trace"]["raw"] == 120
        assert curl(requested)["recorded"] is True
        corrected = curl(approved)
        seen = waited_for(tries[1], said, corrected["position"])
        assert seen["shifts"][0]["trace"]["raw"] == 90
        ended(process, signal.SIGINT)
    keys = data / demonstration.KEYS
    assert keys.stat().st_mode & 0o777 == 0o600
    assert json.loads(keys.read_text()) == said["keys"]
    assert json.loads((data / MARK).read_text())["complete"] is True

    with started(data, "run", program=SMALL) as (process, again):
        assert again["keys"] == said["keys"]
        status = httpx2.get(
            f"{again['address']}/v1/status",
            headers={"Authorization": f"Bearer {again['keys']['staff']}"},
            timeout=PATIENCE_SECONDS,
        ).json()
        assert status["position"] == corrected["position"]
        ended(process, signal.SIGINT)
    assert postgres_of(data) == []

    with open_ledger(data) as ledger:  # a key that was revoked is made anew, the others stay valid until then
        known = said["keys"]
        for role in ("staff", "approver"):
            ledger.keys.revoke(max(key.id for key in ledger.keys.list() if key.role == role))
            renewed = demonstration.demo_keys(ledger)
            assert renewed[role] != known[role]
            assert demonstration.demo_keys(ledger) == renewed
            known = renewed


def test_the_limits_are_those_that_were_asked_for_and_no_secret_is_logged(data: Path) -> None:
    with create_ledger(data) as ledger:
        found(ledger)
        ledger.make_ready()
        _, token = ledger.keys.make(Role.READER, "anna")
        key, station = ledger.keys.make(Role.STATION, STATION)
        private = Ed25519PrivateKey.generate()
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        ledger.keys.sign_with(key.id, raw, required=True)
    with started(data, "serve", "--per-second", "1", "--signed-within", "1000") as (process, said):
        signed = httpx2.Request(
            "POST",
            f"{said['address']}/v1/events",
            content=b"[]",
            headers={"Authorization": f"Bearer {station}", "Content-Type": BATCH},
        )
        sign(signed, str(key.id), private, datetime.now(UTC) - timedelta(seconds=900))
        with httpx2.Client(timeout=PATIENCE_SECONDS) as client:
            assert client.send(signed).status_code == 200
        statuses = [
            httpx2.get(
                f"{said['address']}/v1/log/1", params={"key": token}, headers=headers, timeout=PATIENCE_SECONDS
            ).status_code
            for headers in (*[{"Authorization": f"Bearer {token}"}] * 20, {"Authorization": f"Basic {token}"}, {})
        ]
        assert statuses.count(429) >= 5
        assert statuses[-2:] == [401, 401]
        err = ended(process, signal.SIGINT)
    secrets = re.findall(r":(.*):", signed.headers["signature"])
    assert not any(secret in err for secret in (token, station, *secrets))


def sign(request: httpx2.Request, key: str, private: Ed25519PrivateKey, created: datetime) -> None:
    keys = MappingKeyResolver(public_keys={}, private_keys={key: private})
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=keys).sign(
        adapt_message(request),
        key_id=key,
        created=created,
        covered_component_ids=("@method", "@path", "content-digest"),
        body=request.content,
    )


def curl(command: list[str]) -> Any:
    """Do what a curl command says, without curl."""
    address = next(word for word in command if word.startswith("http"))
    headers = dict(command[place + 1].split(": ", 1) for place, word in enumerate(command) if word == "-H")
    body = command[command.index("-d") + 1] if "-d" in command else None
    answer = httpx2.request("POST" if body else "GET", address, headers=headers, content=body, timeout=PATIENCE_SECONDS)
    assert answer.is_success, answer.text
    return answer.json()


def waited_for(command: list[str], said: dict[str, Any], position: int) -> Any:
    """Ask as the command does, once the read models hold a position."""
    headers = {"Authorization": f"Bearer {said['keys']['station']}"}
    assert httpx2.get(
        f"{said['address']}/v1/honors?at_least={position}", headers=headers, timeout=PATIENCE_SECONDS
    ).is_success
    return curl(command)


def test_a_first_start_that_was_interrupted_is_continued(data: Path) -> None:
    with Program(*HOURS, "--data", data, "run", "--port", "0", "--json") as process:
        while "Creating a history" not in process.stderr.readline():
            assert process.poll() is None
        while not (data / MARK).exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()  # which changes nothing once it has ended
    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert postgres_of(data) == []
    with started(data, "run") as (process, said):
        headers = {"Authorization": f"Bearer {said['keys']['staff']}"}
        status = httpx2.get(f"{said['address']}/v1/status", headers=headers, timeout=PATIENCE_SECONDS).json()
        assert status["head"] > 100_000
        assert (status["lag"], status["alert"]) == (0, None)
        ended(process, signal.SIGTERM)
