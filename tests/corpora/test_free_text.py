"""Free text: layouts, shards cut at line ends, and what cannot be read."""

import bz2
import json
import lzma
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.free_text import (
    CUT_OFF,
    HALF,
    LINES,
    NO_TEXT,
    NOT_JSON,
    NOT_UTF8,
    TextLayout,
    read_texts,
    text_shards,
)


def read_all(paths, layout=LINES, *, strict=False, shard_bytes=2**20):
    """The (id, text) pairs of all shards, and what was dropped."""
    counts = defaultdict(Counter)
    found = []
    for shard in text_shards(paths, layout, shard_bytes=shard_bytes):
        found += [tuple(text) for text in read_texts(shard, layout, counts, strict=strict)]
    return found, dict(counts["dropped"])


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_are_named_by_the_byte_they_begin_at(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeff中文\r\n\n  b \nc")
    assert read_all([path]) == ([("a.txt@0", "中文"), ("a.txt@12", "b"), ("a.txt@17", "c")], {})


@given(st.lists(st.text(st.sampled_from("ab中\u0085\r "), max_size=5), max_size=12), st.data())
def test_shards_of_any_size_hold_the_same_texts(tmp_path_factory, lines, data):
    path = write(tmp_path_factory.mktemp("texts") / "a.txt", "\n".join(lines))
    size = data.draw(st.integers(1, 20))
    assert read_all([path], shard_bytes=size) == read_all([path])
    stripped = [line.strip() for line in lines]
    assert [text for _, text in read_all([path])[0]] == [line for line in stripped if line]


def test_shards_of_a_large_file_are_several(tmp_path):
    path = write(tmp_path / "a.txt", "0123456789\n" * 100)
    shards = text_shards([path], LINES, shard_bytes=110)
    assert len(shards) == 10
    assert [shard.start for shard in shards[1:]] == [shard.end for shard in shards[:-1]]


@pytest.mark.parametrize("suffix, pack", [(".xz", lzma.compress), (".bz2", bz2.compress)])
def test_packed_files_are_one_shard_with_the_same_names(tmp_path, suffix, pack):
    content = b"one\ntwo\n" * 50
    plain = write(tmp_path / "a.txt", content)
    packed = write(tmp_path / f"a.txt{suffix}", pack(content))
    assert len(text_shards([packed], LINES, shard_bytes=8)) == 1
    rename = [(name.replace(suffix, ""), text) for name, text in read_all([packed])[0]]
    assert rename == read_all([plain])[0]


def test_json_lines_and_nested_json(tmp_path):
    lines = write(tmp_path / "a.jsonl", '{"s": "x y", "id": 1}\n\n{"s": "z"}\n')
    assert [t for _, t in read_all([lines], TextLayout("jsonl", "s"))[0]] == ["x y", "z"]
    value = {"data": [{"paragraphs": [{"context": "p"}, {"context": "q", "n": 1}]}], "context": 3}
    nested = write(tmp_path / "a.json", json.dumps(value))
    assert read_all([nested], TextLayout("json", "context"))[0] == [
        ("a.json@0", "p"),
        ("a.json@0.1", "q"),
    ]


def test_column(tmp_path):
    path = write(tmp_path / "a.tsv", "t1\t5\tx\nt2\t6\ty\nshort\n")
    texts, dropped = read_all([path], TextLayout(column=3))
    assert ([text for _, text in texts], dropped) == (["x", "y"], {NO_TEXT: 1})


def test_blank_lines_have_no_columns_to_miss(tmp_path):
    path = write(tmp_path / "a.tsv", "t1\tx\n\nt2\ty\n")
    assert read_all([path], TextLayout(column=2))[0] == [("a.tsv@0", "x"), ("a.tsv@6", "y")]


def test_texts_missing_in_json_are_counted(tmp_path):
    value = [{"s": ["x"]}, {"s": 5}, {"t": "z"}, {"s": "y"}]
    path = write(tmp_path / "a.json", json.dumps(value))
    assert read_all([path], TextLayout("json", "s")) == ([("a.json@0.1", "y")], {NO_TEXT: 1})
    assert read_all([path], TextLayout("json", "gone")) == ([], {NO_TEXT: 1})


def test_json_without_an_end_of_brackets_is_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", "[" * 200_000 + '\n{"s": "x"}\n')
    assert read_all([path], TextLayout("jsonl", "s"))[1] == {NOT_JSON: 1}


def test_files_of_one_name_are_refused(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.txt", "t")
    with pytest.raises(ValueError, match=r"HE183.*x\.txt"):
        text_shards([tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"], LINES)


def test_texts_may_be_named_otherwise(tmp_path):
    (shard,) = text_shards([write(tmp_path / "x.txt", "t")], LINES)
    (text,) = read_texts(shard, LINES, defaultdict(Counter), name="folder/x.txt")
    assert text == ("folder/x.txt@0", "t")


def damaged_files(folder):
    packed = bz2.compress(b"whole line\n" * 5000)
    return [
        (write(folder / "a.txt", b"good\nb\xe4d\ngood\n"), LINES, NOT_UTF8),
        (write(folder / "b.txt.bz2", packed[: len(packed) // 2]), LINES, CUT_OFF),
        (write(folder / "c.jsonl", '{"s": "x"}\n{"s": \n'), TextLayout("jsonl", "s"), NOT_JSON),
        (write(folder / "d.jsonl", '{"s": "x"}\n{"t": "x"}\n'), TextLayout("jsonl", "s"), NO_TEXT),
        (write(folder / "e.jsonl", '{"s": "x"}\n[1]\n'), TextLayout("jsonl", "s"), NO_TEXT),
        (write(folder / "f.json", '{"s": "x"'), TextLayout("json", "s"), NOT_JSON),
        (
            write(folder / "g.jsonl", '{"s": "\\ud83d"}\n{"s": "x"}\n'),
            TextLayout("jsonl", "s"),
            HALF,
        ),
    ]


@pytest.mark.parametrize("number", range(7))
def test_what_cannot_be_read_is_counted_or_refused(tmp_path, number):
    path, layout, cause = damaged_files(tmp_path)[number]
    texts, dropped = read_all([path], layout)
    assert dropped == {cause: 1}
    assert all(text in ("good", "x", "whole line") for _, text in texts)
    with pytest.raises(ValueError, match=rf"HE181.*{path.name}, byte \d+.*{cause}"):
        read_all([path], layout, strict=True)


@pytest.mark.parametrize(
    "settings", [("jsonl", ""), ("json", ""), ("lines", "key"), ("jsonl", "key", 1)]
)
def test_settings_that_do_not_go_together(settings):
    with pytest.raises(ValueError, match="HE180"):
        TextLayout(*settings)


def test_unknown_layout():
    with pytest.raises(ValueError, match="HE004"):
        TextLayout("xml")
    with pytest.raises(ValueError, match="HE078"):
        TextLayout(column=-1)
