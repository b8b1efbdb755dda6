"""Compile kernels with numba, and keep what was compiled where an edit cannot make it stale.

Numba's own cache does not notice an edit in a *called* function: the caller goes on with the old code, silently. The
cache directory is therefore named by a hash of every source file that has kernels, the numba version and the processor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numba.core.config

_ROOT = Path(__file__).parent.parent
_KERNELS = ("ledger/plain/*.py", "projections/*.py", "replay/plain_scans.py", "replay/log_columns.py", "api/scan_*.py")
"""Where kernels are."""


def cache_directory() -> Path:
    """Return where compiled kernels are kept: `HOURS_KERNELS`, else beside the Python environment they belong to."""
    # Numba keeps code by the path of its source: another copy of the sources would have to compile anew.
    seen = sha256(f"{numba.__version__} {llvmlite.binding.get_host_cpu_name()} {sys.version} {_ROOT}".encode())
    for pattern in _KERNELS:
        for source in sorted(_ROOT.glob(pattern)):
            seen.update(source.read_bytes())
    root = os.environ.get("HOURS_KERNELS") or str(Path(sys.prefix) / "var" / "hours-kernels")
    return Path(root) / seen.hexdigest()[:16]


def _use_cache() -> None:
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only installation compiles anew in each process
        return
    numba.core.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]


_use_cache()

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile a plain loop: no Python objects, no global lock, cached on disk. `function.py_func` stays the plain
    loop.
    """
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _F) -> _F:
    """Compile a helper of a kernel into its callers.

    A call hands over every array of a table with its count of references (measured: 40 ns a call), so what runs once
    per shift must not be a call.
    """
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function))
