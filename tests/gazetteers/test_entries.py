"""Reading dictionaries: each quirk of a layout, and what is no entry."""

import gzip
import json
import lzma

import pytest

from spacy_hetner.gazetteers.entries import read_entries
from spacy_hetner.gazetteers.source import Source, parse_source, read_source_list
from spacy_hetner.losses import Losses

BOM = b"\xef\xbb\xbf"


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, label="X", **layout):
    losses = Losses()
    entries = list(read_entries(Source(path, label=label, **layout), losses))
    return entries, losses.counts


def names(path, label="X", **layout):
    entries, lost = read(path, label, **layout)
    assert not lost
    return [entry.text for entry in entries]


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\nc\n",
        b"a\nb\nc",
        b"a\r\nb\r\nc\r\n",
        b"a\rb\rc\r",
        b"a\r\nb\rc\n",
        BOM + b"a\rb\rc",
        b"\n\na\n \n\t\nb\r\n\r\nc\n\n",
        b"  a \nb\t\n\xe3\x80\x80c\n",
    ],
)
def test_lines_end_in_any_way(tmp_path, content):
    assert names(write(tmp_path, "a.txt", content)) == ["a", "b", "c"]


def test_only_line_ends_end_a_line(tmp_path):
    path = write(tmp_path, "a.dic", "New  York, (NY) \x0b\u2028[US]\n")
    assert names(path) == ["New York, (NY) [US]"]


def test_blanks_before_the_tab_and_frequencies(tmp_path):
    path = write(tmp_path, "a.txt", "数组 \t 357924\n加载\t256124\n")
    assert names(path) == ["数组", "加载"]
    entries, _ = read(path, frequency_column=2)
    assert [(entry.text, entry.frequency) for entry in entries] == [
        ("数组", 357924),
        ("加载", 256124),
    ]
    assert [entry.place for entry in entries] == [f"{path}:1", f"{path}:2"]


def test_head_of_the_chinese_names_corpus(tmp_path):
    content = BOM + "By@萌名NameMoe\r\n2020.12.13\r\n\r\n阿八哈\r\n".encode()
    entries, counts = read(write(tmp_path, "a.txt", content))
    assert [entry.text for entry in entries] == ["阿八哈"]
    assert counts == {"line of a file's head": 3}


def test_a_name_like_that_head_does_not_swallow_the_file(tmp_path):
    entries, _ = read(write(tmp_path, "a.txt", "By@x\na\nb\nc\nd\n"))
    assert [entry.text for entry in entries] == ["c", "d"]
    assert names(write(tmp_path, "b.txt", "a\nBy@x\nb\n")) == ["a", "By@x", "b"]


def test_lines_to_skip(tmp_path):
    entries, counts = read(write(tmp_path, "a.txt", "# one\n\n# two\na\n"), skip=3)
    assert [entry.text for entry in entries] == ["a"]
    assert counts == {"line of a file's head": 3}


@pytest.mark.parametrize("pack,suffix", [(lzma.compress, ".xz"), (gzip.compress, ".gz")])
def test_packed_files(tmp_path, pack, suffix):
    assert names(write(tmp_path, f"a.txt{suffix}", pack(BOM + b"a\rb\r"))) == ["a", "b"]
    path = write(tmp_path, f"a.csv{suffix}", pack(b'name\n"a, b"\n'))
    assert names(path, text_column="name") == ["a, b"]
    assert names(write(tmp_path, f"a.json{suffix}", pack(b'["a"]'))) == ["a"]


CSV = (
    'code,name,kind,n\r\n1,"Saint Paul, MN",LOC,3\r\n2,"say ""so""",,4\r\n3,"two\nlines",LOC,5\r\n'
)


def test_csv_with_quotes_and_header(tmp_path):
    path = write(tmp_path, "a.csv", CSV)
    expected = ["Saint Paul, MN", 'say "so"', "two lines"]
    assert names(path, text_column="name") == names(path, text_column=2) == expected
    assert names(path, text_column=-3) == names(path, text_column="2") == expected
    entries, _ = read(path, text_column="name", label_column="kind", frequency_column="n")
    assert [(entry.label, entry.frequency) for entry in entries] == [
        ("LOC", 3),
        ("X", 4),
        ("LOC", 5),
    ]
    assert names(path) == ["1", "2", "3"]
    assert names(path, header=False) == ["code", "1", "2", "3"]


def test_type_column_before_the_name(tmp_path):
    path = write(tmp_path, "a.txt", 'Chemical\t( R)-"alpha" - x\nDisease\ty, [z]\n')
    entries, _ = read(path, label="", text_column=2, label_column=1)
    expected = [('( R)-"alpha" - x', "Chemical"), ("y, [z]", "Disease")]
    assert [(entry.text, entry.label) for entry in entries] == expected


def test_header_of_a_tsv_and_another_separator(tmp_path):
    path = write(tmp_path, "a.tsv", 'id\tname\n1\t"a\tb"\n')
    assert names(path, text_column="name") == ["a b"]
    assert names(write(tmp_path, "a.txt", "x|a\ny|b\n"), text_column=2, separator="|") == ["a", "b"]


PROVINCES = {"北京市": {"市辖区": ["东城区", "西城区"]}, "河北省": {"石家庄市": []}}


@pytest.mark.parametrize(
    "content,label,expected",
    [
        (["a", "b"], "X", [("a", "X"), ("b", "X")]),
        ([["a"], {"b": ["c"]}], "X", [("a", "X"), ("b", "X"), ("c", "X")]),
        ({"PER": ["a", "b"], "LOC": ["c"]}, "", [("a", "PER"), ("b", "PER"), ("c", "LOC")]),
        ({"LOC": PROVINCES}, "", [
            (name, "LOC") for name in ("北京市", "市辖区", "东城区", "西城区", "河北省", "石家庄市")
        ]),
        (PROVINCES, "LOC", [
            (name, "LOC") for name in ("北京市", "市辖区", "东城区", "西城区", "河北省", "石家庄市")
        ]),
    ],
)  # fmt: skip
def test_json(tmp_path, content, label, expected):
    path = write(tmp_path, "a.json", json.dumps(content))
    entries, lost = read(path, label)
    assert [(entry.text, entry.label) for entry in entries] == expected and not lost


def test_json_records_and_places(tmp_path):
    path = write(tmp_path, "a.json", '[{"name": "a", "n": 2}, {"name": "b", "n": "x", "t": "Y"}]')
    columns = {"text_column": "name", "label_column": "t", "frequency_column": "n"}
    entries, lost = read(path, **columns)
    assert [tuple(entry) for entry in entries] == [("a", "X", 2.0, f"{path}:1")]
    assert lost == {"frequency that is no number": 1}
    (entry,) = read(write(tmp_path, "b.json", '{"LOC": {"x": ["y"]}}'), "")[0][1:]
    assert entry.place.endswith("b.json:LOC/x")


@pytest.mark.parametrize(
    "name,content,layout,cause",
    [
        ("a.txt", b"a\nb\xff\xfeb\nc\n", {}, "not valid utf-8, or half a character"),
        ("a.txt", "a\n中文\nc\n".encode("gb18030"), {}, "not valid utf-8, or half a character"),
        ("a.json", b'["a", "x\\ud83d", "c"]', {}, "not valid utf-8, or half a character"),
        ("a.json", b'["a", 1, "c"]', {}, "value that is no text"),
        ("a.json", b'["a", null, "c"]', {}, "value that is no text"),
        ("a.json", b'["a", " ", "c"]', {}, "empty name"),
        ("a.txt", b"1\ta\n2\n3\tc\n", {"text_column": 2}, "fewer columns than expected"),
        ("a.txt", b"1\ta\n2\t \n3\tc\n", {"text_column": 2}, "empty name"),
        ("a.txt", b"a\tX\nb\t\nc\tX\n", {"label": "", "label_column": 2}, "no label"),
        ("a.txt", b"a\t1\nb\tmany\nc\t2\n", {"frequency_column": 2}, "frequency that is no number"),
        ("a.txt", b"a\t1\nb\tnan\nc\t2\n", {"frequency_column": 2}, "frequency that is no number"),
    ],
)
def test_what_is_no_entry_is_counted_or_an_error(tmp_path, name, content, layout, cause):
    path = write(tmp_path, name, content)
    entries, lost = read(path, **layout)
    assert [entry.text for entry in entries] == ["a", "c"]
    assert lost == {cause: 1}
    losses = Losses()
    list(read_entries(Source(path, **{"label": "X", **layout}), losses))
    line = "" if name.endswith(".json") else ":2"
    assert losses.first[cause].startswith(f"{path}{line}")
    with pytest.raises(ValueError, match="HE074") as error:
        list(read_entries(Source(path, **{"label": "X", **layout}), Losses(strict=True)))
    assert cause in str(error.value) and f"{path}{line}" in str(error.value)


def test_the_right_encoding_is_read(tmp_path):
    content = "南京\n😀中\n"
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        path = write(tmp_path, f"{encoding}.txt", content.encode(encoding))
        assert names(path, encoding=encoding) == ["南京", "😀中"]


@pytest.mark.parametrize(
    "name,content,layout,code",
    [
        ("a.txt", b"a", {"encoding": "klingon"}, "HE063"),
        ("a.txt", b"abc", {"encoding": "utf-16-le"}, "HE063"),
        ("a.txt.xz", lzma.compress(b"a" * 999)[:-20], {}, "HE064"),
        ("a.csv", b'n\n"a', {}, "HE072.*a.csv:2"),
        ("a.csv", b'n\n"a"b\n', {}, "HE072.*a.csv:2"),
        ("a.json", b'["a"', {}, "HE072"),
        ("a.json", b"[" * 100_000, {}, "HE072"),
        ("a.json", b'["a"]', {"text_column": "name"}, "HE072.*object 1"),
        ("a.json", b'[{"a": 1}]', {"text_column": "name"}, "HE072.*object 1"),
        ("a.csv", b"code,name\n1,a\n", {"text_column": "nmae"}, "HE113.*'nmae'.*code, name"),
        ("a.txt", b"a\n", {"label_column": 0}, "HE113"),
        ("a.txt", b"a\n", {"text_column": 0}, "HE113"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, name, content, layout, code):
    with pytest.raises(ValueError, match=code):
        read(write(tmp_path, name, content), **layout)


def test_a_cell_of_any_length(tmp_path):
    assert names(write(tmp_path, "a.txt", "x" * 200_000)) == ["x" * 200_000]


def test_sources_from_the_command_line(tmp_path):
    path = write(tmp_path, "a=b.txt", "a")
    assert parse_source(f"ORG={path}", "X") == Source(str(path), label="ORG")
    assert parse_source(str(path), "X", skip=1) == Source(str(path), label="X", skip=1)


def test_list_of_sources(tmp_path):
    settings = [{"path": "a.txt", "label": "X"}, {"path": "b.csv", "text_column": "name"}]
    path = write(tmp_path, "sources.json", json.dumps(settings))
    assert read_source_list(path) == [
        Source(tmp_path / "a.txt", label="X"),
        Source(tmp_path / "b.csv", text_column="name"),
    ]


@pytest.mark.parametrize(
    "content", ["{", '[{"label": "X"}]', '[{"path": "a", "typ": 1}]', "[1]", "1"]
)
def test_what_is_no_list_of_sources_is_told(tmp_path, content):
    with pytest.raises(ValueError, match=r"HE072.*text_column"):
        read_source_list(write(tmp_path, "sources.json", content))


def test_a_folder_stands_for_its_files(tmp_path):
    for name in ("b.txt", "a.txt"):
        write(tmp_path, name, name)
    found = Source(tmp_path, label="X", skip=1).files()
    assert found == [Source(tmp_path / name, label="X", skip=1) for name in ("a.txt", "b.txt")]
    with pytest.raises(ValueError, match="HE075"):
        Source(tmp_path / "c.txt").files()


def test_labels_that_are_none_are_counted_or_those_of_the_file(tmp_path):
    path = write(tmp_path, "a.tsv", "Ann\t \nBob\tPER\n")
    entries, lost = read(path, label="X", label_column=2)
    assert [(entry.text, entry.label) for entry in entries] == [("Ann", "X"), ("Bob", "PER")]
    entries, lost = read(path, label=" ", label_column=2)
    assert [entry.text for entry in entries] == ["Bob"] and lost == {"no label": 1}
