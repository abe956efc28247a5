"""Tags as numbers, and the transitions of a scheme."""

from itertools import pairwise

import numpy
import pytest

from spacy_hetner.labels.codecs import decode_tags
from spacy_hetner.labels.tagset import TAGGER_SCHEMES, TagSet
from spacy_hetner.types import LabelledSpan


@pytest.mark.parametrize("scheme", TAGGER_SCHEMES)
def test_legal_is_what_strict_decoding_finds_no_fault_in(scheme):
    """All sentences of up to three tags over two labels."""
    tag_set = TagSet(["A-1", "B"], scheme)
    start, transitions, end = tag_set.legal()
    numbers = range(len(tag_set))
    for tags in [(i,) for i in numbers] + [
        (i, j, k) for i in numbers for j in numbers for k in numbers
    ]:
        legal = start[tags[0]] and end[tags[-1]]
        legal = legal and all(transitions[a, b] for a, b in pairwise(tags))
        faults = decode_tags([tag_set.tags[t] for t in tags], scheme).faults
        assert legal == (not faults), [tag_set.tags[t] for t in tags]


def test_golden_transitions(golden):
    case = golden("crf")["bmeso"]
    tag_set = TagSet(["X"], "BMESO")
    names = [tag.partition("-")[0] for tag in tag_set.tags]
    start, transitions, end = tag_set.legal()
    assert {n for n, ok in zip(names, start, strict=True) if ok} == set(case["start_allowed"])
    assert {n for n, ok in zip(names, end, strict=True) if ok} == set(case["end_allowed"])
    for pair, allowed in case["transitions_same_type"].items():
        before, after = (names.index(name) for name in pair.split("->"))
        assert transitions[before, after] == allowed, pair


def test_numbers_of_tags():
    tag_set = TagSet(["PER", "GPE.NAM"], "BIO")
    assert tag_set.tags == ["O", "B-PER", "I-PER", "B-GPE.NAM", "I-GPE.NAM"]
    spans = [LabelledSpan(1, 3, "GPE.NAM"), LabelledSpan(3, 4, "PER")]
    numbers = tag_set.encode(spans, 5)
    assert numbers.tolist() == [0, 3, 4, 1, 0] and numbers.dtype == "int64"
    assert tag_set.decode(numbers) == spans


def test_what_would_draw_a_span_out():
    assert TagSet(["X", "Y"], "BIO").continuations().tolist() == [-1, 2, 2, 4, 4]
    assert (TagSet(["X", "Y"], "BMES").continuations() == -1).all()


def test_a_new_label_keeps_the_numbers_of_the_others():
    assert TagSet(["X", "Y"], "BMES").tags[: 1 + 4] == TagSet(["X"], "BMES").tags


def test_a_scheme_whose_tags_depend_on_those_before_is_refused():
    with pytest.raises(ValueError, match=r"HE004.*IOB1"):
        TagSet(["X"], "IOB1")
    with pytest.raises(ValueError, match="HE004"):
        TagSet(["X"], "BILOU")


def test_no_label_is_only_outside():
    tag_set = TagSet([], "BMES")
    assert tag_set.tags == ["O"] and numpy.array(tag_set.legal().transitions).tolist() == [[True]]
