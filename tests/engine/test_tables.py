"""Parquet in shards, and digests that depend on rows alone."""

import datetime
import decimal
import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine.toy_tasks import run

from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import (
    digest,
    first_row,
    identify,
    parquet_files,
    parquet_shards,
    read_shard,
)

ROWS = [
    {"id": "a", "tokens": ["x", "\u5317"], "score": 0.1, "raw": b"\x00\xff", "n": 1},
    {"id": "b", "tokens": [], "score": -0.0, "raw": b"", "n": None},
    {"id": "c", "tokens": None, "score": float("nan"), "raw": None, "n": 3},
    {"id": "c", "tokens": None, "score": float("nan"), "raw": None, "n": 3},
    {"id": "d", "tokens": ["'", '"', "\\"], "score": 1e300, "raw": b"d", "n": 4},
]


def write(path, rows=ROWS, size=2, columns=None):
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.select(columns or table.column_names), path, row_group_size=size)
    return path


def test_shards_cover_each_row_group_once(tmp_path):
    one, two = write(tmp_path / "one.parquet", size=1), write(tmp_path / "two.parquet", size=3)
    empty = tmp_path / "zero.parquet"
    pq.ParquetWriter(empty, pq.read_schema(one)).close()
    shards = parquet_shards([one, empty, two], row_groups=2)
    assert [shard[1:] for shard in shards] == [
        (str(one), 0, 2),
        (str(one), 2, 4),
        (str(one), 4, 5),
        (str(two), 0, 2),
    ]
    assert [shard.name for shard in shards] == ["00000", "00001", "00002", "00003"]
    ids = [[i for batch in read_shard(shard) for i in batch["id"].to_pylist()] for shard in shards]
    assert ids == [["a", "b"], ["c", "c"], ["d"], ["a", "b", "c", "c", "d"]]


def test_first_rows_of_shards_count_from_the_start_of_their_file(tmp_path):
    write(tmp_path / "one.parquet", size=1), write(tmp_path / "two.parquet", size=3)
    shards = parquet_shards(tmp_path, row_groups=2)
    assert [first_row(shard) for shard in shards] == [0, 2, 4, 0]
    (tmp_path / "one.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ValueError, match=r"HE129.*one\.parquet"):
        first_row(shards[1])


def test_shards_are_found_from_any_folder(tmp_path, monkeypatch):
    write(tmp_path / "x.parquet")
    monkeypatch.chdir(tmp_path)
    (shard,) = parquet_shards("x.parquet")
    monkeypatch.chdir("/")
    assert sum(len(batch) for batch in read_shard(shard)) == len(ROWS)


def test_some_columns_are_read(tmp_path):
    (shard,) = parquet_shards(write(tmp_path / "x.parquet"))
    batches = list(read_shard(shard, ["n", "id"]))
    assert batches and all(sorted(batch.schema.names) == ["id", "n"] for batch in batches)
    with pytest.raises(ValueError, match=r"HE129.*columns label, type are missing"):
        list(read_shard(shard, ["id", "type", "label"]))


def test_folders_of_jobs_count_when_they_are_finished(tmp_path):
    with pytest.raises(ValueError, match="HE126"):
        run(LocalEngine(), tmp_path, victim="02", trouble="KeyError")
    for read in (parquet_files, parquet_shards, digest):
        with pytest.raises(ValueError, match="HE130"):
            read(tmp_path / "out")
    (tmp_path / "log" / "well").touch()
    run(LocalEngine(), tmp_path)
    assert len(parquet_files(tmp_path / "out")) == 6
    assert len(parquet_shards([tmp_path / "out", tmp_path / "out" / "part-00.parquet"])) == 7


def test_what_is_no_parquet(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ValueError, match=r"HE129.*x\.parquet"):
        parquet_shards(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="HE075"):
        parquet_shards(tmp_path / "y.parquet")
    with pytest.raises(ValueError, match="HE078"):
        parquet_shards(write(tmp_path / "z.parquet"), row_groups=0)


def test_damage_inside_a_file_is_told(tmp_path):
    rows = [{"id": f"{number:040d}"} for number in range(1000)]
    pq.write_table(
        pa.Table.from_pylist(rows),
        tmp_path / "x.parquet",
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=False,
    )
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[200] ^= 0xFF
    (tmp_path / "x.parquet").write_bytes(data)
    (shard,) = parquet_shards(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"HE129.*x\.parquet"):
        list(read_shard(shard))


def test_digest_depends_on_rows_alone(tmp_path):
    whole = digest(write(tmp_path / "whole.parquet"))
    assert len(whole) == 32 and int(whole, 16)
    turned = write(tmp_path / "turned.parquet", ROWS[::-1], size=1, columns=sorted(ROWS[0]))
    assert digest(turned) == whole
    (tmp_path / "cut").mkdir()
    write(tmp_path / "cut" / "2.parquet", ROWS[:2]), write(tmp_path / "cut" / "1.parquet", ROWS[2:])
    assert digest(tmp_path / "cut") == whole
    assert digest(sorted((tmp_path / "cut").iterdir())) == whole


def changed(index, **values):
    rows = [dict(row) for row in ROWS]
    rows[index].update(values)
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[:-1],
        [*ROWS, ROWS[0]],
        [*ROWS[:3], ROWS[4]],  # one of two equal rows is gone
        changed(0, id="A"),
        changed(0, tokens=["\u5317", "x"]),
        changed(0, tokens=["x\u5317"]),
        changed(1, tokens=None),
        changed(1, n=0),
        changed(0, score=0.10000000000000002),
        changed(1, raw=None),
        changed(0, raw=b"\x00"),
        [{**ROWS[0], "id": "b"}, {**ROWS[1], "id": "a"}, *ROWS[2:]],
        [{("m" if name == "n" else name): row[name] for name in row} for row in ROWS],
    ],
)
def test_digest_sees_every_change(tmp_path, rows):
    assert digest(write(tmp_path / "new.parquet", rows)) != digest(write(tmp_path / "old.parquet"))


def test_digest_of_some_columns(tmp_path):
    old, new = write(tmp_path / "old.parquet"), write(tmp_path / "new.parquet", changed(0, n=9))
    assert digest(old, ["id", "tokens"]) == digest(new, ["tokens", "id"])
    assert digest(old, ["id", "n"]) != digest(new, ["id", "n"])
    with pytest.raises(ValueError, match=r"HE129.*label"):
        digest(old, ["label"])


def test_digest_stays(tmp_path):
    """Published digests must be comparable with those of later versions."""
    lines = [
        b'["a",1,{"bytes":"00ff"},0.1,["x","\\u5317"]]',
        b'["b",null,{"bytes":""},-0.0,[]]',
        b'["c",3,null,NaN,null]',
        b'["c",3,null,NaN,null]',
        b'["d",4,{"bytes":"64"},1e+300,["\'","\\"","\\\\"]]',
    ]
    texts = [b'["id","n","raw","score","tokens"]' + line for line in lines]
    hashes = [hashlib.blake2b(text, digest_size=16).hexdigest() for text in texts]
    expected = sum(int(hashed, 16) for hashed in hashes) % 2**128
    assert f"{expected:032x}" == "241f2361128f57a477d7dcd594e713aa"
    assert digest(write(tmp_path / "x.parquet")) == "241f2361128f57a477d7dcd594e713aa"


def test_digest_of_other_types(tmp_path):
    row = {
        "day": datetime.date(2021, 12, 1),
        "moment": datetime.datetime(2021, 12, 1, 3, 4, 5),
        "exact": decimal.Decimal("1.50"),
        "nested": {"a": [{"b": 1}], "c": b"x"},
    }
    one = digest(write(tmp_path / "one.parquet", [row]))
    for name, value in (
        ("day", datetime.date(2021, 12, 2)),
        ("moment", datetime.datetime(2021, 12, 1, 3, 4, 6)),
        ("exact", decimal.Decimal("1.51")),
        ("nested", {"a": [{"b": 1}], "c": b"y"}),
    ):
        assert digest(write(tmp_path / "two.parquet", [{**row, name: value}])) != one


def test_files_are_identified_by_content_not_by_place(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "x").write_bytes(b"1" * 200_000)
    (one,), (two,) = identify([tmp_path / "a"]), identify(tmp_path / "b" / "x")
    assert one == two and one["name"] == "x" and one["bytes"] == 200_000
    for content in (b"1" * 199_999, b"2" + b"1" * 199_999, b"1" * 199_999 + b"2"):
        (tmp_path / "b" / "x").write_bytes(content)
        assert identify(tmp_path / "b" / "x") != [one]
    with pytest.raises(ValueError, match="HE075"):
        identify(tmp_path / "c")
