"""``spacy hetner annotate`` and ``spacy hetner wiki build``."""

import json

import pytest
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.gazetteers.gazetteer import Gazetteer

DUMP = (
    "<mediawiki><page><title>A</title><ns>0</ns><id>1</id><revision><id>1</id><text>"
    "[[Ada]] saw [[Bern]].</text></revision></page></mediawiki>"
)


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_annotate(tmp_path):
    Gazetteer({"南京": ["GPE"]}).to_disk(tmp_path / "names")
    (tmp_path / "posts.tsv").write_text("1\t我在南京。\n2\t他不在\n3\n", encoding="utf8")
    options = ("--gazetteer", tmp_path / "names", "--lang", "zh", "--column", 2)
    options += ("--unmatched", "unknown", "--report", tmp_path / "report.json")
    result = run("annotate", tmp_path / "posts.tsv", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "labels: GPE" in result.output and "dropped: line without a text" in result.output
    (record,) = read_stores([tmp_path / "out"])
    assert record.spans == [(2, 4, "GPE")] and record.meta == {"unknown": [[0, 2], [4, 5]]}
    counts = json.loads((tmp_path / "report.json").read_text(encoding="utf8"))
    assert counts["totals"]["sentences read"] == 2 and counts["rows"]["total"] == 1


def test_annotate_nouns_and_then_those_of_a_gazetteer(tmp_path):
    pytest.importorskip("jieba")
    (tmp_path / "posts.txt").write_text("我在北京看长江。\n他走了\n", encoding="utf8")
    Gazetteer({"长江": ["LOC"]}).to_disk(tmp_path / "names")
    options = ("--nouns", "jieba", "--lang", "zh", "--min-nouns", 2)
    result = run("annotate", tmp_path / "posts.txt", tmp_path / "entities", *options)
    assert result.exit_code == 0, result.output
    assert "dropped: sentence of fewer nouns" in result.output
    (record,) = read_stores([tmp_path / "entities"])
    assert record.spans == [(2, 4, "Entity"), (5, 7, "Entity")]
    options = ("--gazetteer", tmp_path / "names", "--lang", "zh", "--matching", "spans")
    result = run("annotate", tmp_path / "entities", tmp_path / "distant", *options)
    assert result.exit_code == 0, result.output
    (record,) = read_stores([tmp_path / "distant"])
    assert record.spans == [(5, 7, "LOC")]


def test_wiki_build(tmp_path):
    (tmp_path / "dump.xml").write_text(DUMP, encoding="utf8")
    (tmp_path / "classes.tsv").write_text("Type\tDepth\tParent\ndbo:Person\t1\towl:Thing\n")
    (tmp_path / "types.txt").write_text("Ada\ttype\tperson\n")
    options = (
        "--lang",
        "en",
        "--types",
        tmp_path / "types.txt",
        "--min-count",
        1,
        "--dev-share",
        0,
    )
    options += ("--ontology", tmp_path / "classes.tsv", "--anchors", "--min-anchors", 2)
    options += ("--report", tmp_path / "report.json", "--out", tmp_path / "out")
    result = run("wiki", "build", tmp_path / "dump.xml", *options)
    assert result.exit_code == 0, result.output
    assert "person" in result.output and "balanced" in result.output
    (record,) = read_stores([tmp_path / "out" / "train"])
    assert record.spans == [(0, 1, "person"), (2, 3, "ENTITY")]
    (record,) = read_stores([tmp_path / "out" / "entities"])
    assert [span.label for span in record.spans] == ["Entity", "Entity"]
    counts = json.loads((tmp_path / "report.json").read_text(encoding="utf8"))
    assert counts["typed"]["labels"] == {"person": 1, "ENTITY": 1}


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("annotate", "missing.txt", "out", "--gazetteer", "none", "--lang", "zh"), "HE112"),
        (("annotate", "a.txt", "out", "--lang", "zh"), "HE300"),
        (("annotate", "a", "b", "--lang", "zh", "--nouns", "lac", "-g", "names"), "HE300"),
        (("annotate", "a.txt", "out", "--lang", "zh", "--nouns", "pipeline"), "HE004"),
        (("annotate", "a", "b", "-l", "zh", "--nouns", "lac", "--matching", "every"), "HE302"),
        (("annotate", "a", "b", "-l", "zh", "-g", "names", "--max-words", "2"), "HE302"),
        (("wiki", "build", "missing.xml", "--out", "out", "--lang", "en"), "HE075"),
        (("wiki", "build", "x.xml", "--out", "o", "--lang", "en", "--engine", "spark"), "HE004"),
    ],
)
def test_wrong_input_is_told_without_a_traceback(arguments, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 1 and f"[{code}]" in result.output
    assert "Traceback" not in result.output
