"""Gold spans over the predicted doc's tokens."""

import pytest
import spacy
from spacy.training import Example
from util import make_doc, make_example

from spacy_hetner.labels.gold import aligned_gold, initialization_gold

GLUED = {
    "words": ["New", "York", "-", "based", "firms"],
    "spaces": [True, False, False, True, False],
}


@pytest.fixture
def nlp():
    return spacy.blank("en")


def glued_example(nlp, predicted_words, predicted_spaces, spans):
    """A reference "New York-based firms" against other tokens."""
    predicted = make_doc(nlp, predicted_words, spaces=predicted_spaces)
    return Example(predicted, make_doc(nlp, GLUED["words"], spans, spaces=GLUED["spaces"]))


def test_same_tokens(nlp):
    """Document order, outer spans first; nested and crossing spans stay."""
    spans = [(3, 5, "B"), (0, 2, "A"), (0, 5, "C"), (1, 4, "A")]
    gold, lost = aligned_gold(make_example(nlp, GLUED["words"], spans), "entities")
    assert gold.spans.dtype == "int64"
    assert gold.spans.tolist() == [[0, 5], [0, 2], [1, 4], [3, 5]]
    assert gold.labels == ["C", "A", "A", "B"]
    assert lost == 0


@pytest.mark.parametrize("spans", [[], None])
def test_no_gold(nlp, spans):
    reference = make_doc(nlp, ["a"], spans)
    gold, lost = aligned_gold(Example(make_doc(nlp, ["a"]), reference), "entities")
    assert (gold.spans.shape, gold.labels, lost) == ((0, 2), [], 0)


@pytest.mark.parametrize(
    ("words", "spaces", "expected", "lost"),
    [
        # finer tokens express all
        (
            ["N", "ew", "York", "-", "based", "fi", "rms"],
            [False, True, False, False, True, False, False],
            [[0, 7], [0, 3], [5, 7]],
            0,
        ),
        # a token that reaches over a boundary: the span is lost, not widened
        (["New", "York-based", "firms"], [True, True, False], [[0, 3], [2, 3]], 1),
        (["New", "York", "-", "based firms"], [True, False, False, False], [[0, 4], [0, 2]], 1),
        # another text without any whitespace
        (["New", "York", "-", "based", "firms"], [False] * 5, [[0, 5], [0, 2], [4, 5]], 0),
        (["New", "York-based", "firms"], [False] * 3, [[0, 3], [2, 3]], 1),
    ],
)
def test_other_tokens(nlp, words, spaces, expected, lost):
    spans = [(0, 5, "ALL"), (0, 2, "GPE"), (4, 5, "ORG")]
    found = aligned_gold(glued_example(nlp, words, spaces, spans), "entities")
    assert found.gold.spans.tolist() == expected
    assert len(found.gold.labels) == len(expected)
    assert found.lost == lost


def test_initialization_goes_through_all_examples(nlp):
    """A few docs for the model's shapes, but every label."""
    examples = [make_example(nlp, ["a"], [(0, 1, label)]) for label in "CABA"]
    sample = initialization_gold(lambda: examples, "entities", n_docs=2)
    assert sample.docs == [eg.predicted for eg in examples[:2]]
    assert sample.labels == ["A", "B", "C"]
    assert (sample.total, sample.beyond) == (4, 0)


def test_initialization_counts_what_is_beyond_a_component(nlp):
    """By the component's own count, of what could be aligned."""
    words, spaces = ["New", "York-based", "firms"], [True, True, False]
    example = glued_example(nlp, words, spaces, [(0, 2, "GPE"), (0, 1, "X"), (4, 5, "ORG")])
    seen = []

    def beyond(doc, gold):
        seen.append((doc, gold.labels))
        return gold.labels.count("X")

    with pytest.warns(UserWarning, match="HW001"):
        sample = initialization_gold(lambda: [example, example], "entities", beyond=beyond)
    assert (sample.total, sample.beyond) == (4, 2)
    assert seen == [(example.predicted, ["X", "ORG"])] * 2


def test_lost_spans_are_told_once(nlp):
    words, spaces = ["New", "York-based", "firms"], [True, True, False]
    example = glued_example(nlp, words, spaces, [(0, 2, "GPE"), (0, 1, "X"), (4, 5, "ORG")])
    with pytest.warns(UserWarning, match=r"\[HW001\] 2 of 6 gold spans in 'entities'") as told:
        sample = initialization_gold(lambda: [example, example], "entities")
    assert len(told) == 1
    assert sample.labels == ["ORG", "X"], "a label whose spans are all lost has nothing to learn"
