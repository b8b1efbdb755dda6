"""Any division by person gives the same read models: on random histories of one ledger and of federations."""

from __future__ import annotations

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.kernels.facts import facts_of
from projections.schema import NO_DAY
from replay.federation.heads import OWN
from replay.federation.joining import join
from replay.generations.named_rows import Rows
from replay.generations.rebuild import replay
from replay.partitions import engine
from replay.partitions.dataset import (
    DATASET,
    Dataset,
    file_of,
    read_dataset,
    read_partition,
    verify_files,
)
from replay.partitions.dividing import Division, divide
from replay.partitions.engine import Threads, replay_partitions
from replay.partitions.errors import DatasetError, VersionError
from replay.partitions.partials import Task, code_version, compute_partition, merge
from replay.progress import StoppedError
from replay.published import Rules
from tests.support.oracle.histories import Case, cases, history, patiently, rules, train
from tests.support.replay.dividing import division
from tests.support.replay.federations import Federated, federations
from tests.support.replay.replaying import as_rules, as_sets


def of_partitions(divided: Division, used: Rules, partitions: int, valid_until: int = NO_DAY) -> Rows:
    with tempfile.TemporaryDirectory() as folder, Threads(2) as pool:
        dataset = divide(divided, Path(folder) / "facts", partitions)
        assert verify_files(Path(folder) / "facts", dataset) == []
        return replay_partitions(Path(folder) / "facts", dataset, used, pool, valid_until=valid_until)


@settings(patiently)
@given(case=cases(), partitions=st.sampled_from([1, 2, 4, 16]), data=st.data())
def test_partitions_of_a_ledger_give_what_all_its_facts_give(case: Case, partitions: int, data: st.DataObject) -> None:
    used = as_rules(case.timeline)
    days = [NO_DAY, *range(17_500, 17_900, 30)]
    valid_until = data.draw(st.sampled_from(days), label="valid_until")
    expected = replay(facts_of(case.events), used, valid_until=valid_until)
    found = of_partitions(division({"luohu": case.events}), used, partitions, valid_until)
    assert as_sets(found) == as_sets(expected)
    assert found.checksum() == expected.checksum()


@settings(patiently)
@given(federation=federations(), partitions=st.sampled_from([1, 2, 8]))
def test_partitions_of_a_federation_give_what_its_joined_facts_give(federation: Federated, partitions: int) -> None:
    used = as_rules(federation.timeline)
    expected = replay(join(federation.split.members()).facts, used)
    ledgers = {**federation.split.ledgers, OWN: federation.split.own}
    assert of_partitions(division(ledgers, "shenzhen"), used, partitions).checksum() == expected.checksum()


# --- faults ---------------------------------------------------------------------------------------------------------

EVENTS = history(
    "2018-12-04 09:00 in V1 U1 #1\n2018-12-04 12:00 out V1 U1 #1\n"
    "2018-12-05 09:00 in V2 U1 #2\n2018-12-05 12:00 out V2 U1 #2"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    divide(division({"luohu": EVENTS}), tmp_path / "facts", 4)
    return tmp_path / "facts"


def replayed(folder: Path, dataset: Dataset) -> Rows:
    with Threads(2) as pool:
        return replay_partitions(folder, dataset, as_rules(rules()), pool)


@pytest.mark.parametrize("kind", ["shifts", "events", "names"])
@pytest.mark.parametrize("harm", ["missing", "cut", "of other facts"])
def test_a_file_that_is_not_of_these_facts_is_never_read_as_one(
    folder: Path, tmp_path: Path, kind: str, harm: str
) -> None:
    path = folder / file_of(kind, 2)
    match harm:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-20])
        case _:
            divide(division({"luohu": EVENTS[:2]}), tmp_path / "older", 4)
            path.write_bytes((tmp_path / "older" / path.name).read_bytes())
    dataset = read_dataset(folder)
    assert verify_files(folder, dataset) == [path.name]
    with pytest.raises(DatasetError, match=f"{path.name} is missing or damaged .*; build the facts again"):
        replayed(folder, dataset)


HARMED: list[tuple[str, str, Any, str]] = [
    ("shifts", "volunteer", 7, "volunteer is out of range"),
    ("shifts", "volunteer", -1, "a shift has no volunteer"),
    ("shifts", "volunteer", -2, "volunteer is out of range"),
    ("shifts", "station", 7, "station is out of range"),
    ("shifts", "project", 1 << 30, "project is out of range"),
    ("shifts", "check_in", (1 << 32) - 1, "check_in is out of range"),
    ("shifts", "flags", None, "flags has the type"),
    ("events", "into", 7, "into is out of range"),
    ("events", "day", 1 << 30, "day is out of range"),
    ("events", "station", -9, "station is out of range"),
    ("events", "amount", 1 << 30, "amount is out of range"),
]
"""A column of a file, what is put into it (None: the same values with another type), and what is said."""


@pytest.mark.parametrize(("kind", "column", "value", "sentence"), HARMED)
def test_columns_that_would_lead_kernels_astray_are_refused(
    folder: Path, kind: str, column: str, value: Any, sentence: str
) -> None:
    """Kernels check no bounds, and facts may come from anywhere."""
    trained = [*EVENTS, train("V1", "basic", date(2018, 12, 1)), train("V2", "basic", date(2018, 12, 1))]
    divide(division({"luohu": trained}), folder, 1)
    path = folder / file_of(kind, 0)
    table = pq.read_table(path)
    old = table[column].to_numpy()
    new = old.astype(np.int64) if value is None else np.full(len(old), value, old.dtype)
    at = table.column_names.index(column)
    changed = table.set_column(at, column, pa.array(new)).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path, write_page_checksum=True)
    with pytest.raises(DatasetError, match=sentence):
        replayed(folder, read_dataset(folder))


@pytest.mark.parametrize(
    "names",
    [pa.array(["V1"] * 2), pa.array(["V1", None]), pa.array([1, 2]), pa.array(["V1"])],
    ids=["one twice", "null", "numbers", "too few"],
)
def test_names_that_are_none_are_refused(folder: Path, names: Any) -> None:
    divide(division({"luohu": EVENTS}), folder, 1)
    path = folder / file_of("names", 0)
    table = pa.table({"name": names}).replace_schema_metadata(pq.read_schema(path).metadata)
    pq.write_table(table, path)
    with pytest.raises(DatasetError, match="is missing or damaged"):
        replayed(folder, read_dataset(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": []},
        {"files": {}},
        {"files": {"../../passwd": {"bytes": 1, "sha256": ""}}},
        {"partitions": 3},
        {"federation": "a\nb"},
        {"missing": ["a\nluohu 0 7"]},
        {"stations": ["U1", "U1"]},
        {"id": "../x"},
    ],
)
def test_a_description_that_contradicts_itself_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    fields = json.loads((folder / DATASET).read_text())
    (folder / DATASET).write_text(json.dumps(fields | changes))
    with pytest.raises(DatasetError, match="is missing or damaged"):
        read_dataset(folder)


def test_each_build_has_an_id_of_its_own(folder: Path, tmp_path: Path) -> None:
    """Files of two builds from the same heads may divide persons otherwise."""
    again = divide(division({"luohu": EVENTS}), tmp_path / "again", 4)
    assert again.id != read_dataset(folder).id


def test_facts_that_are_built_again_during_a_replay_are_refused(folder: Path) -> None:
    before = read_dataset(folder)
    divide(division({"luohu": EVENTS[:2]}), folder, 4)
    with pytest.raises(DatasetError, match="built again meanwhile"):
        replayed(folder, before)


def test_a_worker_with_other_kernels_computes_nothing(folder: Path) -> None:
    task = Task(str(folder), read_dataset(folder).id, as_rules(rules()).text, NO_DAY, "other")
    with pytest.raises(VersionError, match=f"{code_version()} of the kernels, and other is needed"):
        compute_partition(task, 0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "holds no facts; `hours facts build"),
        ("{", "is missing or damaged"),
        ('{"format": 1}', "is missing or damaged"),
    ],
)
def test_a_description_that_is_none_is_refused_in_a_sentence(folder: Path, text: str | None, sentence: str) -> None:
    (folder / DATASET).unlink() if text is None else (folder / DATASET).write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        read_dataset(folder)


def test_a_newer_format_is_refused(folder: Path) -> None:
    newer = read_dataset(folder).model_copy(update={"format": 9})
    (folder / DATASET).write_text(newer.model_dump_json())
    with pytest.raises(DatasetError, match="has format 9, but this program reads 1"):
        read_dataset(folder)


def test_dividing_that_is_stopped_leaves_what_was_there(folder: Path) -> None:
    before = read_dataset(folder)

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "dividing":
            raise StoppedError

    with pytest.raises(StoppedError):
        divide(division({"luohu": EVENTS[:2]}), folder, 4, stop)
    assert read_dataset(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["facts"]


def test_a_replay_that_is_stopped_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_said: Any) -> None:
        raise StoppedError

    monkeypatch.setattr(engine, "POLL_SECONDS", 0.0)
    with pytest.raises(StoppedError), Threads(1) as pool:
        replay_partitions(folder, read_dataset(folder), as_rules(rules()), pool, progress=stop)


def test_partials_are_added_in_any_order(folder: Path) -> None:
    """Also to those of a partition without shifts, which begin on no day."""
    dataset = read_dataset(folder)
    task = Task(str(folder), dataset.id, as_rules(rules()).text, NO_DAY, code_version())
    parts = [compute_partition(task, number) for number in range(4)]
    assert 0 < sum(len(part.volunteers) == 0 for part in parts) < 4
    whole = merge(merge(parts[0], parts[1]), merge(parts[2], parts[3]))
    other = merge(parts[3], merge(parts[2], merge(parts[1], parts[0])))
    assert whole.models.stations.shape[1] < 100
    assert whole.models.stations.tolist() == other.models.stations.tolist()
    assert sum(whole.models.hours[:, 2]) == sum(other.models.hours[:, 2])


def test_a_partition_has_the_stations_that_it_has_shifts_at_with_their_openings(folder: Path) -> None:
    dataset = read_dataset(folder)
    facts = [read_partition(folder, dataset, number) for number in range(4)]
    assert [len(each.stations) for each in facts] == [len(np.unique(each.shifts.station)) for each in facts]
    assert all(opened for each in facts for opened in each.station_openings())
    assert {len(each.stations) for each in facts} == {0, 1}
