"""Where texts come from: what names of sources mean, their files, ids, and how they are cut."""

import hashlib
import json
import lzma
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.free_text import LINES, NOT_JSON, TextLayout
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import to_batch, write_parquet
from spacy_hetner.corpora.text_sources import (
    TextSource,
    distinct_names,
    name_sources,
    pack_pieces,
    parse_source,
    read_piece,
)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf8"))
    return path


def write_store(path, *texts):
    write_parquet([Record(list(text), [], [False] * len(text)) for text in texts], path)
    return path


def read(sources, size=2**20, counts=None, **options):
    """The texts of sources, under their ids, in order."""
    counts = defaultdict(Counter) if counts is None else counts
    pieces = [piece for pieces in pack_pieces(sources, size) for piece in pieces]
    return [tuple(text) for piece in pieces for text in read_piece(piece, counts, **options)]


# What a name means


def test_a_path_is_a_text_a_line_or_a_store(tmp_path):
    assert parse_source(write(tmp_path / "a.txt", "x")) == TextSource(tmp_path / "a.txt", LINES)
    store = write_store(tmp_path / "stores" / "a.parquet", "x")
    assert parse_source(str(store)).layout is None
    assert parse_source(store.parent).layout is None
    given_source = TextSource(tmp_path, TextLayout("json", "a:b"))
    assert parse_source(given_source) is given_source


@pytest.mark.parametrize(
    "content,kind",
    [
        ('{"s": "x"}\n{"s": "y"}\n', "jsonl"),
        ('\ufeff\n{"s": "x"}\n\n{"s": "y"}', "jsonl"),
        ('{"s": "x"}\n', "json"),
        ('{"data": [{"s": "x"}]}', "json"),
        ('{\n"s": "x"\n}\n', "json"),
        ('[{"s": "x"},\n{"s": "y"}]', "json"),
        ('["x"]\n["y"]\n', "json"),
        ("", "json"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_are_told_from_json_by_the_first_line(tmp_path, content, kind, packed):
    data = lzma.compress(content.encode("utf8")) if packed else content
    path = write(tmp_path / ("a.json.xz" if packed else "a.json"), data)
    assert parse_source(f"{path}:s") == TextSource(path, TextLayout(kind, "s"))


def test_the_first_file_of_a_folder_that_holds_anything_tells_its_layout(tmp_path):
    write(tmp_path / "a.json", "\n")
    write(tmp_path / "b" / "c.json", '{"s": "x"}\n{"s": "y"}\n')
    assert parse_source(f"{tmp_path}:s").layout == TextLayout("jsonl", "s")


def test_a_damaged_file_is_no_json_lines(tmp_path):
    path = write(tmp_path / "a.json.xz", lzma.compress(b'{"s": "x"}\n' * 99)[:30])
    assert parse_source(f"{path}:s").layout == TextLayout("json", "s")


def test_numbers_are_columns_and_keys_may_hold_colons(tmp_path):
    path = write(tmp_path / "a.txt", "x\ty\n")
    assert parse_source(f"{path}:2").layout == TextLayout(column=2)
    assert parse_source(f"{path}:dc:title").layout == TextLayout("json", "dc:title")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no colons in file names")
def test_a_path_that_exists_as_written_wins(tmp_path):
    write(tmp_path / "a", "x")
    assert parse_source(f"{write(tmp_path / 'a:2', 'x')}").layout == LINES
    assert parse_source(f"{tmp_path / 'a:2'}:3").path == tmp_path / "a:2"


@pytest.mark.parametrize(
    "name", ["gone.txt", "gone.txt:key", "C:\\texts\\gone.txt", "C:\\gone.txt:key", ":key", "."]
)
def test_what_is_not_there_is_told_as_it_was_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == ".":
        name = f"{write(tmp_path / 'there.txt', 'x')}:"
    with pytest.raises(ValueError, match="HE232") as error:
        parse_source(name)
    assert repr(name) in str(error.value)


def test_a_drive_letter_is_no_path_with_a_key(tmp_path, monkeypatch):
    """Paths of Windows as they would be there: the drive exists, what is on it does not matter."""
    there = {"C:\\a.jsonl"}
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in there)
    monkeypatch.setattr(Path, "is_dir", lambda path: False)
    assert parse_source("C:\\a.jsonl").layout == LINES
    assert parse_source("C:\\a.jsonl:2") == TextSource(Path("C:\\a.jsonl"), TextLayout(column=2))
    with pytest.raises(ValueError, match="HE232"):
        parse_source("C:\\b.jsonl")


def test_stores_take_no_key(tmp_path):
    with pytest.raises(ValueError, match=r"HE234.*a\.parquet.*':text'"):
        parse_source(f"{write_store(tmp_path / 'a.parquet', 'x')}:text")


# Files


def test_a_folder_of_texts_is_read_with_all_folders_in_it(tmp_path):
    for name in ("b/1.txt", "a/2.txt", "c.txt", ".hidden", ".git/d.txt"):
        write(tmp_path / name, name)
    names = [file.relative_to(tmp_path).as_posix() for file in TextSource(tmp_path).files]
    assert names == ["a/2.txt", "b/1.txt", "c.txt"]


def test_parquet_among_texts_is_not_passed_over(tmp_path):
    write(tmp_path / "a.txt", "x")
    store = write_store(tmp_path / "deep" / "gold.parquet", "x")
    with pytest.raises(ValueError, match=r"HE233.*hold texts.*gold\.parquet"):
        TextSource(tmp_path).files  # noqa: B018
    write(store.parent / "more.txt", "x")
    with pytest.raises(ValueError, match=r"HE233.*hold stores of records.*more\.txt"):
        parse_source(store.parent).files  # noqa: B018


def test_folders_that_hold_nothing_are_told(tmp_path):
    with pytest.raises(ValueError, match="HE075"):
        TextSource(tmp_path).files  # noqa: B018


def test_digests_are_those_of_sha256sum(tmp_path):
    write(tmp_path / "f" / "b.txt", "two")
    write(tmp_path / "f" / "a" / "c.txt", "one")
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    listed = f"{one}  a/c.txt\n{two}  b.txt\n"
    assert TextSource(tmp_path / "f").digest() == hashlib.sha256(listed.encode()).hexdigest()
    assert TextSource(tmp_path / "f" / "b.txt").digest() == two


# Names


def test_names_have_as_many_folders_as_are_needed():
    paths = ["/a/x/1.json", "/b/x/1.json", "/b/y/1.json", "/b/y/2.json", "/x/1.json"]
    names = distinct_names(map(Path, paths))
    assert list(map(names.get, map(Path, paths))) == [
        "a/x/1.json",
        "b/x/1.json",
        "y/1.json",
        "2.json",
        "/x/1.json",
    ]


@given(st.sets(st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map(tuple)))
def test_no_two_paths_have_one_name(parts):
    paths = {Path("/", *path) for path in parts}
    names = distinct_names(paths)
    assert names.keys() == paths and len(set(names.values())) == len(paths)
    assert all(str(path.as_posix()).endswith(name) for path, name in names.items())


def test_texts_of_files_of_one_name_have_ids_of_their_own(tmp_path):
    for folder in "ab":
        write(tmp_path / folder / "1.json", json.dumps({"s": f"text {folder}"}))
    assert read([parse_source(f"{tmp_path}:s")]) == [
        ("a/1.json@0", "text a"),
        ("b/1.json@0", "text b"),
    ]
    sources = [parse_source(f"{tmp_path / folder}:s") for folder in "ba"]
    assert [name for name, _ in read(sources)] == ["b/1.json@0", "a/1.json@0"]
    assert name_sources(sources) == ["b:s", "a:s"]


def test_a_file_that_is_read_twice_gives_other_ids_for_other_keys(tmp_path):
    path = write(tmp_path / "a.json", json.dumps({"s": "x", "t": "y"}))
    sources = [parse_source(f"{path}:{key}") for key in "st"]
    assert read(sources) == [("a.json:s@0", "x"), ("a.json:t@0", "y")]


# Pieces


def test_large_files_are_cut_and_small_ones_put_together(tmp_path):
    write(tmp_path / "a.txt", "line\n" * 50)
    for number in range(20):
        write(tmp_path / "small" / f"{number:02d}.json", '{"s": "x"}')
    store = write_store(tmp_path / "gold.parquet", "xyz")
    names = (tmp_path / "a.txt", f"{tmp_path / 'small'}:s", store)
    packed = list(pack_pieces(list(map(parse_source, names)), 100))
    assert [len(pieces) for pieces in packed] == [1, 1, 6, 10, 5, 1]
    assert [piece.source for pieces in packed for piece in pieces] == [0] * 3 + [1] * 20 + [2]
    assert list(pack_pieces([], 100)) == []


@pytest.mark.parametrize("size", [1, 7, 64, 2**20])
def test_texts_do_not_depend_on_how_files_are_cut(tmp_path, size):
    write(tmp_path / "a.txt", "".join(f"line {number}\n" for number in range(30)))
    write(tmp_path / "b" / "1.jsonl", '{"s": "x"}\n\n{"s": "y"}')
    store = write_store(tmp_path / "c.parquet", "one", "two")
    sources = [parse_source(s) for s in (tmp_path / "a.txt", f"{tmp_path / 'b'}:s", store)]
    found = read(sources, size)
    assert [text for _, text in found] == [
        *(f"line {number}" for number in range(30)),
        *("x", "y", "one", "two"),
    ]
    assert [name for name, _ in found[-4:]] == [
        *("1.jsonl@0", "1.jsonl@12"),
        *("c.parquet@0", "c.parquet@1"),
    ]
    assert len({name for name, _ in found}) == len(found) == 34


def test_texts_of_stores_are_named_by_their_rows(tmp_path):
    """Over the borders of row groups and shards, whatever ids the records have."""
    records = [Record([f"w{number}", "."], [], None, "same") for number in range(50)]
    records[7] = Record([" "], [], None)
    path = tmp_path / "a.parquet"
    batch = to_batch(records)
    with pq.ParquetWriter(path, batch.schema) as file:
        file.write_batch(batch, row_group_size=3)
    expected = [(f"a.parquet@{n}", f"w{n} .") for n in range(50) if n != 7]
    assert read([parse_source(path)]) == expected


def test_what_cannot_be_read_is_counted_or_refused(tmp_path):
    write(tmp_path / "a.json", '{"s": ')
    write(tmp_path / "b.json", '{"s": "x"}')
    source, counts = parse_source(f"{tmp_path}:s"), defaultdict(Counter)
    assert read([source], counts=counts) == [("b.json@0", "x")]
    assert counts["dropped"] == {NOT_JSON: 1}
    with pytest.raises(ValueError, match=r"HE181.*a\.json"):
        read([source], strict=True)
