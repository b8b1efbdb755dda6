"""Go's `golang.org/x/mod/sumdb`, asked by a small program (`tests/support/go/oracle.go`).

Debian's packages golang-go and golang-golang-x-mod-dev bring what it needs. Without them, what Go answered once is
compared alone: `tests/replay/proof/vectors/go.json`, written by `python -m tests.support.replay.go_oracle`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from replay.proof.notes import SigningKey, sign_note
from tests.support.replay.proofs import NOW, checkpoint_text, log_keys, witness_key

SOURCE = Path(__file__).parents[1] / "go" / "oracle.go"
VECTORS = Path(__file__).parents[2] / "replay" / "proof" / "vectors" / "go.json"
MODULES = Path("/usr/share/gocode")
MISSING = (
    "Go is missing: install golang-go and golang-golang-x-mod-dev to compare with it; its kept answers are compared"
)

Answer = dict[str, Any]


def is_there() -> bool:
    """Return whether Go and its module can be used."""
    return shutil.which("go") is not None and (MODULES / "src/golang.org/x/mod/sumdb/tlog").is_dir()


class GoOracle:
    """The running program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **request: object) -> Answer:
        """Ask one question; bytes are sent in base64."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=_in_base64) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer


def _in_base64(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


@contextmanager
def running_go() -> Iterator[GoOracle]:
    """Compile the program and run it within the block."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "oracle"
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(MODULES), "GOFLAGS": ""}
        environment.setdefault("HOME", folder)
        subprocess.run(["go", "build", "-o", program, SOURCE], check=True, env=environment, timeout=600)
        with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield GoOracle(process)
            assert process.stdin is not None
            process.stdin.close()


def questions() -> Iterator[dict[str, object]]:
    """Yield the questions whose answers are kept."""
    sizes = [*range(1, 18), 255, 256, 257, 511, 513, 1000]
    for size in sizes:
        for index, old in sorted({(0, 1), (size // 2, size // 2 + 1), (size // 3, max(1, size * 2 // 3))}):
            yield {"op": "tree", "salt": "kept", "size": size, "old": old, "index": index}
    for old, size in ((0, 1), (0, 256), (1, 257), (255, 512), (300, 700)):
        yield {"op": "tiles", "salt": "kept", "size": size, "old": old}
    for key in (log_keys()[0], SigningKey("example.com/foo", log_keys()[0].kind, bytes(range(32)))):
        yield {"op": "sign", "name": key.name, "seed": key.seed, "note": note_text(key.name)}


def note_text(origin: str) -> str:
    """Return the text of the checkpoint that Go signs."""
    return checkpoint_text(12, b"\7" * 32, "hours 3 12 aa bb", origin=origin)


def notes_to_open() -> Sequence[tuple[str, bool]]:
    """Return notes signed here, and whether Go has to open them with the Ed25519 key of the log."""
    ed25519, ml_dsa = log_keys()
    text = note_text(ed25519.name)
    good = sign_note(text, [ed25519, ml_dsa, witness_key("w")], NOW).encode().decode()
    alone = sign_note(text, [ed25519], NOW).encode().decode()
    return [
        (good, True),
        (alone, True),
        (good.replace("hours 3", "hours 4"), False),
        (good.replace("\n12\n", "\n13\n"), False),
        (sign_note(text, [ml_dsa], NOW).encode().decode(), False),
        (good[:-1], False),
    ]


def shortened(answer: Answer) -> Answer:
    """Return an answer with the digests of tiles in place of their content."""
    if "tiles" not in answer:
        return answer
    return {"tiles": {path: sha256(base64.b64decode(data)).hexdigest() for path, data in answer["tiles"].items()}}


def write_vectors() -> None:
    """Ask Go, and keep its answers."""
    with running_go() as go:
        kept = [{"question": each, "answer": shortened(go.ask(**each))} for each in questions()]
    VECTORS.write_text(json.dumps(kept, default=_in_base64, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    if not is_there():
        sys.exit(MISSING)
    write_vectors()
