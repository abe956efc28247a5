"""Cutting long sentences."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.labels.codecs import decode_tags
from spacy_hetner.sequences.split import PUNCTUATION, punctuation_marks, split_long


def test_golden(golden):
    for case in golden("split_merge")["cases"]:
        pieces = split_long(case["n"], case["max_len"], case["cut_after"])
        assert pieces.tolist() == case["pieces"]


def test_an_entity_across_a_cut_is_whole_again(golden):
    case = golden("split_merge")["merge_example"]
    first, second = pieces = [case["tags_piece_1"], case["tags_piece_2"]]
    merged = decode_tags(first + second, "BMES", "strict").spans
    assert [list(span) for span in merged] == case["decoded_after_merge"]
    alone = [list(s) for piece in pieces for s in decode_tags(piece, "BMES", "strict").spans]
    assert alone == case["decoded_per_piece_strict"]


@given(st.integers(0, 60), st.integers(1, 12), st.sets(st.integers(0, 59)))
def test_pieces_are_the_sentence_and_none_is_too_long(n, limit, marks):
    marks = sorted(mark for mark in marks if mark < n)
    pieces = split_long(n, limit, marks)
    assert pieces.dtype == "int64" and pieces.shape[1] == 2
    assert numpy.concatenate([numpy.arange(*piece) for piece in pieces] or [[]]).tolist() == list(
        range(n)
    )
    lengths = pieces[:, 1] - pieces[:, 0]
    assert not len(pieces) or (lengths.min() >= 1 and lengths.max() <= limit)
    for start, end in pieces[:-1]:
        inside = [mark for mark in marks if start <= mark < start + limit]
        assert end == (inside[-1] + 1 if inside else start + limit)


@pytest.mark.parametrize(
    "words, expected", [("我来，他走。", [2, 5]), (["a,", ",", "b"], [1]), ([], [])]
)
def test_marks_are_words_of_their_own(words, expected):
    assert punctuation_marks(list(words), PUNCTUATION) == expected
