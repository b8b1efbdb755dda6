"""The page for analysts: its blocks, run one after the other in one process, as a notebook would.

`python -m tests.support.pages.analysts` writes the outputs of today into the page: read the difference before you
commit it.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from api.cli.main import execute
from ledger.store.embedded import serving
from tests.support.pages.readme import steps

PAGE = Path(__file__).parents[3] / "docs" / "analysts.md"
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """What a block of the page shows, and what it printed."""

    kind: str
    code: str
    shown: str
    printed: str


def run(text: str) -> Iterator[tuple[Block, dict[str, Any]]]:
    """Run the blocks of a page in the current directory; yield each with the names that are defined by then."""
    names: dict[str, Any] = {}
    for kind, code, shown in _BLOCK.findall(text):
        if kind == "console":
            for step in steps(f"```console\n{code}```\n"):
                yield Block(kind, step.command, step.output, _command(step.command)), names
        else:
            with redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
            yield Block(kind, code, shown, printed.getvalue()), names


def _command(command: str) -> str:
    program, *arguments = command.split()
    assert program == "hours"
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as told:
        code = execute(arguments)
    assert code == 0, told.getvalue()
    return printed.getvalue()


@contextmanager
def _elsewhere() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            with serving(Path("data")) as url:
                os.environ["DATABASE_URL"] = url
                yield
        finally:
            os.chdir(before)


def main() -> None:
    """Write what the blocks print into the page."""
    text = PAGE.read_text("utf-8")
    with _elsewhere():
        printed = iter([block.printed for block, _ in run(text) if block.kind == "python"])

    def with_output(found: re.Match[str]) -> str:
        kind, code, shown = found.groups()
        if kind == "console":
            return found[0]
        output = next(printed)
        assert bool(output) == (shown is not None), code
        return found[0] if shown is None else f"```python\n{code}```\n\n```text\n{trimmed(output)}```\n"

    PAGE.write_text(_BLOCK.sub(with_output, text), "utf-8")


def trimmed(output: str) -> str:
    """Return an output as the page shows it."""
    return "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())


if __name__ == "__main__":
    main()
