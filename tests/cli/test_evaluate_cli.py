"""``spacy hetner evaluate`` on a toy pipeline."""

import json

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from typer.testing import CliRunner

from spacy_hetner.cli import app


@pytest.fixture
def paths(tmp_path):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("span_ruler", config={"spans_key": "found"})
    ruler.add_patterns(
        [{"label": "ORG", "pattern": "Bank of China"}, {"label": "LOC", "pattern": "China"}]
    )
    nlp.to_disk(tmp_path / "model")
    doc = Doc(nlp.vocab, words=["Bank", "of", "China", "left", "Rome", "."])
    gold = [(0, 3, "ORG"), (2, 3, "LOC"), (4, 5, "LOC")]
    doc.spans["found"] = [Span(doc, *span) for span in gold]
    DocBin(docs=[doc]).to_disk(tmp_path / "test.spacy")
    return tmp_path


def invoke(paths, *options):
    arguments = ["evaluate", paths / "model", paths / "test.spacy", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_tables_and_json(paths):
    output = paths / "new" / "report.json"
    result = invoke(paths, "--spans-key", "found", "--candidates-key", "found", "--output", output)
    assert result.exit_code == 0, result.output
    assert "strict" in result.output
    for title in ("all measures", "by label", "by length in tokens", "by depth", "candidates"):
        assert f"doc.spans['found'], {title}" in result.output
    report = json.loads(output.read_text(encoding="utf8"))
    assert report["spans"]["strict"]["p"] == 1.0
    assert report["spans"]["strict"]["r"] == pytest.approx(2 / 3)
    assert report["candidates"]["per_gold"] == pytest.approx(2 / 3)
    assert report["gold_tokens"] is True
    assert [path.name for path in output.parent.iterdir()] == ["report.json"]


def test_retokenise(paths):
    result = invoke(paths, "--spans-key", "found", "--retokenise")
    assert result.exit_code == 0, result.output
    assert "the pipeline's own tokens" in result.output


def test_a_coded_error_ends_with_its_message(paths):
    output = paths / "report.json"
    result = invoke(paths, "--output", output)
    assert result.exit_code == 1
    assert "[HE092]" in result.output
    assert isinstance(result.exception, SystemExit), "told, not raised"
    assert not output.exists()
    result = CliRunner().invoke(app, ["evaluate", str(paths / "none"), str(paths / "test.spacy")])
    assert result.exit_code == 1
    assert "[HE093]" in result.output
    assert isinstance(result.exception, SystemExit)
