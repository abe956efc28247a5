"""Batches: each instance once an epoch, little padding, and an order that only numbers decide."""

from itertools import chain

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_hetner.pretraining.batches import BucketSampler, Instances, make_bucket_sampler, steps_of
from spacy_hetner.pretraining.objectives.objective import instance_schema

SCHEMA = instance_schema("pieces", "tags")


def write(path, lengths, *, row_group=16, first=0):
    """Instances of given lengths; the first piece of each is its number."""
    pieces = [[first + i] + [7] * (n - 1) for i, n in enumerate(lengths)]
    tags = [[i % 3] * (i % 4) for i in range(len(lengths))]
    table = pa.table({"length": lengths, "pieces": pieces, "tags": tags}, schema=SCHEMA)
    pq.write_table(table, path, row_group_size=row_group)


@pytest.fixture
def folder(tmp_path):
    random = numpy.random.default_rng(0)
    write(tmp_path / "a.parquet", random.integers(1, 60, 100))
    write(tmp_path / "b.parquet", random.integers(1, 60, 50), first=100)
    return tmp_path


def numbers(batches):
    return [[int(row["pieces"][0]) for row in batch.rows()] for batch in batches]


def test_every_instance_is_in_one_batch_of_an_epoch(folder):
    batches = list(BucketSampler(batch_pieces=256, pool=40)(Instances(folder), 0, 0))
    found = numbers(batches)
    assert sorted(chain.from_iterable(found)) == list(range(150))
    assert [batch.number for batch in batches] == list(range(len(batches)))


def test_rows_are_whole(folder):
    instances = Instances(folder)
    assert len(instances) == 150
    for batch in BucketSampler(batch_pieces=256, pool=40)(instances, 0, 0):
        for row in batch.rows():
            i = int(row["pieces"][0]) % 100
            assert row["tags"].tolist() == [i % 3] * (i % 4)


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=80),
    batch_pieces=st.integers(16, 512),
    pool=st.integers(1, 100),
)
def test_batches_are_full_of_pieces(tmp_path_factory, lengths, batch_pieces, pool):
    folder = tmp_path_factory.mktemp("instances")
    write(folder / "a.parquet", lengths, row_group=8)
    for batch in BucketSampler(batch_pieces, 0.9, pool)(Instances(folder), 3, 1):
        sizes = batch.pool.lengths[batch.indices]
        padded = sizes.max() * len(sizes)
        assert sizes.sum() >= 0.9 * padded
        assert padded <= batch_pieces or len(sizes) == 1


def test_order_is_that_of_seed_and_epoch(folder):
    def order(seed, epoch):
        return numbers(BucketSampler(256, 0.9, 40)(Instances(folder), seed, epoch))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 0) != order(0, 0)


def test_steps_go_on_where_they_stopped(folder):
    def steps(start=0):
        batches = BucketSampler(128, 0.9, 40)(Instances(folder), 0, 0)
        return [numbers(step) for step in steps_of(batches, 3, start)]

    assert steps(start=2) == steps()[2:]
    assert {len(step) for step in steps()[:-1]} == {3} and 1 <= len(steps()[-1]) <= 3


def test_only_lengths_are_read_of_batches_that_are_skipped(folder, monkeypatch):
    read = []
    plain = pq.ParquetFile.read_row_group

    def recording(file, group, columns=None):
        read.append(columns)
        return plain(file, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", recording)
    assert len(list(BucketSampler(128, 0.9, 40)(Instances(folder), 0, 0))) > 10
    assert {tuple(columns) for columns in read} == {("length",)}


@pytest.mark.parametrize(
    "settings, code",
    [({"batch_pieces": 0}, "HE078"), ({"min_density": 1.5}, "HE002"), ({"pool": 0}, "HE078")],
)
def test_settings_that_make_no_sense(settings, code):
    with pytest.raises(ValueError, match=code):
        make_bucket_sampler(**settings)
