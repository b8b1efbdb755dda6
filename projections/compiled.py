"""Compilation of kernels with numba, and their cache.

Numba's own cache does not detect an edit of a *called* function: the caller silently keeps the old code. So the cache
directory is named by a hash of every source file that kernels depend on, the versions of numba and Python, and the
processor.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numba.core.config
from numba.core import event

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("projections", "replay")
"""The packages in which kernels may be, in any folder."""
_DECORATOR = re.compile(rb"^[ \t]*@(?:\w+\.)*(?:kernel|inlined)\b", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")
_IMPORT = re.compile(rb"^[ \t]*from ([\w.]+) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)


def kernel_sources(root: Path = _ROOT, packages: tuple[str, ...] = _PACKAGES) -> list[Path]:
    """Return the files on which compiled code depends, sorted.

    These are the files that use the decorators `@kernel` or `@inlined`, and all modules under `root` that they import,
    directly or indirectly: numba compiles an imported constant into the code, so a change of its value changes the
    kernel. Of the ledger, only the modules outside its folders count: kernels do not depend on events or the store.
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
    """Yield the files under `root` that a source imports, as modules or as names of packages."""
    for match in _IMPORT.finditer(source):
        module = root.joinpath(*match[1].decode().split("."))
        listed = _COMMENT.sub(b"", match[2]).decode().strip("()")
        names = [name.split()[0] for name in listed.split(",") if name.strip()]
        for path in (module.with_suffix(".py"), module / "__init__.py", *(module / f"{name}.py" for name in names)):
            if path.is_file() and (root / "ledger" not in path.parents or path.parent == root / "ledger"):
                yield path


def cache_directory() -> Path:
    """Return the folder for compiled kernels, in `HOURS_KERNELS` or else in the Python environment."""
    root = os.environ.get("HOURS_KERNELS") or str(Path(sys.prefix) / "var" / "hours-kernels")
    return Path(root) / _digest()


@cache
def _digest() -> str:
    """Return the hash of all that compiled code depends on, as this process has imported it."""
    # Numba's cache depends on the path of the source, so each copy of the sources has its own folder.
    digest = sha256(f"{numba.__version__} {llvmlite.binding.get_host_cpu_name()} {sys.version} {_ROOT}".encode())
    for source in kernel_sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _use_cache() -> None:
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not _is_readable(directory):
            return
    except OSError:  # a read-only installation compiles in each process
        return
    numba.core.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]


def _is_readable(directory: Path) -> bool:
    """Return whether this user may read what others have compiled; numba fails if they may not."""
    if directory.stat().st_uid == os.geteuid():
        return True
    return all(os.access(path, os.R_OK) for path in (directory, *directory.rglob("*")))


_use_cache()

COMPILING = "compiling the kernels, once: this takes about a minute; `hours warm` does it ahead"
_announced: list[str] = []


def announce(say: Callable[[str], object]) -> None:
    """Say that kernels are being compiled, once in a process."""
    if not _announced:
        _announced.append(COMPILING)
        say(COMPILING)


class Compilations(event.Listener):
    """Counts the kernels that are compiled from now on; those that are read from the cache do not count.

    Args:
        progress: called with the number so far, and whether another is being compiled, each time either changes.
    """

    def __init__(self, progress: Callable[[int, bool], None]) -> None:
        self._progress = progress
        self.compiled = 0
        self._nested = 0
        event.register("numba:compile", self)  # type: ignore[no-untyped-call]

    def on_start(self, event: Any) -> None:  # noqa: ARG002 - the base class's signature
        self._nested += 1
        self._progress(self.compiled, True)  # noqa: FBT003 - one of two arguments

    def on_end(self, event: Any) -> None:  # noqa: ARG002 - as above
        self._nested -= 1
        self.compiled += 1
        self._progress(self.compiled, self._nested > 0)

    def close(self) -> None:
        """Count no more."""
        event.unregister("numba:compile", self)  # type: ignore[no-untyped-call]


_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile a plain loop without Python objects and without the global interpreter lock, cached on disk.

    `function.py_func` is the uncompiled function.
    """
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _F) -> _F:
    """Compile a helper of a kernel into its callers.

    A call passes every array of a table and counts references to it (measured: 40 ns per call), so code that runs once
    per shift must be inlined.
    """
    return cast("_F", numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function))
