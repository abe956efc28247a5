"""The report's tables and JSON, from counts made by hand."""

import json

import numpy

from spacy_hetner.evaluation.metrics import DocumentSpans, score_candidates, score_spans
from spacy_hetner.evaluation.report import Report

TOKENS = numpy.stack([numpy.arange(12), numpy.arange(12) + 1], axis=1)


def make_report(**changes):
    gold = {(0, 12, "ORG"), (2, 4, "地点"), (5, 6, "PER")}
    predicted = {(0, 12, "ORG"), (2, 4, "PER")}
    spans = score_spans([DocumentSpans(gold, predicted, TOKENS, TOKENS[1:])])
    candidates = score_candidates([DocumentSpans(gold, predicted, TOKENS, TOKENS)])
    settings = {
        "model": "model",
        "data": "data.spacy",
        "documents": 1,
        "tokens": 12,
        "gold_tokens": True,
        "spans_key": "entities",
        "candidates_key": "candidates",
        "spans": spans,
        "candidates": candidates,
        "ents": None,
    }
    return Report(**{**settings, **changes})


def rows(text, title):
    """The cells of the table under a title."""
    lines = text.split(title, 1)[1].split("\n\n", 1)[0].splitlines()
    return [line.split() for line in lines if line.strip() and not set(line) <= {"-", " "}]


def test_tables():
    text = make_report().to_text()
    assert text.startswith("model on data.spacy: 1 documents, gold tokens\n")
    overall = rows(text, "doc.spans['entities'], all measures\n")
    assert overall[0] == ["P", "R", "F", "gold", "predicted"]
    assert overall[1] == ["strict", "50.00", "33.33", "40.00", "3", "2"]
    assert overall[2] == ["unlabelled", "100.00", "66.67", "80.00", "3", "2"]
    labels = rows(text, "doc.spans['entities'], by label\n")
    assert [row[0] for row in labels[1:]] == ["ORG", "PER", "地点"]
    lengths = rows(text, "doc.spans['entities'], by length in tokens\n")
    assert lengths[1:] == [
        ["1", "0.00", "0.00", "0.00", "1", "0"],
        ["2", "0.00", "0.00", "0.00", "1", "1"],
        ["10+", "100.00", "100.00", "100.00", "1", "1"],
    ]
    depths = rows(text, "doc.spans['entities'], by depth of nesting\n")
    assert [row[0] for row in depths[1:]] == ["1", "2"]
    assert "1 of 3 gold spans do not fit the predicted tokens." in text
    cost = rows(text, "doc.spans['candidates'], candidates\n")
    assert ["recall", "66.67"] in cost
    assert ["per", "gold", "span", "0.67"] in cost
    assert "doc.ents" not in text


def test_absent_sections_and_own_tokens():
    report = make_report(spans=None, candidates=None, ents=score_spans([]), gold_tokens=False)
    text = report.to_text()
    assert "the pipeline's own tokens" in text
    assert "doc.spans" not in text
    assert "doc.ents, by label\n(none)" in text
    as_json = report.to_dict()
    assert as_json["spans"] is None
    assert as_json["candidates"] is None
    assert as_json["ents"]["strict"]["f"] == 0.0


def test_json_holds_ratios_and_counts():
    report = make_report().to_dict()
    assert json.loads(json.dumps(report)) == report
    assert report["spans"]["strict"] == {
        "p": 0.5,
        "r": 1 / 3,
        "f": 0.4,
        "predicted": 2,
        "correct": 1,
        "gold": 3,
        "found": 1,
    }
    assert report["spans"]["unreachable"] == 1
    assert list(report["spans"]["by_depth"]) == ["1", "2"]
    assert report["candidates"]["recall"] == 2 / 3
    assert report["candidates"]["by_length"]["10+"] == {"recall": 1.0, "found": 1, "gold": 1}
