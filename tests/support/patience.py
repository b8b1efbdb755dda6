"""How long tests wait for what must happen: far longer than it takes, so that no test rests on a machine's speed."""

from __future__ import annotations

from typing import Final

PATIENCE_SECONDS: Final = 300
