"""Scores of labelled spans against hand-made tables, golden numbers and two known packages."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from spacy_hetner.evaluation.metrics import (
    CandidateScores,
    DocumentSpans,
    SpanScores,
    count_tokens,
    score_candidates,
    score_spans,
)


def grid(size):
    """Tokens of one character each, so that offsets are token indices."""
    return numpy.stack([numpy.arange(size), numpy.arange(size) + 1], axis=1)


def document(gold, predicted, size=40):
    as_set = lambda spans: {tuple(span) for span in spans}  # noqa: E731
    return DocumentSpans(as_set(gold), as_set(predicted), grid(size), grid(size))


def counts(prf):
    """(correct, predicted, found, gold)"""
    return (
        prf.precision.confirmed,
        prf.precision.total,
        prf.recall.confirmed,
        prf.recall.total,
    )


# One sentence of nested entities: an organisation [0, 12) with a place [2, 4) whose head [2, 3)
# is a place again, a person [15, 17), a work [20, 26).
GOLD = [(0, 12, "ORG"), (2, 4, "LOC"), (2, 3, "LOC"), (15, 17, "PER"), (20, 26, "WORK")]
PREDICTED = [
    (2, 4, "LOC"),  # right, here the outermost
    (2, 3, "ORG"),  # right place, wrong label
    (0, 11, "ORG"),  # one boundary right; contains both of the above
    (16, 17, "PER"),  # one boundary right
    (21, 25, "WORK"),  # inside the gold span
    (30, 31, "PER"),  # nothing there
]


def test_hand_made_table():
    scores = score_spans([document(GOLD, PREDICTED)])
    assert scores.documents == 1
    assert counts(scores.strict) == (1, 6, 1, 5)
    assert scores.strict.to_dict() == pytest.approx({"p": 1 / 6, "r": 1 / 5, "f": 2 / 11})
    assert counts(scores.unlabelled) == (2, 6, 2, 5)
    # (2, 3, LOC) is no prediction, but shares a start with (2, 4, LOC).
    assert counts(scores.boundary) == (3, 6, 4, 5)
    assert counts(scores.overlap) == (5, 6, 5, 5)


def test_hand_made_table_by_label():
    scores = score_spans([document(GOLD, PREDICTED)]).per_label
    assert list(scores) == ["LOC", "ORG", "PER", "WORK"]
    assert {label: counts(prf) for label, prf in scores.items()} == {
        "LOC": (1, 1, 1, 2),
        "ORG": (0, 2, 0, 1),
        "PER": (0, 2, 0, 1),
        "WORK": (0, 1, 0, 1),
    }


def test_hand_made_table_by_length():
    scores = score_spans([document(GOLD, PREDICTED)]).by_length
    assert list(scores) == ["1", "2", "3-4", "5-9", "10+"]
    assert {name: counts(prf) for name, prf in scores.items()} == {
        "1": (0, 3, 0, 1),
        "2": (1, 1, 1, 2),
        "3-4": (0, 1, 0, 0),
        "5-9": (0, 0, 0, 1),
        "10+": (0, 1, 0, 1),
    }


def test_hand_made_table_by_depth():
    """Precision by the predictions' own nesting, recall by the gold's."""
    scores = score_spans([document(GOLD, PREDICTED)]).by_depth
    assert {name: counts(prf) for name, prf in scores.items()} == {
        "1": (0, 4, 0, 3),  # (0, 11) (16, 17) (21, 25) (30, 31) against ORG PER WORK
        "2": (1, 1, 1, 1),  # (2, 4) in (0, 11); (2, 4) in (0, 12)
        "3": (0, 1, 0, 1),  # (2, 3) in both
    }


def test_two_labels_on_one_place_do_not_nest():
    scores = score_spans([document([(0, 2, "A"), (0, 2, "B")], [(0, 2, "A")])])
    assert {name: counts(prf) for name, prf in scores.by_depth.items()} == {"1": (1, 1, 1, 2)}
    assert counts(scores.unlabelled) == (1, 1, 1, 1)


def test_micro_average_over_documents():
    """Sums of counts, not means of ratios; equal offsets in two documents are two entities."""
    scores = score_spans(
        [document([(0, 1, "A")], [(0, 1, "A")]), document([(0, 1, "A"), (2, 3, "A")], [])]
    )
    assert counts(scores.strict) == (1, 1, 1, 3)
    assert scores.strict.to_dict() == {"p": 1.0, "r": 1 / 3, "f": 0.5}


def test_nothing_at_all_scores_zero():
    for documents in ([], [document([], [])]):
        scores = score_spans(documents)
        assert scores.strict.to_dict() == {"p": 0.0, "r": 0.0, "f": 0.0}
        assert scores.per_label == scores.by_length == scores.by_depth == {}


def test_golden_strict_scores(golden):
    cases = golden("tags_metrics")["prf"]["cases"]
    assert cases
    for case in cases:
        scores = score_spans([document(case["gold"], case["pred"])]).strict
        assert scores.precision.confirmed == scores.recall.confirmed == case["tp"]
        assert scores.precision.total - scores.precision.confirmed == case["fp"]
        assert scores.recall.total - scores.recall.confirmed == case["fn"]
        expected = {"p": case["p"], "r": case["r"], "f": case["f"]}
        assert scores.to_dict() == pytest.approx(expected, abs=1e-12)


def test_length_counts_touched_tokens():
    tokens = numpy.array([[0, 3], [4, 8], [8, 9], [10, 15]])
    spans = numpy.array([[0, 3], [0, 8], [2, 5], [8, 15], [3, 4], [9, 10], [5, 6]])
    assert count_tokens(spans, tokens).tolist() == [1, 2, 2, 2, 0, 0, 1]


def test_a_span_between_tokens_has_its_own_bucket():
    gapped = DocumentSpans(set(), {(3, 4, "A")}, numpy.array([[0, 3], [4, 8]]), grid(8))
    assert list(score_spans([gapped]).by_length) == ["0"]


def test_gold_that_predicted_tokens_cannot_express_is_counted():
    coarse = numpy.array([[0, 4], [4, 6]])
    gold = {(0, 4, "A"), (0, 6, "A"), (0, 2, "A"), (3, 6, "A")}
    scores = score_spans([DocumentSpans(gold, set(), grid(6), coarse)])
    assert scores.unreachable == 2
    assert counts(scores.strict) == (0, 0, 0, 4)


def test_candidates_coverage_and_cost():
    gold = [(0, 12, "ORG"), (2, 4, "LOC"), (2, 4, "GPE"), (5, 6, "PER")]
    candidates = [(2, 4, ""), (5, 6, ""), (5, 7, ""), (6, 7, ""), (8, 9, ""), (0, 1, "")]
    scores = score_candidates([document(gold, candidates, size=12), document([], [], size=8)])
    assert (scores.recall.confirmed, scores.recall.total) == (2, 3), "labels share one candidate"
    assert scores.per_gold == 6 / 3
    assert scores.per_token == 6 / 20
    lengths = {name: (r.confirmed, r.total) for name, r in scores.by_length.items()}
    assert lengths == {"1": (1, 1), "2": (1, 1), "10+": (0, 1)}
    assert CandidateScores().per_gold == CandidateScores().per_token == 0.0


SPANS = st.sets(
    st.builds(
        lambda start, length, label: (start, start + length, label),
        st.integers(0, 15),
        st.integers(1, 6),
        st.sampled_from("AB"),
    ),
    max_size=12,
)


@given(gold=SPANS, predicted=SPANS)
def test_swapping_the_sides_swaps_precision_and_recall(gold, predicted):
    one, other = score_spans([document(gold, predicted)]), score_spans([document(predicted, gold)])
    for name in ("strict", "unlabelled", "boundary", "overlap"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first.precision, first.recall) == (second.recall, second.precision)


@given(gold=SPANS, predicted=SPANS)
def test_lenient_scores_never_fall_below_strict_and_parts_add_up(gold, predicted):
    scores = score_spans([document(gold, predicted)])
    strict = counts(scores.strict)
    assert strict[0] <= scores.boundary.precision.confirmed <= scores.overlap.precision.confirmed
    assert strict[2] <= scores.boundary.recall.confirmed <= scores.overlap.recall.confirmed
    for parts in (scores.per_label, scores.by_length, scores.by_depth):
        columns = zip(*map(counts, parts.values()), strict=True)
        assert tuple(map(sum, columns)) == (strict if parts else ())


@given(gold=SPANS, predicted=SPANS)
def test_overlap_equals_brute_force(gold, predicted):
    def confirmed(spans, others):
        return sum(
            any(a[2] == b[2] and max(a[0], b[0]) < min(a[1], b[1]) for b in others) for a in spans
        )

    expected = (confirmed(predicted, gold), len(predicted), confirmed(gold, predicted), len(gold))
    assert counts(score_spans([document(gold, predicted)]).overlap) == expected


FLAT = st.lists(
    st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), min_size=12, max_size=12
)


def decode(tags):
    """Spans of strict BIO tags: an I- that continues nothing belongs to no span."""
    spans, start, label = [], None, None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and tag != f"I-{label}":
            spans.append((start, i, label))
            start = None
        if tag.startswith("B-"):
            start, label = i, tag[2:]
    return spans


@given(pairs=st.lists(st.tuples(FLAT, FLAT), min_size=1, max_size=6))
def test_strict_scores_equal_seqeval(pairs):
    scores = score_spans([document(decode(gold), decode(pred), 12) for gold, pred in pairs])
    labels = scores.per_label
    if not labels:
        return
    gold, predicted = ([list(tags) for tags in side] for side in zip(*pairs, strict=True))
    options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    micro = precision_recall_fscore_support(gold, predicted, average="micro", **options)
    assert tuple(scores.strict.to_dict().values()) == pytest.approx(micro[:3])
    columns = precision_recall_fscore_support(gold, predicted, average=None, **options)
    for label, *expected, support in zip(labels, *columns, strict=True):
        assert tuple(labels[label].to_dict().values()) == pytest.approx(tuple(expected))
        assert labels[label].recall.total == support


def as_dicts(spans):
    """nervaluate's form: inclusive ends."""
    return [{"label": label, "start": start, "end": end - 1} for start, end, label in spans]


def evaluate_with_nervaluate(documents):
    gold = [as_dicts(sorted(document.gold)) for document in documents]
    predicted = [as_dicts(sorted(document.predicted)) for document in documents]
    return Evaluator(gold, predicted, tags=["PER", "LOC"], loader="dict").evaluate()["overall"]


def assert_equal_to_nervaluate(prf, expected):
    found = (prf.precision.value, prf.recall.value, prf.f)
    assert found == pytest.approx((expected.precision, expected.recall, expected.f1))


@given(pairs=st.lists(st.tuples(FLAT, FLAT), min_size=1, max_size=6))
def test_strict_and_unlabelled_equal_nervaluate_where_it_finds_all_matches(pairs):
    """nervaluate pairs spans greedily, and one that it has paired by overlap cannot match exactly
    any more; documents in which an exact match also overlaps another span are left to it."""
    documents = [document(decode(gold), decode(pred), 12) for gold, pred in pairs]
    documents = [doc for doc in documents if not _contested(doc)]
    if not any(doc.gold or doc.predicted for doc in documents):
        return
    scores, expected = score_spans(documents), evaluate_with_nervaluate(documents)
    assert_equal_to_nervaluate(scores.strict, expected["strict"])
    assert_equal_to_nervaluate(scores.unlabelled, expected["exact"])


def _contested(doc):
    """Whether some span overlaps more than one span of the other side."""
    return any(
        sum(max(a[0], b[0]) < min(a[1], b[1]) for b in others) > 1
        for spans, others in ((doc.gold, doc.predicted), (doc.predicted, doc.gold))
        for a in spans
    )


@given(pairs=st.lists(st.tuples(FLAT, FLAT), min_size=1, max_size=6))
def test_overlap_equals_nervaluates_type_score_on_one_to_one_documents(pairs):
    documents = [document(decode(gold), decode(pred), 12) for gold, pred in pairs]
    documents = [doc for doc in documents if not _contested(doc)]
    if not any(doc.gold or doc.predicted for doc in documents):
        return
    scores, expected = score_spans(documents), evaluate_with_nervaluate(documents)
    assert_equal_to_nervaluate(scores.overlap, expected["ent_type"])


def test_adding_documents_one_by_one_equals_scoring_at_once():
    documents = [document(GOLD, PREDICTED), document(PREDICTED, GOLD)]
    grown = SpanScores()
    for doc in documents:
        grown.add(doc)
    assert grown == score_spans(documents)
