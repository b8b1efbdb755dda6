"""Audit: from a bundle on disk to a report, with two processes, warm (kernels compiled, files in the page cache).

Stages: `leaves` (every entry read and hashed, the tree above them, the root compared with the checkpoint) and `audit`
(everything that `hours audit` checks). Peer: a bare `hashlib` loop over the same bytes, on one core, in the same run.
`wall` and `cpu` are the ratios to it: by the clock, and by processor time divided among the processes, which does not
change when others use the machine. Asked: leaves at most 1.5 times the loop, the audit at most 6 times.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

from api.access.signatures import why_unproved
from bench.audit.leaves import leaves_of
from bench.support.common import BENCH_DATA, Options, Result, peak_mib, print_status
from bench.support.data import BenchLedger
from replay.auditing.audit import Request, audit
from replay.auditing.chunks import read_entries
from replay.auditing.processes import processes
from replay.auditing.roots import Roots
from replay.bundles.making import make_bundle
from replay.bundles.proved import newest_sources
from replay.bundles.reading import CHUNK_EVENTS, CHUNK_LEVEL, chunks_of
from replay.proof.growth import TransparencyLog
from replay.proof.policies import Policy
from replay.proof.tree import HASH_BYTES, hashes_of, root_hash

PROCESSES = 2


class Spent(NamedTuple):
    """Seconds by the clock, and of processors, in this process and those it started."""

    wall: float
    cpu: float


def spent(work: Callable[[], object]) -> Spent:
    """Return what some work takes."""
    before, began = _cpu(), perf_counter()
    work()
    return Spent(perf_counter() - began, _cpu() - before)


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def bare(folder: Path, size: int) -> Spent:
    """Hash the bytes of every entry, and nothing else; reading them is not counted."""
    wall = cpu = 0.0
    for number in range(chunks_of(size)):
        entries, _ = read_entries(folder, number, size, [])
        began, before = perf_counter(), process_time()
        for entry in entries:
            sha256(entry).digest()
        wall, cpu = wall + perf_counter() - began, cpu + process_time() - before
    return Spent(wall, cpu)


def leaves_and_tree(folder: Path, size: int, root: bytes) -> None:
    """Compute the root over all entries, and compare it."""
    with processes(PROCESSES) as pool:
        assert pool is not None
        found = list(pool.map(partial(leaves_of, str(folder), size), range(chunks_of(size))))
    full, rest = size // CHUNK_EVENTS, b""
    if size % CHUNK_EVENTS:
        rest = found.pop()
    below = hashes_of([rest[at : at + HASH_BYTES] for at in range(0, len(rest), HASH_BYTES)])
    roots = Roots([(CHUNK_LEVEL, index, digest) for index, digest in enumerate(found)])

    def hashes(level: int, index: int) -> bytes:
        if level >= CHUNK_LEVEL:
            return roots.hashes(level, index)
        return below(level, index - (full * CHUNK_EVENTS >> level))

    assert root_hash(hashes, size) == root


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Make a bundle, and time the loop, the leaves and the audit, one after the other in each repetition."""
    BENCH_DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BENCH_DATA, prefix="audit-") as name:
        data, folder = Path(name) / "data", Path(name) / "bundle"
        log = TransparencyLog(data, ledger.database.log)
        log.make_keys(f"bench.invalid/{options.scale:g}")
        print_status("making a bundle")
        sources = newest_sources(log)
        bundle = spent(lambda: make_bundle(folder, ledger.database, ledger.archive, lambda: sources, "bench"))
        size, root = sources.checkpoint.size, sources.checkpoint.root
        request = Request(
            folder, Policy.of_keys(log.keys.published().verifier_keys), why_unproved, "bench",
            processes=PROCESSES, work=Path(name) / "work",
        )  # fmt: skip
        bares: list[Spent] = []
        leaves: list[Spent] = []
        audits: list[Spent] = []
        for number in range(options.repeat):
            print_status(f"repetition {number + 1} of {options.repeat}")
            bares.append(bare(folder, size))
            leaves.append(spent(lambda: leaves_and_tree(folder, size, root)))
            audits.append(spent(lambda: _sound(request)))
        entries = sum(path.stat().st_size for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
        shutil.rmtree(folder)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    loop = Spent(median(each.wall for each in bares), median(each.cpu for each in bares))
    runs = {"leaves": leaves, "audit": audits}
    wall = {name: median(each.wall for each in found) for name, found in runs.items()}
    cpu = {name: median(each.cpu for each in found) / PROCESSES for name, found in runs.items()}
    more: dict[str, object] = {
        "processes": PROCESSES,
        "entries_mib": round(entries / (1 << 20), 1),
        "bundle_seconds": round(bundle.wall, 2),
        "stages": {name: round(seconds, 3) for name, seconds in {"loop": loop.wall, **wall}.items()},
        "wall": {name: round(seconds / loop.wall, 2) for name, seconds in wall.items()},
        "cpu": {name: round(seconds / loop.cpu, 2) for name, seconds in cpu.items()},
        "peak_process_mib": round(children, 1),
    }
    peers = {"a bare hashlib loop on one core": size / loop.wall}
    return Result("audit", size, [each.wall for each in audits], peak_mib(), peers, more)


def _sound(request: Request) -> None:
    report = audit(request)
    assert report.sound, report.verdict
