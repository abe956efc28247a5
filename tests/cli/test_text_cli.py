"""``spacy hetner text``."""

import json

from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.stores import read_stores


def run(*arguments):
    return CliRunner().invoke(app, ["text", *map(str, arguments)])


def test_text(tmp_path):
    posts = tmp_path / "posts.jsonl"
    lines = [json.dumps({"content": f"第{number % 80}条"}) for number in range(100)]
    posts.write_text("\n".join([*lines, "{"]), encoding="utf8")
    (tmp_path / "titles.tsv").write_text("0\t标题\n1\t第7条\n", encoding="utf8")
    (tmp_path / "test.txt").write_text("第1条\n", encoding="utf8")
    (tmp_path / "dev.txt").write_text("第2条\n", encoding="utf8")
    options = ("--lang", "zh", "--dev", 0.2, "--seed", 1, "--report", tmp_path / "report.json")
    options += ("--exclude", tmp_path / "test.txt", "--exclude", tmp_path / "dev.txt")
    sources = (f"{posts}:content", f"{tmp_path / 'titles.tsv'}:2")
    result = run(*sources, tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "posts.jsonl:content" in result.output and "dropped: text that repeats" in result.output
    counts = json.loads((tmp_path / "report.json").read_text(encoding="utf8"))
    assert counts["totals"]["texts read"] == 102 and counts["totals"]["texts kept"] == 79
    assert counts["dropped"]["line or file that is no JSON"] == 1
    records = [
        record for part in ("train", "dev") for record in read_stores([tmp_path / "out" / part])
    ]
    assert {record.text for record in records} == {
        *(f"第{number}条" for number in range(80) if number not in (1, 2)),
        "标题",
    }


def test_sentences_and_characters(tmp_path):
    (tmp_path / "raw.txt").write_text("你好。ok\n", encoding="utf8")
    options = ("--lang", "zh", "--dev", 0, "--sentences", "--per-character")
    assert run(tmp_path / "raw.txt", tmp_path / "out", *options).exit_code == 0
    records = read_stores([tmp_path / "out" / "train"])
    assert [record.tokens for record in records] == [list("你好。"), list("ok")]


def test_errors_are_told_without_a_traceback(tmp_path):
    result = run(tmp_path / "gone.txt", tmp_path / "out", "--lang", "zh")
    assert result.exit_code == 1 and "HE232" in result.output
    assert "Traceback" not in result.output
