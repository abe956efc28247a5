"""How rows become a part: even row groups, the right columns, nothing lost between machines."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine.toy_tasks import run

from spacy_hetner.engine import work
from spacy_hetner.engine.engine import Engine
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.task import Shard, merge_counts, new_counts


@dataclass(frozen=True)
class Batches:
    """As many rows a batch as it is told; another column than it says, if so told."""

    sizes: tuple
    column: str = "x"
    width: int = 1

    schema = pa.schema([("x", pa.string())])

    def __call__(self, shard, counts):
        for size in self.sizes:
            texts = pa.array(["x" * self.width] * size, pa.string())
            yield pa.RecordBatch.from_pydict({self.column: texts})


def row_groups(task, tmp_path):
    LocalEngine().map(task, [Shard("a", "b", 0, 1)], tmp_path / "out", key={})
    file = pq.ParquetFile(tmp_path / "out" / "part-a.parquet")
    return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ((), []),
        ((0, 0), []),
        ((1,) * 100, [100]),
        ((5000, 5000, 1), [8192, 1808, 1]),
        ((20_000,), [8192, 8192, 3616]),
    ],
)
def test_row_groups_are_even_whatever_the_batches(tmp_path, sizes, expected):
    assert row_groups(Batches(sizes), tmp_path) == expected


def test_row_groups_of_long_rows_are_short(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "ROW_GROUP_BYTES", 1000)
    assert row_groups(Batches((1,) * 5, width=400), tmp_path) == [3, 2]


def test_other_columns_than_said_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"HE126.*TypeError: rows of y: string instead of x"):
        row_groups(Batches((1,), column="y"), tmp_path)


def test_counts_that_cannot_be_written_are_an_error(tmp_path):
    @dataclass(frozen=True)
    class Odd(Batches):
        def __call__(self, shard, counts):
            counts["odd"][("a", "b")] += 1
            yield from super().__call__(shard, counts)

    with pytest.raises(ValueError, match=r"HE126.*TypeError.*keys must be str"):
        row_groups(Odd((1,)), tmp_path)


def test_parts_written_elsewhere_are_missed(tmp_path):
    class Elsewhere(Engine):
        def run(self, work, shards):
            yield from (50 for shard in shards)

    with pytest.raises(ValueError, match=r"HE135.*6 shard\(s\)"):
        run(Elsewhere(), tmp_path)


def test_counts_are_summed_in_order_of_appearance():
    one, two = new_counts(), new_counts()
    one["b"]["x"] += 1
    two["a"]["y"] += 2
    two["b"].update(["z", "x"])
    total = merge_counts([one, two])
    assert total == {"b": {"x": 2, "z": 1}, "a": {"y": 2}}
    assert list(total) == ["b", "a"] and list(total["b"]) == ["x", "z"]
    assert one == {"b": {"x": 1}}
