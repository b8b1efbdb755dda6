"""Each bench runs, at a tiny scale, and says what it promises. Nothing here looks at how fast anything is."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import Tracking

from bench import anomalies
from bench.live import in_milliseconds
from bench.peers import stock
from bench.peers.folds import HAS_DUCKDB, PlainReplay, pieces
from bench.support.common import ROOT, Options, Result, Stopwatch, median_seconds, median_stages, parse
from bench.support.data import bench_ledger
from bench.support.scans import Scans, in_batches
from ledger.aggregates.scans import CheckIn, CheckOut
from ledger.names import Position
from ledger.store.mapper import decode
from projections.anomalies.findings import KINDS
from tests.support.processes.nested import forking_popen
from tests.support.processes.program import run

SCALE = 0.002
KEYS = {"name", "scale", "events", "seconds", "per_second", "peak_mib", "peers", "ratio", "runs", "machine"}
MACHINE = {"cpu", "cores", "memory_gib", "load_before", "system", "python", "postgres", "fsync", "synchronous_commit"}
ADDED = {
    "replay": {"stages", "after_pause", "threads", "memory", "rows", "disk"},
    "rebuild": {"stages", "rows", "copy_alone", "query_after_seconds"},
    "cold": {"archive_mib", "read_mib", "disk"},
    "diff": {"stages", "rows", "variants", "two_moments", "threads"},
    "facts": {"build_seconds", "facts_mib", "partitions", "ledgers", "rows", "stages"},
    "intake": {"http_per_second", "variants", "volunteers", "stations", "batch", "callers", "events_in_ledger"},
    "post": {"single", "volunteers", "events_in_ledger"},
    "checkpoint": {"proof_ms", "tiles_mib", "intake"},
    "pages": {"pages", "worst_p95_ms"},
    "live": {"latency_ms", "commit_ms", "sustained", "check_outs", "volunteers", "events_in_ledger"},
}
PEERS = {
    "replay": 3 + HAS_DUCKDB,
    "rebuild": 2,
    "cold": 2,
    "diff": 1 + HAS_DUCKDB,
    "facts": 1,
    "intake": 8,
    "live": 1,
    "post": 2,
    "checkpoint": 1,
    "pages": 1,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory for all benches; the first one loads it."""
    return tmp_path_factory.mktemp("bench") / "data"


def test_the_bench_of_anomalies_counts_what_is_labelled_and_what_is_found(data: Path) -> None:
    """The first here: other benches record more in the same ledger."""
    options = Options(SCALE, data, repeat=1, peer_seconds=0.2, as_json=True)
    with forking_popen(), bench_ledger(options) as ledger:
        result = anomalies.measure(ledger, options)
    kinds: dict[str, dict[str, Any]] = result.more["kinds"]  # type: ignore[assignment] # it is JSON
    assert {name.partition(",")[0] for name in kinds} == set(KINDS)
    for name in ("two-stations", "late-upload", "wrong-clock, a scan ahead"):
        found = kinds[name]
        assert found["right"] <= min(found["labelled"], found["found"])
        assert found["precision"] > 0.9, (name, found)
        assert found["recall"] > 0.9, (name, found)
    assert (kinds["travel-time"]["labelled"], kinds["travel-time"]["recall"]) == (0, None)
    assert json.loads(result.line(SCALE, {}))["findings"] > 0


@pytest.mark.parametrize("name", ["replay", "rebuild", "cold", "diff", "facts", "checkpoint", "intake", "live", "post"])
def test_a_bench_ends_with_one_line_of_positive_figures(name: str, data: Path) -> None:
    arguments = ["--scale", str(SCALE), "--repeat", "1", "--peer-seconds", "0.2", "--data", str(data), "--json"]
    # A ledger in use is none of a bench's business: it must not even try to reach the server named here.
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@nowhere.invalid/"}
    found = run("-m", f"bench.{name}", *arguments, environment=environment)
    assert found.returncode == 0, found.stderr[-2000:]
    (line,) = found.stdout.splitlines()
    said: dict[str, Any] = json.loads(line)
    assert set(said) == KEYS | ADDED[name]
    assert said["name"] == name
    assert said["scale"] == SCALE
    assert set(said["machine"]) == MACHINE
    assert said["machine"]["fsync"] == said["machine"]["synchronous_commit"] == "on"
    emmett = [peer for peer in said["peers"] if peer.startswith("Emmett")]
    assert len(emmett) in ({0, 2} if name == "intake" else {0})  # where node and npm are, and npm finds it
    assert len(said["peers"]) - len(emmett) == PEERS[name]
    assert set(said["ratio"]) == set(said["peers"])
    numbers = list(figures({key: value for key, value in said.items() if key not in {"machine", "ratio"}}))
    assert len(numbers) > len(KEYS)
    assert all(number > 0 for number in numbers), said


def test_the_bench_of_honours_needs_no_ledger_and_agrees_with_its_peers() -> None:
    arguments = ["--scale", str(SCALE), "--repeat", "1", "--peer-seconds", "0.2", "--json"]
    found = run("-m", "bench.honors", *arguments)
    assert found.returncode == 0, found.stderr[-2000:]
    (line,) = found.stdout.splitlines()
    said: dict[str, Any] = json.loads(line)
    more = {"stages", "threads", "volunteers", "standings", "rankings", "ranked"}
    assert set(said) == KEYS | more
    assert (said["name"], len(said["peers"])) == ("honors", 1 + HAS_DUCKDB)
    assert set(said["machine"]) == MACHINE - {"postgres", "fsync", "synchronous_commit"}
    assert all(number > 0 for number in figures({key: said[key] for key in KEYS | more if key != "machine"}))


def figures(value: object) -> list[float]:
    """Return all numbers in a JSON value."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in figures(part)]
    if isinstance(value, list):
        return [number for part in value for number in figures(part)]
    return [value] if isinstance(value, int | float) else []


def test_the_peers_of_a_replay_agree_with_each_other(data: Path) -> None:
    """What is compared with a replay does the work it claims: plain Python and SQL come to the same sums."""
    duckdb = pytest.importorskip("duckdb")
    with bench_ledger(Options(SCALE, data, repeat=1, peer_seconds=0.2, as_json=True)) as ledger:
        plain = PlainReplay()
        plain.add(decode(event.topic, event.state) for event in ledger.database.log.read(Position(0), 1_000_000))
        plain.finish()
        names = ledger.archive.facts()
        script = (ROOT / "bench" / "peers" / "hours.sql").read_text().replace("{archive}", str(ledger.archive.folder))
        with duckdb.connect() as connection:
            connection.execute(script)
            hours = connection.execute(
                "SELECT volunteer, year, shifts, raw_minutes, counted_minutes FROM volunteer_hours"
            )
            by_volunteer = hours.fetchall()
            days = connection.execute("SELECT station, day, shifts, raw_minutes, counted_minutes FROM station_activity")
            by_station = days.fetchall()
    volunteers, stations = names.volunteers.texts(), names.stations.texts()
    assert len(plain.hours) > 100
    assert {(volunteers[row[0]], row[1]): list(row[2:]) for row in by_volunteer} == dict(plain.hours)
    assert {(stations[row[0]], row[1]): list(row[2:]) for row in by_station} == dict(plain.station_days)


def test_two_benches_never_share_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "bench.lock").touch()
    with (tmp_path / "bench.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        options = Options(SCALE, tmp_path, repeat=1, peer_seconds=0.2, as_json=True)
        with pytest.raises(SystemExit, match="another bench uses"), bench_ledger(options):
            pytest.fail("the directory was opened")


def test_the_library_s_view_adds_up_minutes() -> None:
    view = stock.MemoryView()
    projection = stock.MemoryHours(view)
    for position, (kind, occurred_at) in enumerate(
        [
            (stock.CheckedIn, 0),
            (stock.CheckedIn, 60),
            (stock.CheckedOut, 600),
            (stock.StockEvent, 700),
            (stock.CheckedOut, 900),
        ],
        start=1,
    ):
        event = kind()
        event.volunteer, event.shift, event.occurred_at = "V1", "a shift", occurred_at
        projection.process_event(event, Tracking(stock.StoredLog.name, position))
    assert view.minutes == {"V1": 10}
    assert view.max_tracking_id(stock.StoredLog.name) == 5


def test_a_shift_is_cut_at_midnight() -> None:
    assert list(pieces(1430, 1450)) == [(0, 10), (1, 10)]
    assert list(pieces(1440, 2880)) == [(1, 1440)]
    assert list(pieces(5, 5)) == []


def test_scans_come_in_order_and_end_every_shift_after_three_hours() -> None:
    plan = Scans([f"V{number}" for number in range(16)], ["S1", "S2"], 1_700_000_000, shifts=40, id_share=5)
    commands = [order.command for order in plan.orders()]
    ins = [command for command in commands if isinstance(command, CheckIn)]
    outs = [command for command in commands if isinstance(command, CheckOut)]
    assert len(ins) == len(outs) == 40
    assert commands == sorted(commands, key=lambda command: command.occurred_at)  # type: ignore[attr-defined]
    for begun, ended in zip(ins, outs, strict=True):
        assert (begun.volunteer, begun.station, begun.shift) == (ended.volunteer, ended.station, ended.shift)
        assert ended.occurred_at - begun.occurred_at == 3 * 3600
    assert sum(command.shift is None for command in ins) == 20
    assert outs[-1].occurred_at < plan.ends == plan.ending(plan.ends).ends
    assert plan.ending(1_800_000_000).ends == 1_800_000_000


def test_batches_hold_every_order_once() -> None:
    plan = Scans(["V1", "V2"], ["S1"], 1_700_000_000, shifts=7, id_share=0)
    batches = list(in_batches(plan.orders(), 4))
    assert [len(batch) for batch in batches] == [4, 4, 4, 2]
    assert len({order.id for batch in batches for order in batch}) == 14


def test_medians_are_taken_over_runs() -> None:
    runs = []
    for seconds in (1.0, 9.0, 2.0):
        watch = Stopwatch()
        watch.laps = {"read": seconds, "write": 2 * seconds}
        runs.append(watch)
    assert median_seconds(runs) == 6.0
    assert median_stages(runs) == {"read": 2.0, "write": 4.0}
    assert in_milliseconds([0.001, 0.002, 0.003])["median"] == 2.0


def test_the_json_line_quotes_the_median_and_ratios() -> None:
    result = Result("replay", 100, [1.0, 4.0, 2.0], 10.0, {"slow": 5.0}, {"threads": 2})
    said = json.loads(result.line(0.5, {"cores": 2}))
    assert (said["seconds"], said["per_second"], said["ratio"]) == (2.0, 50.0, {"slow": 10.0})
    assert (said["threads"], said["machine"], said["scale"]) == (2, {"cores": 2}, 0.5)


def test_arguments_that_measure_nothing_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///ledger-in-use")
    with pytest.raises(SystemExit):
        parse("a bench", ["--repeat", "0"])
    assert "--repeat" in capsys.readouterr().err
    assert "DATABASE_URL" not in os.environ
