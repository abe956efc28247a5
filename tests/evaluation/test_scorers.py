"""The registered scorers on examples."""

import json
import pickle

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_hetner.evaluation.scorers import (
    make_candidates_scorer,
    make_entity_spans_scorer,
    pair_spans,
)

VOCAB = Vocab()
WORDS = ["The", "Bank", "of", "China", "in", "London", "hired", "Ann", "Lee", "."]

SPACY_SETTINGS = {
    "getter": lambda doc, key: doc.spans.get("entities", []),
    "has_annotation": lambda doc: "entities" in doc.spans,
    "allow_overlap": True,
}


def make_doc(words=WORDS, spaces=None, **groups):
    doc = Doc(VOCAB, words=words, spaces=spaces)
    for key, spans in groups.items():
        doc.spans[key] = [Span(doc, *span) for span in spans]
    return doc


def example(gold, predicted, key="entities"):
    return Example(make_doc(**{key: predicted}), make_doc(**{key: gold}))


GOLD = [(0, 4, "ORG"), (3, 4, "LOC"), (5, 6, "LOC"), (7, 9, "PER")]


def test_scores_by_hand():
    predicted = [(0, 4, "ORG"), (3, 4, "ORG"), (7, 8, "PER")]
    scores = make_entity_spans_scorer()([example(GOLD, predicted)])
    p, r = 1 / 3, 1 / 4
    assert scores["spans_entities_p"] == pytest.approx(p)
    assert scores["spans_entities_r"] == pytest.approx(r)
    assert scores["spans_entities_f"] == pytest.approx(2 * p * r / (p + r))
    assert scores["spans_entities_unlabelled_f"] == pytest.approx(2 * (2 / 3) * (1 / 2) / (7 / 6))
    assert scores["spans_entities_per_type"] == {
        "LOC": {"p": 0.0, "r": 0.0, "f": 0.0},
        "ORG": {"p": 0.5, "r": 1.0, "f": pytest.approx(2 / 3)},
        "PER": {"p": 0.0, "r": 0.0, "f": 0.0},
    }
    assert scores["spans_entities_by_length"] == {
        "1": {"p": 0.0, "r": 0.0, "f": 0.0},
        "2": {"p": 0.0, "r": 0.0, "f": 0.0},
        "3-4": {"p": 1.0, "r": 1.0, "f": 1.0},
    }
    assert scores["spans_entities_by_depth"] == {
        "1": {"p": 0.5, "r": pytest.approx(1 / 3), "f": pytest.approx(0.4)},
        "2": {"p": 0.0, "r": 0.0, "f": 0.0},
    }
    assert json.loads(json.dumps(scores)) == scores


def test_candidates_by_hand():
    predicted = make_doc(candidates=[(0, 4, ""), (3, 4, ""), (0, 1, ""), (0, 1, ""), (1, 2, "")])
    scores = make_candidates_scorer()([Example(predicted, make_doc(entities=GOLD))])
    assert scores == {
        "candidates_recall": 0.5,
        "candidates_per_gold": 1.0,
        "candidates_per_token": 0.4,
    }
    renamed = make_candidates_scorer(spans_key="found", gold_key="gold")
    examples = [Example(make_doc(found=[(0, 4, "")]), make_doc(gold=GOLD))]
    assert renamed(examples)["found_recall"] == 0.25


def test_registered():
    for name in ("entity_spans_scorer", "candidates_scorer"):
        assert callable(spacy.registry.scorers.get(f"spacy_hetner.{name}.v1")())


def test_nothing_to_score_is_none():
    entities, candidates = make_entity_spans_scorer(), make_candidates_scorer()
    without_group = [Example(make_doc(entities=GOLD), make_doc())]
    for examples in ([], without_group, [example([], [])]):
        for scores in (entities(examples), candidates(examples)):
            assert scores
            assert all(value is None for value in scores.values())


def test_a_prediction_without_the_group_misses_everything():
    examples = [Example(make_doc(), make_doc(entities=GOLD))]
    assert make_entity_spans_scorer()(examples)["spans_entities_r"] == 0.0
    assert make_candidates_scorer()(examples)["candidates_recall"] == 0.0


def test_settings_of_the_component_do_not_change_the_group():
    """A component hands its cfg to its scorer; its spans_key may be the candidates'."""
    examples = [example(GOLD, GOLD)]
    scores = make_entity_spans_scorer()(examples, spans_key="candidates", labels=["X"])
    assert scores["spans_entities_f"] == 1.0
    assert make_candidates_scorer()(examples, spans_key="x", gold_key="y")["candidates_recall"] == 0


def test_scorers_can_be_sent_to_other_processes():
    examples = [example(GOLD, GOLD)]
    for scorer in (make_entity_spans_scorer(), make_candidates_scorer()):
        assert pickle.loads(pickle.dumps(scorer))(examples) == scorer(examples)


@pytest.mark.parametrize(
    ("words", "spaces", "predicted", "tp", "fp"),
    [
        # finer tokens that meet again at the gold boundaries
        (["Bank", "of", "Chi", "na"], [True, True, False, False], [(0, 4)], 1, 0),
        # too short: the last piece is missing
        (["Bank", "of", "Chi", "na"], [True, True, False, False], [(0, 3)], 0, 1),
        # a token that runs over the gold boundary
        (["Bank", "of China", "."], [True, False, False], [(0, 2)], 1, 0),
        (["Bank", "of", "China."], [True, True, False], [(0, 3)], 0, 1),
    ],
)
def test_tokenisation_mismatch_counts_against_the_prediction(words, spaces, predicted, tp, fp):
    text = make_doc(words, spaces).text
    reference = make_doc(["Bank", "of", "China"], [True, True, False], entities=[(0, 3, "ORG")])
    if text.endswith("."):
        reference = make_doc(
            ["Bank", "of", "China", "."], [True, True, False, False], entities=[(0, 3, "ORG")]
        )
    doc = make_doc(words, spaces, entities=[(start, end, "ORG") for start, end in predicted])
    scores = make_entity_spans_scorer()([Example(doc, reference)])
    assert scores["spans_entities_p"] == tp / (tp + fp)
    assert scores["spans_entities_r"] == tp


def test_a_span_that_spacys_scorer_leaves_out_is_wrong_here():
    reference = make_doc(["Bank", "of", "China"], [True, True, False], entities=[(0, 3, "ORG")])
    words, spaces = ["Bank", "of", "Chi", "na"], [True, True, False, False]
    examples = [
        Example(make_doc(words, spaces, entities=[(0, 4, "ORG"), (0, 3, "ORG")]), reference)
    ]
    theirs = Scorer.score_spans(examples, "spans_entities", **SPACY_SETTINGS)
    assert theirs["spans_entities_p"] == 1.0
    assert make_entity_spans_scorer()(examples)["spans_entities_p"] == 0.5


def test_length_and_candidates_are_counted_in_tokens_of_the_reference():
    reference = make_doc(["ab", "cd"], [False, False], entities=[(0, 2, "A")])
    words = ["a", "b", "c", "d"]
    doc = make_doc(words, [False] * 4, entities=[(0, 4, "A")], candidates=[(0, 4, "")])
    scores = make_entity_spans_scorer()([Example(doc, reference)])
    assert scores["spans_entities_by_length"] == {"2": {"p": 1.0, "r": 1.0, "f": 1.0}}
    assert make_candidates_scorer()([Example(doc, reference)])["candidates_per_token"] == 0.5


def test_texts_that_differ_in_whitespace_still_compare():
    reference = make_doc(["我", "在", "北京"], [True, True, True], entities=[(2, 3, "LOC")])
    doc = make_doc(["我", "在", "北", "京"], [False] * 4, entities=[(2, 4, "LOC"), (1, 3, "LOC")])
    scores = make_entity_spans_scorer()([Example(doc, reference)])
    assert scores["spans_entities_p"] == 0.5
    assert scores["spans_entities_r"] == 1.0
    assert scores["spans_entities_by_length"]["1"]["p"] == 1.0


def test_whitespace_tokens_do_not_shift_offsets():
    words, spaces = ["我", "\u3000", "北京", "😀"], [False] * 4
    reference = make_doc(words, spaces, entities=[(2, 3, "LOC"), (3, 4, "X")])
    doc = make_doc(["我", "北京", "😀"], [False] * 3, entities=[(1, 2, "LOC"), (2, 3, "X")])
    assert make_entity_spans_scorer()([Example(doc, reference)])["spans_entities_f"] == 1.0


def test_different_texts_are_a_coded_error():
    with pytest.raises(ValueError, match=r"\[HE091\].*from character 2 on: 'cd' against 'xd'"):
        pair_spans(make_doc(["ab", "cd"]), make_doc(["ab", "xd"]), [], [])
    with pytest.raises(ValueError, match=r"\[HE091\].*from character 2 on: 'cd' against ''"):
        pair_spans(make_doc(["ab", "cd"]), make_doc(["ab"]), [], [])


def test_empty_docs():
    empty = make_doc([], entities=[])
    scores = make_entity_spans_scorer()([Example(empty, empty), example(GOLD, GOLD)])
    assert scores["spans_entities_f"] == 1.0


SPANS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 5), st.sampled_from(["A", "B"])).map(
        lambda span: (span[0], min(10, span[0] + span[1]), span[2])
    ),
    max_size=8,
)


@given(pairs=st.lists(st.tuples(SPANS, SPANS), max_size=4))
def test_equals_spacys_scorer_where_the_tokens_agree(pairs):
    examples = [example(gold, predicted) for gold, predicted in pairs]
    ours = make_entity_spans_scorer()(examples)
    theirs = Scorer.score_spans(examples, "spans_entities", **SPACY_SETTINGS)
    unlabelled = Scorer.score_spans(examples, "spans_entities", labeled=False, **SPACY_SETTINGS)
    for name in ("spans_entities_p", "spans_entities_r", "spans_entities_f"):
        assert ours[name] == pytest.approx(theirs[name])
    assert ours["spans_entities_unlabelled_f"] == pytest.approx(unlabelled["spans_entities_f"])
    types = theirs["spans_entities_per_type"]
    assert (ours["spans_entities_per_type"] is None) == (types is None)
    for label, expected in (types or {}).items():
        assert ours["spans_entities_per_type"][label] == pytest.approx(expected)
