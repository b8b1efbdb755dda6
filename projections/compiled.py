"""Compile kernels with numba, and keep what was compiled where an edit cannot make it stale.

Numba's own cache does not notice an edit in a *called* function: the caller goes on with the old code, silently. The
cache directory is therefore named by a hash of every source file that has kernels, the numba version and the
processor.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numba.core.config

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("projections", "replay")
"""Where kernels may be, in any sub-folder."""
_DECORATOR = re.compile(rb"^[ \t]*@(?:\w+\.)*(?:kernel|inlined)\b", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")
_IMPORT = re.compile(rb"^[ \t]*from ([\w.]+) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)


def kernel_sources(root: Path = _ROOT, packages: tuple[str, ...] = _PACKAGES) -> list[Path]:
    """Return the files on which compiled code depends, sorted.

    These are the files that use the decorators `@kernel` or `@inlined`, and all modules under `root` that they import,
    directly or not: numba compiles an imported constant into the code, so a change of its value is a change of the
    kernel. Of the ledger only its shared words count: kernels know nothing of events and the store.
    """
    files = [path for package in packages for path in (root / package).rglob("*.py")]
    pending = [path for path in files if _DECORATOR.search(path.read_bytes())]
    sources = set(pending)
    while pending:
        for path in _imports(root, pending.pop().read_bytes()):
            if path not in sources:
                sources.add(path)
                pending.append(path)
    return sorted(sources)


def _imports(root: Path, source: bytes) -> Iterator[Path]:
    """Yield the files under `root` that a source imports from, as a module or as one of its names."""
    for match in _IMPORT.finditer(source):
        module = root.joinpath(*match[1].decode().split("."))
        listed = _COMMENT.sub(b"", match[2]).decode().strip("()")
        names = [name.split()[0] for name in listed.split(",") if name.strip()]
        for path in (module.with_suffix(".py"), module / "__init__.py", *(module / f"{name}.py" for name in names)):
            if path.is_file() and (root / "ledger" not in path.parents or path.parent == root / "ledger"):
                yield path


def cache_directory() -> Path:
    """Return where compiled kernels are kept: `HOURS_KERNELS`, else beside the Python environment they belong to."""
    # Numba keeps code by the path of its source, so another copy of the sources has a cache of its own.
    digest = sha256(f"{numba.__version__} {llvmlite.binding.get_host_cpu_name()} {sys.version} {_ROOT}".encode())
    for source in kernel_sources():
        digest.update(source.read_bytes())
    root = os.environ.get("HOURS_KERNELS") or str(Path(sys.prefix) / "var" / "hours-kernels")
    return Path(root) / digest.hexdigest()[:16]


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
