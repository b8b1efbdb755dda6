"""A served log with witnesses: a checkpoint is published once they cosigned it, and none is while they are silent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from replay.proof.notes import SignatureKind, SigningKey, VerifierKey
from replay.proof.policies import Policy
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program, run
from tests.support.replay.witness_server import Witness, serving_witness

T = TypeVar("T")


def awaited(get: Callable[[], T | None]) -> T:
    """Ask until there is an answer; a test that waits in vain ends with pytest's own limit."""
    while (found := get()) is None:
        time.sleep(0.1)
    return found


def test_checkpoints_of_a_server_are_cosigned_or_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    data = tmp_path / "data"

    def hours(*arguments: object) -> str:
        done = run(*HOURS, "--data", data, *arguments, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    made = json.loads(hours("init", "--origin", "hours.example.org/log", "--json"))
    secret = made["key"]["key"]
    keys = [
        VerifierKey.parse(line)
        for line in hours("signing-keys", "list").split()
        if line.startswith(f"{made['origin']}+")
    ]
    witness = Witness(SigningKey("w1.example", SignatureKind.ED25519_COSIGNATURE, b"\7" * 32), keys)
    with serving_witness(witness):
        policy = tmp_path / "policy"
        lines = [f"log {key}" for key in keys] + [f"witness w1 {witness.key.verifier_key} {witness.url}", "quorum w1"]
        policy.write_text("\n".join([*lines, ""]))
        serving = ("--data", data, "serve", "--port", "0", "--json", "--checkpoint-seconds", "1")
        with Program(*HOURS, *serving, "--log-policy", policy) as process, ExitStack() as stack:
            client = stack.enter_context(
                httpx2.Client(
                    base_url=process.read_object()["address"],
                    headers={"Authorization": f"Bearer {secret}"},
                    timeout=PATIENCE_SECONDS,
                )
            )

            def published() -> bytes | None:
                answer = client.get("/v1/log/checkpoint")
                return answer.content if answer.status_code == 200 else None

            def alarm() -> str | None:
                checks = {check["name"]: check for check in client.get("/readyz").json()["checks"]}
                return None if checks["tree"]["ok"] else str(checks["tree"]["detail"])

            first = awaited(published)
            trusted = Policy.parse(policy.read_bytes())
            verified = trusted.verify(first)
            assert [each.key for each in verified.witnesses] == [witness.key.verifier_key]

            witness.behaviour = lambda _, __: (500, "text/plain", b"out of order")
            founded = {"organisation": "luohu", "kind": "district"}
            assert client.post("/v1/commands/found-organisation", json=founded).status_code == 201
            assert "w1" in awaited(alarm)
            assert published() == first

            witness.behaviour = Witness.answer
            second = awaited(lambda: found if (found := published()) != first else None)
            assert trusted.verify(second).size > verified.size
            process.terminate()
            assert process.wait(PATIENCE_SECONDS) == 0
