"""Coverage and agreement of distant labels."""

from spacy_hetner.evaluation.agreement import TOTAL, Agreement, compare_labels
from spacy_hetner.types import LabelledSpan


def spans(*triples):
    return [LabelledSpan(*triple) for triple in triples]


def test_exact_bounds_are_covered_and_equal_labels_agree():
    sentences = [
        (spans((0, 2, "PER"), (3, 5, "LOC")), spans((0, 2, "PER"), (3, 4, "LOC"))),
        (spans((0, 2, "PER"), (4, 6, "PER")), spans((0, 2, "LOC"), (4, 6, "LOC"), (4, 6, "PER"))),
    ]
    rates = compare_labels(sentences)
    assert rates == {"LOC": (1, 0, 0), "PER": (3, 3, 2), TOTAL: (4, 3, 2)}
    assert rates["PER"].coverage == 1.0 and rates["PER"].agreement == 2 / 3
    assert rates["LOC"].agreement == 0.0


def test_nothing_to_compare():
    assert compare_labels([]) == {TOTAL: Agreement(0, 0, 0)}
    assert compare_labels([([], spans((0, 1, "PER")))])[TOTAL].coverage == 0.0
