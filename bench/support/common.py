"""Arguments, the clock, the machine, and the output of all benches.

The last line of standard output is one JSON object; all other output comes before it or goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
LOAD_BEFORE = os.getloadavg()[0]
"""The load average of the minute before the bench, to recognise figures from a busy machine."""

BENCH_DATA = ROOT / ".bench"
"""On the disk of the repository; a temporary directory may be in memory, where a commit costs nothing."""


@dataclass(frozen=True)
class Options:
    """The command-line arguments of a bench."""

    scale: float
    data: Path | None
    repeat: int
    peer_seconds: float
    as_json: bool
    own: argparse.Namespace = field(default_factory=argparse.Namespace)


def parse(
    description: str | None,
    arguments: Sequence[str] | None = None,
    add_own: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> Options:
    """Parse the command line. DATABASE_URL is removed from the environment, so that no ledger in use is changed.

    Args:
        add_own: adds the options that only this bench has; their values are in `own`.
    """
    os.environ.pop("DATABASE_URL", None)
    if arguments is None:  # run as a program: SIGTERM must stop its server first
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1, help="1.0 is Luohu at the end of 2018 (default: 0.1)")
    parser.add_argument("--data", type=Path, help="a data directory (default: one in .bench/, created once)")
    parser.add_argument("--repeat", type=int, default=5, help="number of repetitions; medians are quoted (default: 5)")
    parser.add_argument("--peer-seconds", type=float, default=20.0, help="time for each slow peer (default: 20)")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print only the JSON line")
    add_own(parser)
    found = parser.parse_args(arguments)
    if found.repeat < 1 or found.peer_seconds <= 0 or found.scale <= 0:
        parser.error("--repeat, --peer-seconds and --scale must be greater than 0")
    return Options(found.scale, found.data, found.repeat, found.peer_seconds, found.as_json, found)


# --- the clock --------------------------------------------------------------------------------------------------------


class Stopwatch:
    """The stages of one run, each timed from the end of the previous one."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now

    @property
    def seconds(self) -> float:
        """The total of all stages."""
        return sum(self.laps.values())


def median_seconds(runs: Sequence[Stopwatch]) -> float:
    """Return the median of whole runs."""
    return median(run.seconds for run in runs)


def median_stages(runs: Sequence[Stopwatch]) -> dict[str, float]:
    """Return the median of each stage. Their sum can differ from the median of whole runs."""
    return {stage: round(median(run.laps[stage] for run in runs), 6) for stage in runs[0].laps}


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """The result of a bench. `runs`: the seconds of every repetition; `peers`: events per second."""

    name: str
    events: int
    runs: list[float]
    peak_mib: float
    peers: dict[str, float]
    more: dict[str, object] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The median repetition."""
        return median(self.runs)

    @property
    def per_second(self) -> float:
        """Events per second in the median repetition."""
        return self.events / self.seconds

    def line(self, scale: float, machine: Mapping[str, object]) -> str:
        """Return the JSON object."""
        result = {
            "name": self.name,
            "scale": scale,
            "events": self.events,
            "seconds": round(self.seconds, 4),
            "per_second": round(self.per_second, 1),
            "peak_mib": round(self.peak_mib, 1),
            "peers": {peer: round(rate, 1) for peer, rate in self.peers.items()},
            "ratio": {peer: round(self.per_second / rate, 2) for peer, rate in self.peers.items()},
            "runs": [round(seconds, 4) for seconds in self.runs],
            **self.more,
            "machine": machine,
        }
        return json.dumps(result)


def publish(result: Result, options: Options, machine: Mapping[str, object]) -> None:
    """Print a table, unless --json is given, and the JSON line."""
    if not options.as_json:
        console = Console()
        console.print(_table(result, options.scale))
        for name, value in {**result.more, "machine": machine}.items():
            console.print(f"[bold]{name}[/bold]  {_plain(value)}", highlight=False, soft_wrap=True)
    print(result.line(options.scale, machine), flush=True)


def _table(result: Result, scale: float) -> Table:
    title = f"{result.name}: {result.events:,} events (scale {scale:g}), median of {len(result.runs)}"
    table = Table("", "events/s", "ratio", "seconds", title=title, title_justify="left")
    table.columns[1].justify = table.columns[2].justify = table.columns[3].justify = "right"
    table.add_row("[bold]this ledger[/bold]", f"{result.per_second:,.0f}", "", f"{result.seconds:,.3f}")
    for peer, rate in result.peers.items():
        table.add_row(peer, f"{rate:,.0f}", f"{result.per_second / rate:,.1f} x", "")
    return table


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def print_status(text: str) -> None:
    """Print a status message on standard error."""
    print(text, file=sys.stderr, flush=True)


# --- the machine ------------------------------------------------------------------------------------------------------


def peak_mib() -> float:
    """Return the peak memory of this process in MiB. PostgreSQL's processes are not counted."""
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone; getrusage includes the program that executed it
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def this_machine() -> dict[str, object]:
    """Return the properties that figures without a database depend on: processor, memory, versions."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "load_before": round(LOAD_BEFORE, 2),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def machine(url: str) -> dict[str, object]:
    """Return the properties of this machine and of a database: version and durability of commits."""
    with psycopg.connect(url) as connection:

        def read_setting(setting: str) -> str:
            row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
            return str(row[0]) if row else "?"

        return {
            **this_machine(),
            "postgres": read_setting("server_version"),
            "fsync": read_setting("fsync"),
            "synchronous_commit": read_setting("synchronous_commit"),
        }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
