"""The command line in this process, against a ledger in a database of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.cli.main import execute


class CommandResult(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """The JSON on standard output, which holds nothing else."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one sentence on standard error that a mistake is told in."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("hours: ")
        return lines[0].removeprefix("hours: ")


class CommandLine:
    """`hours` with a data directory and a database."""

    def __init__(self, data: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capture = capture

    def __call__(self, *arguments: object) -> CommandResult:
        self._capture.readouterr()
        umask = os.umask(0o022)
        try:
            code = execute(["--data", str(self.data), *map(str, arguments)])
        finally:
            os.umask(umask)
        out, err = self._capture.readouterr()
        return CommandResult(code, out, err)
