"""Which spans a flat layer keeps."""

from itertools import combinations, product

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.spans.resolve import ORDERS, count_containers, resolve_overlaps, splits_in_two

SPANS = st.lists(
    st.builds(
        lambda start, length, score: (start, start + length, score),
        st.integers(0, 12),
        st.integers(1, 8),
        # Few values, so that ties are common.
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    ),
    max_size=25,
)


def resolve(items, policy, labels=None):
    spans = numpy.array([item[:2] for item in items], dtype="int64").reshape(-1, 2)
    return resolve_overlaps(spans, [item[2] for item in items], policy, labels).tolist()


def overlap(a, b):
    return max(a[0], b[0]) < min(a[1], b[1])


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        # nested, the inner one surer
        ([(0, 4, 0.7), (0, 2, 0.9)], {"score": [1], "longest": [0], "outer": [0], "inner": [1]}),
        # nested, the outer one surer, a second inner one
        (
            [(0, 5, 0.9), (0, 2, 0.6), (3, 5, 0.8)],
            {"score": [0], "longest": [0], "outer": [0], "inner": [1, 2]},
        ),
        # crossing: neither inside the other
        ([(0, 4, 0.7), (2, 5, 0.9)], {"score": [1], "longest": [0], "outer": [1], "inner": [1]}),
        # three levels
        (
            [(0, 6, 0.6), (0, 4, 0.7), (0, 2, 0.9)],
            {"score": [2], "longest": [0], "outer": [0], "inner": [2]},
        ),
        # equal scores: longer first, then earlier
        ([(2, 4, 0.5), (0, 3, 0.5)], {"score": [1], "longest": [1], "outer": [1], "inner": [1]}),
        ([(2, 4, 0.5), (1, 3, 0.5)], {"score": [1], "longest": [1], "outer": [1], "inner": [1]}),
        # equal lengths: the score decides before the position
        ([(0, 2, 0.5), (1, 3, 0.6)], {"score": [1], "longest": [1], "outer": [1], "inner": [1]}),
        # one place twice: the surer, then the first
        ([(0, 2, 0.5), (0, 2, 0.8)], {"score": [1], "longest": [1], "outer": [1], "inner": [1]}),
        ([(0, 2, 0.5), (0, 2, 0.5)], {"score": [0], "longest": [0], "outer": [0], "inner": [0]}),
        # touching is not overlapping; the result is in the order of the text
        (
            [(3, 5, 0.9), (0, 3, 0.1)],
            {"score": [1, 0], "longest": [1, 0], "outer": [1, 0], "inner": [1, 0]},
        ),
        # what lay inside a span that lost to a crossing one is free again
        (
            [(0, 5, 0.5), (4, 8, 0.9), (0, 2, 0.3)],
            {"score": [2, 1], "longest": [0], "outer": [2, 1], "inner": [2, 1]},
        ),
        # a span without a score loses
        (
            [(0, 4, float("nan")), (3, 5, 0.0)],
            {"score": [1], "longest": [0], "outer": [1], "inner": [1]},
        ),
        ([], {"score": [], "longest": [], "outer": [], "inner": []}),
    ],
)
def test_policies_on_hand_made_cases(items, expected):
    found = {
        "score": resolve(items, "score"),
        "longest": resolve(items, "longest"),
        "outer": resolve(items, "outermost"),
        "inner": resolve(items, "innermost"),
    }
    assert found == expected


def test_golden_overlap_resolution(golden):
    cases = golden("decoupled")["overlap_resolution"]
    assert cases
    for case in cases:
        items = [(start, end, score) for start, end, _, score in case["preds"]]
        assert sorted(resolve(items, "score")) == case["score_greedy_kept"], case["name"]


def test_golden_rule_of_the_published_code(golden):
    """As the code decides, but for what it does to equal spans and to crossing ones."""
    cases = [c for c in golden("decoupled")["overlap_resolution"] if c["reference_matches"]]
    expected = {case["name"]: case["reference_kept"] for case in cases}
    assert expected["duplicate"] == [] and expected["crossing"] == [0, 1]
    expected |= {"duplicate": [0], "crossing": [1]}  # of equal length: the surer
    for case in cases:
        items = [(start, end, score) for start, end, _, score in case["preds"]]
        labels = [label for _, _, label, _ in case["preds"]]
        assert resolve(items, "longest_split", labels) == expected[case["name"]], case["name"]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        # halves of another label, of two labels, with a gap, or that overlap: the longest wins
        ([(0, 4, "A"), (0, 2, "B"), (2, 4, "B")], [0]),
        ([(0, 4, "A"), (0, 2, "A"), (2, 4, "B")], [0]),
        ([(0, 5, "A"), (0, 2, "A"), (3, 5, "A")], [0]),
        ([(0, 4, "A"), (0, 3, "A"), (2, 4, "A")], [0]),
        # thirds are no halves
        ([(0, 3, "A"), (0, 1, "A"), (1, 2, "A"), (2, 3, "A")], [0]),
        # a half that splits itself
        ([(0, 4, "A"), (0, 2, "A"), (2, 4, "A"), (0, 1, "A"), (1, 2, "A")], [3, 4, 2]),
        # what splits inside of a longer one changes nothing
        ([(0, 5, "B"), (0, 4, "A"), (0, 2, "A"), (2, 4, "A")], [0]),
        # the same span twice, of two labels
        ([(0, 4, "A"), (0, 4, "B"), (0, 2, "A"), (2, 4, "A")], [1]),
    ],
)
def test_a_span_that_splits_in_two_of_its_label(spans, expected):
    items = [(start, end, 0.5) for start, end, _ in spans]
    assert resolve(items, "longest_split", [label for *_, label in spans]) == expected


@given(items=SPANS)
def test_splits_in_two_equals_brute_force(items):
    labels = [str(score) for *_, score in items]
    spans = numpy.array([item[:2] for item in items], dtype="int64").reshape(-1, 2)
    expected = [
        any(
            (a, d, one, other) == (start, end, label, label) and b == c
            for (a, b, one), (c, d, other) in product(items, repeat=2)
        )
        for start, end, label in items
    ]
    assert splits_in_two(spans, labels).tolist() == expected


@pytest.mark.parametrize("policy", ORDERS)
@given(items=SPANS)
def test_result_is_disjoint_sorted_and_complete(policy, items):
    kept = resolve(items, policy)
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(range(len(items)))
    assert not any(overlap(items[a], items[b]) for a, b in combinations(kept, 2))
    assert [items[i][0] for i in kept] == sorted(items[i][0] for i in kept)
    for dropped in set(range(len(items))) - set(kept):
        assert any(overlap(items[dropped], items[i]) for i in kept)


@pytest.mark.parametrize("policy", ORDERS)
@given(items=SPANS)
def test_resolving_twice_changes_nothing(policy, items):
    kept = [items[i] for i in resolve(items, policy)]
    assert resolve(kept, policy) == list(range(len(kept)))


@given(items=SPANS)
def test_greedy_choice_equals_the_plain_definition(items):
    keys = {
        "score": lambda item: (-item[2], item[0] - item[1], item[0]),
        "longest": lambda item: (item[0] - item[1], -item[2], item[0]),
    }
    for policy, key in keys.items():
        kept = []
        for index in sorted(range(len(items)), key=lambda i, key=key: key(items[i])):
            if not any(overlap(items[index], items[other]) for other in kept):
                kept.append(index)
        assert resolve(items, policy) == sorted(kept, key=lambda i: items[i][0])


@given(items=SPANS)
def test_count_containers_equals_brute_force(items):
    spans = [item[:2] for item in items]

    def containers(span):
        others = set(spans) - {span}
        return sum(other[0] <= span[0] and span[1] <= other[1] for other in others)

    found = count_containers(numpy.array(spans, dtype="int64").reshape(-1, 2))
    assert found.tolist() == [containers(span) for span in spans]


@given(items=SPANS)
def test_extreme_spans_survive_unless_a_crossing_one_wins(items):
    """Outermost keeps no span inside a kept or a conflict-free one; innermost the reverse."""
    for policy, sign in (("outermost", 1), ("innermost", -1)):
        spans = numpy.array([item[:2] for item in items], dtype="int64").reshape(-1, 2)
        extreme = (count_containers(sign * spans) == 0).nonzero()[0].tolist()
        kept = resolve(items, policy)
        for index in extreme:
            rivals = [i for i in extreme if overlap(items[i], items[index])]
            if rivals == [index]:
                assert index in kept


def test_no_spans_of_any_empty_shape():
    assert resolve_overlaps(numpy.zeros((0, 2), "int64"), [], "score").shape == (0,)
    assert resolve_overlaps(numpy.zeros((0, 2), "int64"), [], "innermost").dtype == "int64"


@pytest.mark.parametrize("policy", ["none", "best", ""])
def test_unknown_policy_is_a_coded_error(policy):
    with pytest.raises(
        ValueError, match=r"\[HE004\].*score, longest, longest_split, outermost, innermost"
    ):
        resolve_overlaps(numpy.zeros((0, 2), "int64"), [], policy)
