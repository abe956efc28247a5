"""Conversion: reports, draws, blanks, strictness, nothing half-written."""

import pytest

from spacy_hetner.corpora.convert import convert, draw
from spacy_hetner.corpora.readers.texts import EMPTY_TEXT
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_parquet, read_stores
from spacy_hetner.labels.codecs import ORPHAN

LAYERED = "il\tB-DNA\tB-protein\n2\tI-DNA\tO\n\nx\tI-DNA\tO\n\n\tO\tO\ny\tO\tO\n"


@pytest.fixture
def layered(tmp_path):
    path = tmp_path / "in.tsv"
    path.write_text(LAYERED, encoding="utf8")
    return path


@pytest.mark.parametrize("suffix", ["parquet", "spacy"])
def test_report_says_what_was_written_and_what_was_lost(layered, tmp_path, suffix):
    output = tmp_path / "made" / f"out.{suffix}"
    report = convert([layered], output, format="layered")
    assert report.to_dict() == {
        "sentences": 3,
        "tokens": 4,
        "entities": 3,
        "nested": 1,
        "sentences_read": 3,
        "labels": {"DNA": 2, "protein": 1},
        "inconsistent": {ORPHAN: 1},
        "dropped": {"empty token": 1},
    }
    assert [record.tokens for record in read_stores([output])] == [["il", "2"], ["x"], ["y"]]
    rows = [row.rsplit(None, 1) for row in report.to_text().strip().split("\n")]
    assert {name.strip(): count for name, count in rows} == {
        "sentences": "3",
        "tokens": "4",
        "entities": "3",
        "inside another": "1",
        "DNA": "2",
        "protein": "1",
        f"inconsistent: {ORPHAN}": "1",
        "dropped: empty token": "1",
    }


@pytest.mark.parametrize(
    "options, text",
    [
        ({}, "a b "),
        ({"lang": "en"}, "a b "),
        ({"lang": "zh"}, "ab"),
        ({"lang": "ZH"}, "ab"),
        ({"lang": "zho"}, "ab"),
        ({"lang": "KM"}, "ab"),
        ({"lang": "zh", "spaces": True}, "a b "),
        ({"spaces": False}, "ab"),
    ],
)
def test_blanks_between_tokens_follow_the_language(tmp_path, options, text):
    (tmp_path / "in.txt").write_text("a\tO\nb\tO\n", encoding="utf8")
    output = tmp_path / "out.parquet"
    convert([tmp_path / "in.txt"], output, format="columns", **options)
    assert [record.text for record in read_parquet(output)] == [text]


def test_language_chooses_the_tokenizer(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "中文GPT-4", "spans": []}', encoding="utf8")
    tokens = {}
    for lang in ("en", "zh", "ZH"):
        output = tmp_path / f"{lang}.parquet"
        convert([tmp_path / "in.jsonl"], output, format="json_text", lang=lang)
        tokens[lang] = next(read_parquet(output)).tokens
    assert tokens["zh"] == tokens["ZH"] == ["中", "文", "GPT", "-", "4"] != tokens["en"]


def test_draw_is_fixed_by_its_seed_and_keeps_the_order():
    records = [Record([str(i)], []) for i in range(100)]
    drawn = [int(record.tokens[0]) for record in draw(records, 10, seed=0)]
    assert drawn == sorted(set(drawn)) and len(drawn) == 10
    assert drawn == [int(record.tokens[0]) for record in draw(iter(records), 10, seed=0)]
    assert drawn != [int(record.tokens[0]) for record in draw(records, 10, seed=1)]
    assert list(draw(records, 200, seed=0)) == records


def test_draw_is_uniform():
    records = [Record([str(i)], []) for i in range(5)]
    hits = [0] * 5
    for seed in range(2000):
        for record in draw(records, 2, seed):
            hits[int(record.tokens[0])] += 1
    # 800 expected of each, standard deviation 22
    assert all(690 < count < 910 for count in hits)


def test_limit_draws_sentences_and_the_report_says_of_how_many(layered, tmp_path):
    output = tmp_path / "out.parquet"
    report = convert([layered], output, format="layered", limit=2, seed=3)
    assert (report.sentences, report.sentences_read) == (2, 3)
    assert len(list(read_parquet(output))) == 2
    assert "sentences read" in report.to_text()


@pytest.mark.parametrize(
    "text, options, code",
    [
        (LAYERED, {"strict": True}, r"HE074.*in\.txt:4"),
        ("a\tO\tO\nb\tO", {}, r"HE066.*in\.txt:2"),
        ("\n\n", {}, r"HE083.*in\.txt"),
        (LAYERED, {"limit": -1}, "HE078"),
        (LAYERED, {"format": "iob"}, "HE004"),
        (LAYERED, {"unit": "line"}, "HE076"),
        (LAYERED, {"lang": "qqq"}, "HE085.*'qqq'"),
        ("a/o\n", {"format": "chunk_lines", "spaces": True}, "HE076.*'spaces'.*outside"),
        ('{"text": "a"}\n', {"format": "cluener", "spaces": False}, "HE076.*'spaces'"),
        ('{"text": "", "spans": []}\n', {"format": "json_text"}, r"HE083.*in\.txt"),
    ],
)
@pytest.mark.parametrize("suffix", ["parquet", "spacy"])
def test_failure_leaves_no_file(tmp_path, text, options, code, suffix):
    source = tmp_path / "in.txt"
    source.write_text(text, encoding="utf8")
    with pytest.raises(ValueError, match=code):
        convert([source], tmp_path / f"out.{suffix}", **{"format": "layered", **options})
    assert list(tmp_path.iterdir()) == [source]


def test_empty_texts_are_no_sentences(tmp_path):
    source = tmp_path / "in.jsonl"
    texts = ['{"text": "", "spans": []}', '{"text": "a b", "spans": []}']
    source.write_text("\n".join(texts), encoding="utf8")
    report = convert([source], tmp_path / "out.parquet", format="json_text")
    assert (report.sentences, report.sentences_read, report.tokens) == (1, 1, 2)
    assert report.dropped == {EMPTY_TEXT: 1}


@pytest.mark.parametrize("given", [".", "in.parquet"])
def test_output_may_not_be_an_input(tmp_path, given):
    source = tmp_path / "in.parquet"
    source.write_text("a\tO\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"HE087.*in\.parquet"):
        convert([tmp_path / given], tmp_path / "x" / ".." / "in.parquet", format="columns")
    assert source.read_text(encoding="utf8") == "a\tO\n"


def test_output_of_unknown_kind_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="HE077"):
        convert([tmp_path / "missing"], tmp_path / "out.json", format="columns")
