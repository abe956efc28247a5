"""Several proposers on the same annotated docs."""

import pytest
from spacy.training import Example
from util import make_doc

from spacy_hetner.candidates.compare import ALL, compare_proposers
from spacy_hetner.candidates.structure import (
    NearMissCandidates,
    SpanGroupCandidates,
    make_ngram_candidates,
)

WORDS = ["a", "b", "c", "d"]


@pytest.fixture
def examples(nlp):
    predicted = make_doc(nlp, WORDS, [(0, 2, "X")], key="other", sentence_starts=[0, 2])
    reference = make_doc(nlp, WORDS, [(0, 2, "A"), (3, 4, "B"), (2, 4, "B")])
    return [Example(predicted, reference), Example(make_doc(nlp, []), make_doc(nlp, [], []))]


def test_recall_and_cost_of_each_and_all(examples):
    proposers = {"single": make_ngram_candidates([1]), "other": SpanGroupCandidates("other")}
    report = compare_proposers(proposers, examples, batch_size=1)
    rows = {row.name: (row.recall, row.per_gold, row.per_token) for row in report.rows}
    assert rows["single"] == (pytest.approx(1 / 3), pytest.approx(4 / 3), 1)
    assert rows["other"] == (pytest.approx(1 / 3), pytest.approx(1 / 3), 0.25)
    assert rows[ALL] == (pytest.approx(2 / 3), pytest.approx(5 / 3), 1.25)
    text = report.to_text()
    assert "per gold" in text and "1.667" in text and ALL in text
    assert report.to_dict()["rows"][0]["name"] == "single"


def test_docs_are_left_as_they_were(examples):
    compare_proposers({"single": make_ngram_candidates([1])}, examples)
    assert list(examples[0].predicted.spans) == ["other"]


def test_one_proposer_has_no_row_for_all(examples):
    rows = compare_proposers({"near": NearMissCandidates("other")}, examples).rows
    assert [row.name for row in rows] == ["near"]


def test_what_was_left_out(examples):
    """Each report tells its own losses, the proposer warns of the first only."""
    propose = SpanGroupCandidates("missing")
    with pytest.warns(UserWarning, match=r"\[HW170\]"):
        first = compare_proposers({"missing": propose}, examples)
    for report in (first, compare_proposers({"missing": propose}, examples)):
        assert report.rows[0].dropped == {"docs without the span group 'missing'": 1}
        assert "left out by missing: 1 docs without the span group" in report.to_text()


def test_no_gold_span(nlp):
    examples = [Example(make_doc(nlp, WORDS), make_doc(nlp, WORDS, []))]
    report = compare_proposers({"single": make_ngram_candidates([1])}, examples)
    assert report.rows[0].recall is None
    assert "-" in report.to_text()


def test_other_gold_group(nlp):
    reference = make_doc(nlp, WORDS, [(0, 1, "A")], key="gold")
    examples = [Example(make_doc(nlp, WORDS), reference)]
    report = compare_proposers({"single": make_ngram_candidates([1])}, examples, gold_key="gold")
    assert report.rows[0].recall == 1
