"""Commands shown on pages: find them, run them, and compare what they print with what the page shows.

A block of `console` holds commands after `$ ` and what they print. An ellipsis (…) stands for any text within a line;
alone on a line it stands for any lines. All commands run in one shell, in a directory of their own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
END = "-- end of output --"


class Step(NamedTuple):
    """A command and the output shown."""

    command: str
    output: str


def steps(text: str) -> list[Step]:
    """Return the commands of all console blocks in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Step(command, output.rstrip("\n")))
    return found


def agrees(shown: str, printed: str) -> bool:
    """Return whether the output is what the page shows, with ellipses for what may differ."""
    pattern = "".join(
        "(.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


class Shell:
    """One bash for all commands."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a command and return what it printed on both channels."""
        stdin, stdout = self._bash.stdin, self._bash.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the shell has no pipes")
        stdin.write(f"{command}\necho; echo '{END}'\n")
        stdin.flush()
        lines = []
        for line in stdout:
            if line.rstrip("\n") == END:
                break
            lines.append(line.rstrip("\n"))
        return "\n".join(lines).rstrip("\n")

    def close(self) -> None:
        """End the shell."""
        self._bash.communicate("exit\n")


def run_page(shell: Shell, page: str, port: int) -> int:
    """Run the commands of a page; return how many there are."""
    commands = [step for step in steps(page) if step.command != "make run"]
    for command, shown in commands:
        printed = shell.run(command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        assert agrees(shown, printed), f"$ {command}\n{printed}\n--- shown:\n{shown}"
    return len(commands)
