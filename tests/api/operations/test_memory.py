"""A server gives back the memory that it lets go."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASKED = """
import sys
from types import ModuleType
from api.cli import main as cli

def told(*_, **__):
    assert "pyarrow" not in sys.modules, "Arrow has chosen its pool before the server could say which"
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)

stub = sys.modules["api.cli.operations.serve"] = ModuleType("api.cli.operations.serve")
stub.serve = stub.demonstrate = told
sys.exit(cli.execute(sys.argv[1:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere allocators stay as they are")
@pytest.mark.parametrize("command", ["serve", "run"])
def test_a_server_s_arrow_takes_its_memory_from_the_system(command: str) -> None:
    """It chooses its pool when it is imported, so the command line must have said which before."""
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    asked = subprocess.run(
        [sys.executable, "-c", ASKED, command], capture_output=True, text=True, check=False, env=environment
    )
    assert (asked.stdout, asked.stderr, asked.returncode) == ("system\n", "", 0)
