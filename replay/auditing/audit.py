"""The audit of a bundle: every check, in two stages and several processes.

    1  all chunks, in all processes: bytes, leaves, tiles, schemas, decisions about scans of stations
    2  in all processes: the archive, rebuilt and compared; read models and sealed hours; all other decisions, in parts
       in this process: roots, checkpoints, streams, signatures, texts

Nothing is written but to the audit's own folder (`work`), from which an audit that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from replay.archive.open_archive import OpenArchive
from replay.auditing import work
from replay.auditing.chunks import Chunk, Job, fingerprint
from replay.auditing.columns import REBUILDING, rebuild, served_archive
from replay.auditing.deciding.content import Content
from replay.auditing.deciding.decisions import DECIDING, Repeated
from replay.auditing.deciding.parts import Deciding, Part, parts_of
from replay.auditing.findings import Check, Finding, altered, bounded, unless_it_fails
from replay.auditing.processes import processes
from replay.auditing.read_models import check_read_models, check_sealed_hours
from replay.auditing.report import Report
from replay.auditing.roots import Roots, check_tiles_above
from replay.auditing.senders import VerifySignature, check_signatures, check_texts, signed_keys
from replay.auditing.signed import Newest, check_growth, earlier, extending, newest, sizes_of
from replay.auditing.streams import index_streams
from replay.auditing.summary import UNREADABLE, Summary
from replay.auditing.work import LostProcessError
from replay.bundles.layout import KEYS, Contents, read_contents, read_models_folder, sized
from replay.bundles.reading import CHUNK_EVENTS, chunks_of, read_untrusted
from replay.progress import Progress, ignore
from replay.proof.keys import PublishedKeys
from replay.proof.policies import Policy

CHECKING = "checking the events"
SECONDS_BETWEEN = 0.3
"""How often the progress of another process is read."""
PARTS_OF_A_PROCESS = 3
"""In how many parts the decisions are repeated, so that no process waits long for another."""


class Request(NamedTuple):
    """What to audit: the folder of the bundle, who is trusted, and the checkpoints that the auditor kept, with the
    names of their files. `work`: the folder for what is finished, by default one of the system's temporary folder.
    """

    folder: Path
    policy: Policy
    verify_signature: VerifySignature
    program: str
    since: Sequence[tuple[str, bytes]] = ()
    processes: int = 2
    work: Path | None = None
    published: PublishedKeys | None = None
    """The keys that are trusted, with the sizes that each signs, if the auditor has that list."""


def audit(request: Request, progress: Progress = ignore) -> Report:
    """Audit a bundle.

    Raises:
        replay.bundles.layout.BundleError: the folder is not a bundle.
        replay.auditing.signed.UnusableCheckpointError: it has no readable checkpoint.
        LostProcessError; replay.progress.StoppedError: from `progress`.
    """
    contents = read_untrusted(request.folder)
    found = newest(request.folder, contents, request.policy, request.published)
    folder = work.work_folder(request.folder, request.program, request.work)
    try:
        with processes(request.processes) as pool:
            report = _Audit(request, contents, found, folder, pool, progress).run()
    except BrokenProcessPool:
        raise LostProcessError from None
    work.discard(folder)
    return report


class _Audit:
    """One audit."""

    def __init__(
        self,
        request: Request,
        contents: Contents,
        found: Newest,
        folder: Path,
        pool: ProcessPoolExecutor | None,
        progress: Progress,
    ) -> None:
        self._request = request
        self._contents = contents
        self._newest = found
        self._work = folder
        self._pool = pool
        self._progress = progress
        self._size = contents.size
        self._bundle = request.folder
        self.findings: list[Finding] = list(found.findings)
        self.skipped: dict[Check, str] = {}
        self.absent: dict[Check, str] = {}
        self.bytes = 0
        self.decisions = 0

    def run(self) -> Report:
        """Make every check."""
        request, contents = self._request, self._contents
        kept, findings = earlier(self._bundle, contents, request.since, request.policy)
        self.findings += findings + self._missing_files()
        sizes = sizes_of(kept, self._size)
        if not kept:
            self.absent[Check.GROWTH] = (
                "there is no earlier checkpoint to compare with: keep this one for the next audit"
            )
        signatures = self._bundle / sized("signatures", self._size, ".parquet")
        signing = signed_keys(signatures)
        if not signing:
            self.absent[Check.SIGNATURES] = "no station signed a request"
        self._check_chunks(Job(str(self._bundle), self._size, sizes, signing))
        summary = self._summary()
        self.findings += summary.findings
        later = self._start_later(summary)
        roots = Roots(summary.nodes)
        self.findings += check_growth(self._newest.checkpoint, kept, roots, self._size)
        self.findings += check_tiles_above(self._bundle, self._size, roots.hashes)
        self.findings += self._repeat_decisions(summary)
        content = Content(self._bundle, self._size)
        self.findings += check_signatures(
            signatures, signatures.name, summary.sent, content, request.verify_signature, self._progress
        )
        self.findings += unless_it_fails(Check.TEXTS, "texts", self._check_texts)
        self.findings += later()
        return self._report([each.checkpoint.size for each in kept if each.own])

    # --- the first stage ----------------------------------------------------------------------------------------------

    def _check_chunks(self, job: Job) -> None:
        """Check the chunks that no earlier run has checked."""
        count = chunks_of(self._size)
        wanted = []
        for number in range(count):
            chunk = work.load_chunk(self._work, number)
            same = (
                chunk is not None
                and chunk.job == repr(job)
                and chunk.files == fingerprint(self._bundle, number, self._size)
            )
            if not same:
                wanted.append(number)
        done = count - len(wanted)
        self._progress(CHECKING, min(done * CHUNK_EVENTS, self._size), self._size)
        for finished in self._in_processes(partial(work.check_and_save, job, str(self._work)), wanted):
            done += finished is not None
            self._progress(CHECKING, min(done * CHUNK_EVENTS, self._size), self._size)

    def _in_processes(self, check: Callable[[int], int], numbers: Sequence[int]) -> Iterator[int | None]:
        """Yield each number that is finished, and None from time to time, so that the caller can report and stop."""
        if self._pool is None:
            yield from map(check, numbers)
            return
        remaining = iter(numbers)
        running = {self._pool.submit(check, number) for number in islice(remaining, 2 * self._request.processes)}
        while running:
            finished, running = wait(running, timeout=SECONDS_BETWEEN, return_when="FIRST_COMPLETED")
            if not finished:
                yield None
            for future in finished:
                yield future.result()
            running |= {self._pool.submit(check, number) for number in islice(remaining, len(finished))}

    def _chunks(self) -> Iterator[Chunk]:
        return map(partial(work.require_chunk, self._work), range(chunks_of(self._size)))

    def _summary(self) -> Summary:
        summary = Summary()
        for chunk in self._chunks():
            summary.add(chunk)
        self.bytes = summary.bytes
        summary.findings = bounded(summary.findings)
        return summary

    # --- the second stage ---------------------------------------------------------------------------------------------

    def _start_later(self, summary: Summary) -> Callable[[], list[Finding]]:
        """Begin with the archive and the read models; return a function that waits for their findings."""
        if any(finding.check in UNREADABLE for finding in summary.findings) or summary.unreadable:
            for check in (Check.ARCHIVE, Check.READ_MODELS, Check.SEALED_HOURS):
                self.skipped[check] = "not comparable while events are missing or cannot be read"
            return list
        verified = self._newest.verified
        extensions = verified.extensions if verified else ()
        if not any(line.startswith("hours ") for line in extensions):
            self.absent[Check.SEALED_HOURS] = "the checkpoint seals no hours with a signature that you trust"
        if self._contents.read_models is None:
            self.absent[Check.READ_MODELS] = "there are no read models in the bundle"
        basis = summary.basis(extensions, work.files_of(self._bundle))
        known = work.load_findings(self._work, work.LATER, basis)
        if known is not None:
            return lambda: known
        later = partial(_check_later, str(self._bundle), str(self._work), basis, extensions)
        if self._pool is None:
            return lambda: later(self._progress)
        future = self._pool.submit(later)
        return lambda: self._wait(future)

    def _wait(self, future: Future[list[Finding]]) -> list[Finding]:
        while not future.done():
            wait([future], timeout=SECONDS_BETWEEN)
            self._progress(*(work.read_progress(self._work) or (REBUILDING, 0, 0)))
        return future.result()

    def _repeat_decisions(self, summary: Summary) -> list[Finding]:
        index, findings = index_streams((chunk.streams, chunk.versions) for chunk in self._chunks())
        index.save(self._work)
        del index
        simulated = summary.simulated[0][1] if summary.simulated and summary.simulated[0][0] == 1 else 0
        deciding = Deciding(self._bundle, self._size, chunks_of(self._size), self._work, simulated)
        basis = summary.basis(simulated)
        repeated = Repeated()
        for found in self._in_parts(deciding, summary.others, basis):
            repeated.add(found)
        repeated.check_first_uses(summary.first_uses, simulated)
        self.decisions = repeated.orders + summary.events - sum(summary.others)
        findings += repeated.finished(simulated)
        for first, last in summary.simulated:
            if first > simulated:
                what = "events are named as those of a synthetic history, which lies at the beginning if there is one"
                findings.append(altered(Check.DECISIONS, what, first, last))
        return findings

    def _in_parts(self, deciding: Deciding, others: Sequence[int], basis: str) -> Iterator[Repeated]:
        """Yield the results of all parts in order; those of an earlier run are used again."""
        if self._pool is None:
            yield deciding.repeat(Part(0, deciding.chunks), partial(work.require_chunk, self._work), self._progress)
            return
        parts = parts_of(others, PARTS_OF_A_PROCESS * self._request.processes)
        known = {part: work.load_repeated(self._work, part, basis) for part in parts}
        running = {
            self._pool.submit(work.repeat_and_save, deciding, part, str(self._work), basis): part
            for part in parts
            if known[part] is None
        }
        while running:
            finished, _ = wait(running, timeout=SECONDS_BETWEEN, return_when="FIRST_COMPLETED")
            for future in finished:
                future.result()
                known[running.pop(future)] = None
            self._progress(DECIDING, self._decided(parts, running.values()), self._size)
        for part in parts:
            found = known[part] or work.load_repeated(self._work, part, basis)
            if found is None:
                raise LostProcessError
            yield found

    def _decided(self, parts: Sequence[Part], running: Collection[Part]) -> int:
        """Return the number of events of the parts that are finished, and of those that others are at."""
        done = 0
        for part in parts:
            before = part.first * CHUNK_EVENTS
            events = min(part.last * CHUNK_EVENTS, self._size) - before
            if part in running:
                stage, at, _ = work.read_progress(self._work, f"{work.part_name(part)}.at") or ("", 0, 0)
                events = max(min(at - before, events), 0) if stage == DECIDING else 0
            done += events
        return done

    def _check_texts(self) -> list[Finding]:
        path = self._bundle / sized("texts", self._size, ".txt")
        return check_texts(path, path.name, (recorded for chunk in self._chunks() for recorded in chunk.events))

    def _missing_files(self) -> list[Finding]:
        findings = []
        for name, size in self._contents.files.items():
            path = self._bundle / name
            try:
                found = path.stat().st_size
            except OSError:
                findings.append(altered(Check.FILES, "a file of the bundle is missing", where=name))
                continue
            if name == KEYS and extending(self._bundle, self._contents):
                continue  # it is replaced before the table of contents; what it says is compared
            if found != size:
                what = "a file of the bundle has another size than the table of contents states"
                findings.append(altered(Check.FILES, what, where=name, evidence=f"{found:,} bytes, not {size:,}"))
        return findings

    def _report(self, since: list[int]) -> Report:
        checkpoint, verified = self._newest.checkpoint, self._newest.verified
        logs = verified.logs if verified else ()
        times = [each.timestamp for each in logs if each.timestamp is not None]
        return Report(
            bundle=str(self._bundle),
            ledger=str(self._contents.ledger),
            origin=checkpoint.origin,
            size=self._size,
            root=checkpoint.root.hex(),
            signed_by=[f"{each.key.name}+{each.key.key_id:08x}" for each in logs],
            signed_at=min(times, default=None),
            witnesses=[each.key.name for each in verified.witnesses] if verified else [],
            since=since,
            made_at=self._contents.made_at,
            audited_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            program=self._request.program,
            bytes=self.bytes,
            decisions=self.decisions,
            skipped=self.skipped,
            absent=self.absent,
            findings=bounded(self.findings),
        )


def _check_later(
    bundle: str, folder: str, basis: str, extensions: tuple[str, ...], progress: Progress | None = None
) -> list[Finding]:
    """Check what needs the archive rebuilt from the bytes."""
    path, target = Path(bundle), Path(folder)
    report = progress or work.written_progress(target)
    contents = read_contents(path)
    served, findings = served_archive(path, contents.ledger)
    rebuilt: list[OpenArchive] = []

    def compare_archive() -> list[Finding]:
        archive, found = rebuild(path, contents.size, target / work.ARCHIVE, served, contents.ledger, report)
        rebuilt.append(archive)
        return found

    findings += unless_it_fails(Check.ARCHIVE, "the archive", compare_archive)
    if not rebuilt:
        what = "it could not be computed, because the archive could not be rebuilt"
        findings += [altered(check, what) for check in (Check.READ_MODELS, Check.SEALED_HOURS)]
    for archive in rebuilt:
        if contents.read_models is not None:
            name = read_models_folder(contents.read_models)
            models = partial(check_read_models, path, name, archive, report)
            findings += unless_it_fails(Check.READ_MODELS, "the read models", models)
        hours = partial(check_sealed_hours, path / sized("hours", contents.size), extensions, archive, report)
        findings += unless_it_fails(Check.SEALED_HOURS, "the sealed hours", hours)
    work.save_findings(target, work.LATER, basis, findings)
    return findings
