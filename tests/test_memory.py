"""A server gives back the memory that it lets go."""

from __future__ import annotations

import subprocess
import sys

ASKED = """
import sys
import api.cli
from api.memory import give_back_what_is_let_go

assert "pyarrow" not in sys.modules, "Arrow has chosen its pool before a server could say which"
give_back_what_is_let_go()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


def test_a_server_s_arrow_takes_its_memory_from_the_system() -> None:
    """It chooses its pool when it is imported, so the command line must not have imported it before."""
    asked = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=False)
    assert (asked.stdout, asked.stderr) == ("system\n", "")
