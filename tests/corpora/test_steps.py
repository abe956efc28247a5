"""Steps over stored records: columns, parts of a split, new labels, shards."""

import numpy
import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import (
    DEV_PART,
    DROPPED,
    LABELS,
    SENTENCES_WITH,
    TRAIN_PART,
    KeepPart,
    RecordTask,
    Relabel,
    draw,
    label_column,
    with_labels,
)
from spacy_hetner.corpora.stores import SCHEMA, from_table, read_parquet, to_batch, write_parquet
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.types import LabelledSpan


def record(identity, *labels):
    spans = [LabelledSpan(number, number + 1, label) for number, label in enumerate(labels)]
    return Record([f"w{n}" for n in range(6)], spans, [True] * 6, identity, f"d{identity[:2]}")


RECORDS = [record("a", "person", "city", "person"), record("b"), record("c", "city")]


def labels_of(batch):
    return [[span.label for span in found.spans] for found in from_table(batch)]


@pytest.mark.parametrize("start, length", [(0, 3), (1, 2), (0, 1), (1, 1), (2, 0)])
def test_label_column_also_of_a_slice(start, length):
    batch = to_batch([record("x", "road"), *RECORDS]).slice(1).slice(start, length)
    column = label_column(batch)
    found = [[] for _ in range(length)]
    for row, code in zip(column.rows.tolist(), column.codes.tolist(), strict=True):
        found[row].append(column.names[code])
    assert found == labels_of(batch)
    distinct = column.distinct()
    assert len(distinct.rows) == sum(len(set(labels)) for labels in found)
    expected = [sum(label == "person" for label in labels) for labels in found]
    assert column.count_rows(column.is_among(["person"]), length).tolist() == expected


def test_spans_that_are_not_kept_go_with_their_bounds():
    batch = to_batch([record("x", "road"), *RECORDS]).slice(1)
    kept = numpy.array([True, False, True, False])
    changed = with_labels(batch, batch["labels"].flatten(), kept)
    assert [found.spans for found in from_table(changed)] == [
        [(0, 1, "person"), (2, 3, "person")],
        [],
        [],
    ]
    assert changed.schema == SCHEMA


@pytest.mark.parametrize("by", ["id", "doc_id"])
def test_parts_make_up_the_whole(by):
    batch = to_batch([record(f"{n:04d}", "city") for n in range(5000)])
    counts = {part: new_counts() for part in ("train", "dev")}
    parts = {
        part: list(from_table(KeepPart(part, seed=3, by=by)(batch, counts[part])))
        for part in ("train", "dev")
    }
    assert sorted(r.id for part in parts.values() for r in part) == batch["id"].to_pylist()
    assert counts["train"][DROPPED] == {DEV_PART: len(parts["dev"])}
    assert counts["dev"][DROPPED] == {TRAIN_PART: len(parts["train"])}
    documents = {part: {r.doc_id for r in records} for part, records in parts.items()}
    assert documents["train"].isdisjoint(documents["dev"]) == (by == "doc_id")
    if by == "id":  # 500 expected, standard deviation 21
        assert 420 < len(parts["dev"]) < 580


def test_another_seed_splits_otherwise():
    batch = to_batch([record(f"{n:04d}") for n in range(500)])
    dev = [KeepPart("dev", seed=s)(batch, new_counts())["id"].to_pylist() for s in (1, 1, 2)]
    assert dev[0] == dev[1] != dev[2]


def test_records_without_ids_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"HE167.*empty id"):
        draw(to_batch([Record(["a"], [])]), seed=0, salt="x")


def test_relabel():
    batch = to_batch(RECORDS)
    mapped = Relabel({"person": "PER", "city": "LOC"})(batch, new_counts())
    assert labels_of(mapped) == [["PER", "LOC", "PER"], [], ["LOC"]]
    assert mapped.schema == SCHEMA
    kept = Relabel({"person": "PER"}, "keep")(batch, new_counts())
    assert labels_of(kept) == [["PER", "city", "PER"], [], ["city"]]
    with pytest.raises(ValueError, match=r"HE161.*city"):
        Relabel({"person": "PER"})(batch, new_counts())


def test_labels_of_one_span_that_become_the_same_stay_once():
    spans = [(0, 2, "a"), (0, 2, "b"), (0, 2, "c"), (1, 2, "a"), (1, 2, "c")]
    records = [
        Record(["x", "y"], [LabelledSpan(*span) for span in spans], id="1"),
        Record(["x", "y"], [LabelledSpan(0, 2, "a")], id="2"),
    ]
    mapped = Relabel({"a": "X", "b": "Y", "c": "X"})(to_batch(records), new_counts())
    assert [found.spans for found in from_table(mapped)] == [
        [(0, 2, "X"), (0, 2, "Y"), (1, 2, "X")],
        [(0, 2, "X")],
    ]


def test_task_counts_what_comes_out(tmp_path):
    records = [record(f"{n:05d}", *(["city", "city"] if n % 3 else ["person"])) for n in range(99)]
    write_parquet(records, tmp_path / "in.parquet")
    task = RecordTask((Relabel({"city": "LOC"}, "keep"), KeepPart("train", seed=1)))
    counts = LocalEngine(progress=False).map(
        task, parquet_shards(tmp_path / "in.parquet"), tmp_path / "out", key={}
    )
    written = list(read_parquet(next((tmp_path / "out").glob("*.parquet"))))
    assert len(written) == counts["rows"]["total"] == 99 - counts[DROPPED][DEV_PART] > 70
    cities = sum("LOC" in {span.label for span in found.spans} for found in written)
    assert counts[SENTENCES_WITH] == {"LOC": cities, "person": len(written) - cities}
    assert counts[LABELS] == {"LOC": 2 * cities, "person": len(written) - cities}
