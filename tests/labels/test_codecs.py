"""Tag schemes: hand-made cases, golden cases, seqeval as oracle, and round trips."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Entities

from spacy_hetner.labels.codecs import (
    LABEL_CHANGE,
    NEEDLESS_BEGIN,
    ORPHAN,
    SCHEMES,
    UNCLOSED,
    UnknownTagError,
    decode_tags,
    encode_tags,
    scheme_name,
)
from spacy_hetner.types import LabelledSpan

LABELS = ["PER", "ORG.NAM", "Multi-tissue_structure"]


def tag_lists(scheme):
    prefixes = SCHEMES[scheme].roles
    tags = ["O", *(f"{prefix}-{label}" for prefix in prefixes for label in LABELS)]
    return st.lists(st.sampled_from(tags), max_size=12)


@st.composite
def flat_spans(draw):
    """Spans that do not overlap, some of them touching, and the number of tokens."""
    pieces = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, *LABELS]))))
    spans, n = [], 0
    for length, label in pieces:
        if label is not None:
            spans.append(LabelledSpan(n, n + length, label))
        n += length
    return spans, n


@pytest.mark.parametrize(
    "scheme, tags, spans",
    [
        ("BIO", "B-A I-A B-A O B-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),
        ("IOB1", "I-A I-A B-A O I-B I-A", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B"), (5, 6, "A")]),
        ("BMES", "B-A M-A E-A S-A O B-B E-B", [(0, 3, "A"), (3, 4, "A"), (5, 7, "B")]),
        ("BIOES", "B-A I-A E-A S-A O B-B E-B", [(0, 3, "A"), (3, 4, "A"), (5, 7, "B")]),
        ("BIO", "", []),
        ("BIO", "O O", []),
    ],
)
def test_well_formed_tags_read_and_write_the_same(scheme, tags, spans):
    tags = tags.split()
    for mode in ("conlleval", "strict"):
        assert decode_tags(tags, scheme, mode) == (spans, [])
    assert encode_tags([LabelledSpan(*span) for span in spans], len(tags), scheme) == tags


@pytest.mark.parametrize(
    "scheme, tags, conlleval, strict, causes",
    [
        ("BIO", "I-A I-A O", [(0, 2, "A")], [], {ORPHAN: 1}),
        ("BIO", "B-A I-B O", [(0, 1, "A"), (1, 2, "B")], [(0, 1, "A")], {LABEL_CHANGE: 1}),
        ("BMES", "M-A E-A", [(0, 2, "A")], [], {ORPHAN: 1}),
        ("BMES", "O E-A O", [(1, 2, "A")], [], {ORPHAN: 1}),
        ("BMES", "B-A M-A O S-B", [(0, 2, "A"), (3, 4, "B")], [(3, 4, "B")], {UNCLOSED: 1}),
        ("BMES", "B-A S-A", [(0, 1, "A"), (1, 2, "A")], [(1, 2, "A")], {UNCLOSED: 1}),
        (
            "BMES",
            "B-A E-B",
            [(0, 1, "A"), (1, 2, "B")],
            [],
            {UNCLOSED: 1, LABEL_CHANGE: 1},
        ),
        ("BIOES", "B-A E-A I-A", [(0, 2, "A"), (2, 3, "A")], [(0, 2, "A")], {ORPHAN: 1}),
        ("IOB1", "O B-A I-A", [(1, 3, "A")], [], {NEEDLESS_BEGIN: 1}),
        ("IOB1", "I-B B-A", [(0, 1, "B"), (1, 2, "A")], [(0, 1, "B")], {NEEDLESS_BEGIN: 1}),
    ],
)
def test_inconsistent_tags_are_kept_or_dropped_and_counted(scheme, tags, conlleval, strict, causes):
    for mode, spans in (("conlleval", conlleval), ("strict", strict)):
        decoded = decode_tags(tags.split(), scheme, mode)
        assert decoded.spans == spans
        assert Counter(fault.cause for fault in decoded.faults) == causes


def test_fault_names_the_first_token_of_its_span():
    faults = decode_tags(["O", "I-A", "I-A", "B-A", "I-B"], "BIO").faults
    assert faults == [(1, ORPHAN), (4, LABEL_CHANGE)]


def test_label_is_everything_after_the_first_hyphen():
    tags = ["B-Multi-tissue_structure", "I-Multi-tissue_structure", "B--x"]
    assert decode_tags(tags, "BIO").spans == [(0, 2, "Multi-tissue_structure"), (2, 3, "-x")]


@pytest.mark.parametrize("tag", ["E-A", "B", "B-", "X-A", "", "o", "UNK", "A"])
def test_tag_of_another_scheme_is_refused_by_position(tag):
    with pytest.raises(UnknownTagError, match=r"^\[HE060\] token 1: ") as caught:
        decode_tags(["O", tag], "BIO")
    assert caught.value.position == 1
    assert str(caught.value.at("train.txt:7")).startswith("[HE060] train.txt:7: ")


def test_scheme_and_mode_must_exist():
    assert {scheme_name(name) for name in ("iob2", "BIEOS", "BMESO", "IOB")} == set(SCHEMES)
    with pytest.raises(ValueError, match=r"HE004.*'BILUX'"):
        decode_tags([], "BILUX")
    with pytest.raises(ValueError, match=r"HE004.*'lenient'"):
        decode_tags([], "BIO", "lenient")


@pytest.mark.parametrize("span", [(1, 1), (-1, 1), (2, 4), (2, 1)])
def test_span_to_encode_must_lie_in_the_sentence(span):
    with pytest.raises(ValueError, match="HE061"):
        encode_tags([LabelledSpan(*span, "A")], 3, "BIO")


def test_overlapping_spans_have_no_tags():
    with pytest.raises(ValueError, match="HE062"):
        encode_tags([LabelledSpan(1, 3, "A"), LabelledSpan(0, 2, "B")], 3, "BIO")


def test_golden_decoding(golden):
    for case in golden("tags_metrics")["decode"]:
        for mode in ("conlleval", "strict"):
            expected = case.get(f"entities_{mode}", case.get("entities"))
            spans = decode_tags(case["tags"], case["scheme"], mode).spans
            assert [list(span) for span in spans] == expected, (case, mode)


@given(spans_and_n=flat_spans(), scheme=st.sampled_from(sorted(SCHEMES)))
def test_what_is_encoded_is_decoded(spans_and_n, scheme):
    spans, n = spans_and_n
    for mode in ("conlleval", "strict"):
        assert decode_tags(encode_tags(spans, n, scheme), scheme, mode) == (spans, [])


@given(data=st.data(), scheme=st.sampled_from(sorted(SCHEMES)))
def test_each_fault_is_one_span_that_strict_drops(data, scheme):
    tags = data.draw(tag_lists(scheme))
    kept, strict = decode_tags(tags, scheme), decode_tags(tags, scheme, "strict")
    assert kept.faults == strict.faults
    faulty = {fault.position for fault in kept.faults}
    assert [span for span in kept.spans if span.start not in faulty] == strict.spans
    assert len(kept.spans) - len(strict.spans) == len(kept.faults)


@given(data=st.data(), scheme=st.sampled_from(sorted(SCHEMES)))
def test_conlleval_covers_every_tag_once(data, scheme):
    tags = data.draw(tag_lists(scheme))
    covered = [i for span in decode_tags(tags, scheme).spans for i in range(span.start, span.end)]
    assert covered == [i for i, tag in enumerate(tags) if tag != "O"]


@given(data=st.data(), scheme=st.sampled_from(sorted(SCHEMES)))
def test_conlleval_agrees_with_seqeval(data, scheme):
    tags = data.draw(tag_lists(scheme))
    # seqeval has no M; it means what I means in BIOES.
    theirs = get_entities([f"I{tag[1:]}" if tag[0] == "M" else tag for tag in tags])
    ours = [(label, start, end - 1) for start, end, label in decode_tags(tags, scheme).spans]
    assert ours == theirs


@given(data=st.data(), schemes=st.sampled_from([("BIO", IOB2), ("BIOES", IOBES)]))
def test_strict_agrees_with_seqeval(data, schemes):
    scheme, theirs = schemes
    tags = data.draw(tag_lists(scheme))
    expected = [
        (entity.start, entity.end, entity.tag) for entity in Entities([tags], theirs).entities[0]
    ]
    assert decode_tags(tags, scheme, "strict").spans == expected


@given(spans_and_n=flat_spans())
def test_iob1_agrees_with_seqeval_on_well_formed_tags(spans_and_n):
    spans, n = spans_and_n
    theirs = Entities([encode_tags(spans, n, "IOB1")], IOB1).entities[0]
    assert [(entity.start, entity.end, entity.tag) for entity in theirs] == spans
