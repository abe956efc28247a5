"""Nested entities in columns: layers, lists of tags, parallel files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.readers.layered import _layers_by_label
from spacy_hetner.labels.codecs import ORPHAN, decode_tags
from spacy_hetner.types import LabelledSpan

NESTED = [(0, 3, "DNA"), (0, 1, "protein"), (2, 3, "protein")]


def test_layers_read_the_same_inner_first_and_outer_first(read):
    inner_first = "a\tB-protein\tB-DNA\nb\tO\tI-DNA\nc\tB-protein\tI-DNA\n"
    outer_first = "a\tB-DNA\tB-protein\nb\tI-DNA\tO\nc\tI-DNA\tB-protein\n"
    assert read("layered", inner_first).spans == read("layered", outer_first).spans == [NESTED]


def test_empty_columns_at_the_end_are_no_layers(read):
    assert read("layered", "a\tB-X\tO\t\nb\tI-X\tB-X\t\n").spans == [[(0, 2, "X"), (1, 2, "X")]]


def test_files_may_differ_in_their_number_of_columns(read):
    six = "a\tB-X\tO\tO\tO\t\n\nb\tO\tB-X\tO\tO\t\n"
    seven = "c\tO\tO\tO\tO\tB-X\t\n"
    assert read("layered", six, seven).spans == [[(0, 1, "X")], [(0, 1, "X")], [(0, 1, "X")]]


def test_ragged_columns_inside_a_layered_file_are_refused(read):
    with pytest.raises(ValueError, match=r"HE066.*f0\.txt:2: 2 columns where 3"):
        read("layered", "a\tB-X\tO\nb\tI-X\n")


def test_a_span_in_two_layers_counts_once(read):
    assert read("layered", "a\tB-X\tB-X\n").spans == [[(0, 1, "X")]]


def test_orphans_are_counted_in_every_layer(read):
    reading = read("layered", "a\tI-X\tO\nb\tO\tI-Y\n")
    assert reading.ledger.inconsistent == {ORPHAN: 2}


def test_multilabel_rows_are_ragged_and_their_order_says_nothing(read):
    one = "a B-DNA B-protein\nb I-DNA\nc I-DNA B-protein\n\nd O\n"
    two = "a B-protein B-DNA\nb I-DNA\nc B-protein I-DNA\n\nd O\n"
    assert read("multilabel", one).spans == read("multilabel", two).spans == [NESTED, []]


def test_multilabel_spans_of_one_label_nest(read):
    text = "a B-X\nb B-X I-X\nc I-X I-X\nd I-X\ne B-X\n"
    assert read("multilabel", text).spans == [[(0, 4, "X"), (1, 3, "X"), (4, 5, "X")]]


def test_multilabel_row_without_a_tag_is_refused(read):
    with pytest.raises(ValueError, match=r"HE066.*f0\.txt:2: 1 columns where two or more"):
        read("multilabel", "a B-X\nb\n")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6), st.sampled_from("XY")), max_size=5))
def test_multilabel_recovers_spans_that_nest(bounds):
    spans = {LabelledSpan(start, start + length, label) for start, length, label in bounds}
    # Two spans of one label that cross leave the tags of two that nest.
    spans = {
        span
        for span in spans
        if not any(other.label == span.label and crosses(span, other) for other in spans)
    }
    tag_sets = [
        [
            f"{'B' if span.start == i else 'I'}-{span.label}"
            for span in spans
            if i in range(*span[:2])
        ]
        or ["O"]
        for i in range(12)
    ]
    layers = _layers_by_label(tag_sets)
    assert {span for tags in layers for span in decode_tags(tags, "BIO").spans} == spans


def crosses(one, other):
    return one.start < other.start < one.end < other.end or (
        other.start < one.start < other.end < one.end
    )


def test_parallel_files_merge_by_sentence(read):
    reading = read(
        "parallel", "a B-DNA\nb I-DNA\nc I-DNA\n\nd O\n", "a B-protein\nb O\nc B-protein\n\nd O\n"
    )
    assert (reading.tokens, reading.spans) == ([["a", "b", "c"], ["d"]], [NESTED, []])


@pytest.mark.parametrize("other", ["a O\nx O\n", "a O\n", "a O\nb O\nc O\n"])
def test_parallel_files_must_hold_the_same_tokens(read, other):
    with pytest.raises(ValueError, match=r"HE070.*f1\.txt:\d: token .*f0\.txt:\d"):
        read("parallel", "a O\nb O\n", other)


@pytest.mark.parametrize("files", [("a O\n\nb O\n", "a O\n"), ("a O\n", "a O\n\nb O\n")])
def test_parallel_files_must_hold_the_same_sentences(read, files):
    with pytest.raises(ValueError, match=r"HE071.*ends after 1 sentences"):
        read("parallel", *files)


def test_parallel_faults_name_their_file(read):
    with pytest.raises(ValueError, match=r"HE074.*f1\.txt:2: inside tag"):
        read("parallel", "a O\nb O\n", "a O\nb I-X\n", strict=True)
