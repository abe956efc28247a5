"""Stores: round trips, atomic writing, damaged and foreign files."""

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_hetner.corpora import stores
from spacy_hetner.corpora.records import Record, in_document_order
from spacy_hetner.corpora.stores import (
    STORES,
    read_docbin,
    read_parquet,
    read_stores,
    store_of,
    write_docbin,
    write_parquet,
)
from spacy_hetner.types import LabelledSpan

KINDS = sorted(STORES)


@st.composite
def random_records(draw):
    # Any character but half ones, and none that a Doc cannot hold.
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    tokens = draw(st.lists(st.text(characters, min_size=1, max_size=3), max_size=6))
    n = len(tokens)
    bounds = st.tuples(st.integers(0, max(n - 1, 0)), st.integers(1, n or 1))
    spans = [
        LabelledSpan(start, end, draw(st.sampled_from(["A", "B-C", "名"])))
        for start, end in draw(st.lists(bounds, max_size=4))
        if start < end <= n
    ]
    return Record(
        tokens,
        in_document_order(spans),
        draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        draw(st.sampled_from(["", "s1"])),
        draw(st.sampled_from(["", "d1"])),
        draw(st.sampled_from([{}, {"source": "名", "n": [1, None]}])),
    )


def some_records(n=3):
    return [
        Record([f"t{i}", "b"], [LabelledSpan(0, 2, "A"), LabelledSpan(1, 2, "B")], [True, False])
        for i in range(n)
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(records=st.lists(random_records(), max_size=4))
def test_records_survive_the_round_trip(tmp_path, kind, records):
    path = tmp_path / f"x{kind}"
    assert STORES[kind].write(records, path) == len(records)
    assert list(STORES[kind].read(path)) == records


def test_parquet_keeps_unknown_spaces(tmp_path):
    records = [Record(["a"], []), Record(["b"], [], [False]), Record([], [])]
    write_parquet(records, tmp_path / "x.parquet")
    assert list(read_parquet(tmp_path / "x.parquet")) == records


def test_parquet_is_written_in_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "ROW_GROUP", 4)
    records = some_records(10)
    path = tmp_path / "x.parquet"
    assert write_parquet(iter(records), path) == 10
    assert pq.ParquetFile(path).num_row_groups == 3
    assert list(read_parquet(path)) == records


def test_parquet_reads_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "ROW_GROUP", 2)
    write_parquet(some_records(6), tmp_path / "x.parquet")
    read_groups = []
    original = pq.ParquetFile.read_row_group

    def spy(self, group, **options):
        read_groups.append(group)
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    next(read_parquet(tmp_path / "x.parquet"))
    assert read_groups == [0]


def test_shuffled_parquet_holds_the_same_records(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "ROW_GROUP", 8)
    records = some_records(40)
    path = tmp_path / "x.parquet"
    write_parquet(records, path)
    shuffled = list(read_parquet(path, rng=numpy.random.default_rng(0)))
    again = list(read_parquet(path, rng=numpy.random.default_rng(0)))
    assert shuffled == again != records
    assert sorted(shuffled, key=lambda r: r.tokens) == sorted(records, key=lambda r: r.tokens)


def test_docbin_is_what_spacy_expects(tmp_path):
    path = tmp_path / "x.spacy"
    write_docbin(some_records(1), path, spans_key="sc")
    (doc,) = DocBin().from_disk(path).get_docs(Vocab())
    assert doc.text == "t0 b"
    assert [(s.start, s.end, s.label_) for s in doc.spans["sc"]] == [(0, 2, "A"), (1, 2, "B")]
    assert [(e.start, e.end, e.label_) for e in doc.ents] == [(0, 2, "A")]
    assert list(read_docbin(path, spans_key="sc")) == some_records(1)


@pytest.mark.parametrize("kind", KINDS)
def test_failure_leaves_nothing_half_written(tmp_path, kind):
    def failing():
        yield from some_records()
        raise RuntimeError("cut")

    path = tmp_path / "folder" / f"x{kind}"
    with pytest.raises(RuntimeError, match="cut"):
        STORES[kind].write(failing(), path)
    assert list(tmp_path.rglob("x*")) == [] and list(tmp_path.rglob(".*")) == []
    STORES[kind].write(some_records(), path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="cut"):
        STORES[kind].write(failing(), path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_name_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"HE081.*file/x\.parquet"):
        write_parquet(some_records(), tmp_path / "file" / "x.parquet")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ValueError, match=r"HE081.*folder\.parquet"):
        write_parquet(some_records(), tmp_path / "folder.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.parquet"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"not a store", b"cut"])
def test_file_that_is_no_store_is_refused(tmp_path, kind, content):
    path = tmp_path / f"x{kind}"
    STORES[kind].write(some_records(), path)
    path.write_bytes(path.read_bytes()[:-20] if content == b"cut" else content)
    with pytest.raises(ValueError, match=rf"HE079.*x{kind} is no record store"):
        list(STORES[kind].read(path))


def test_parquet_of_other_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"tokens": [["a"]], "tags": [["O"]]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"HE079.*columns spaces, starts, .* are missing"):
        list(read_parquet(tmp_path / "x.parquet"))


def test_damaged_parquet_is_told_wherever_the_damage_is(tmp_path):
    path = tmp_path / "x.parquet"
    write_parquet(some_records(50), path)
    whole = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(0)
    for column in map(group.column, range(group.num_columns)):
        start = column.dictionary_page_offset or column.data_page_offset
        last = start + column.total_compressed_size - 1
        path.write_bytes(whole[:last] + bytes([whole[last] ^ 1]) + whole[last + 1 :])
        with pytest.raises(ValueError, match=r"HE079.*x\.parquet"):
            list(read_parquet(path))


@pytest.mark.parametrize("name", ["a.json", "a", "spacy"])
def test_store_is_found_by_suffix(name):
    assert store_of("a.spacy") is STORES[".spacy"]
    with pytest.raises(ValueError, match=rf"HE077.*{name} .*\.parquet or \.spacy"):
        store_of(name)


def test_folder_of_stores_is_read_in_order_and_shuffled(tmp_path):
    one, two = some_records(5), some_records(5)
    write_docbin(one, tmp_path / "a.spacy")
    write_parquet(two, tmp_path / "b.parquet")
    (tmp_path / "report.json").write_text("{}")
    assert list(read_stores([tmp_path])) == one + two
    shuffled = list(read_stores([tmp_path], rng=numpy.random.default_rng(1)))
    assert shuffled != one + two
    assert sorted(r.tokens for r in shuffled) == sorted(r.tokens for r in one + two)
