"""Records: text, order, nesting, and the Doc made of one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.vocab import Vocab

from spacy_hetner.corpora.records import (
    Ledger,
    Record,
    count_nested,
    doc_to_record,
    in_document_order,
    outermost_spans,
    record_to_doc,
    runs,
)
from spacy_hetner.types import LabelledSpan


def spans_of(*triples):
    return in_document_order(LabelledSpan(*triple) for triple in triples)


@st.composite
def random_spans(draw):
    bounds = st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from("AB"))
    return [LabelledSpan(start, start + n, label) for start, n, label in draw(st.lists(bounds))]


def contains(outer, inner):
    bounds = (outer[:2], inner[:2])
    return bounds[0] != bounds[1] and outer.start <= inner.start and inner.end <= outer.end


def test_text_follows_the_spaces():
    assert Record(["a", "b"], []).text == "a b "
    assert Record(["科", "技"], [], spaces=[False, False]).text == "科技"
    assert Record(["a", ".", "B"], [], spaces=[False, True, False]).text == "a. B"


def test_document_order_puts_outer_before_inner_and_drops_repetitions():
    spans = spans_of((2, 3, "A"), (0, 1, "B"), (0, 4, "A"), (0, 1, "A"), (2, 3, "A"))
    assert spans == [(0, 4, "A"), (0, 1, "A"), (0, 1, "B"), (2, 3, "A")]


@given(random_spans())
def test_nested_count_equals_brute_force(spans):
    unique = set(spans)
    expected = sum(any(contains(outer, span) for outer in unique) for span in unique)
    assert count_nested(spans) == expected


@given(random_spans())
def test_outermost_spans_neither_overlap_nor_lie_in_another(spans):
    outer = outermost_spans(spans)
    for before, after in pairwise(outer):
        assert before.end <= after.start
    assert not any(contains(other, span) for span in outer for other in spans)
    if spans:
        assert max(span.end - span.start for span in spans) in {s.end - s.start for s in outer}


def test_of_crossing_spans_the_longest_is_outermost():
    assert outermost_spans(spans_of((0, 3, "A"), (2, 6, "B"), (5, 7, "C"))) == [(2, 6, "B")]


def test_doc_has_all_spans_in_the_group_and_the_outermost_in_ents():
    spans = spans_of((0, 3, "A"), (1, 2, "B"), (1, 2, "A"), (3, 4, "B"))
    record = Record(list("abcde"), spans, [False] * 5, "s1", "d1", {"source": "x"})
    doc = record_to_doc(record, Vocab(), "gold")
    assert [(s.start, s.end, s.label_) for s in doc.spans["gold"]] == spans
    assert [(e.start, e.end, e.label_) for e in doc.ents] == [(0, 3, "A"), (3, 4, "B")]
    assert doc.text == record.text == "abcde"
    assert doc_to_record(doc, "gold") == record


def test_doc_without_any_group_gives_its_ents():
    record = Record(list("abc"), spans_of((0, 2, "A")), [False] * 3)
    doc = record_to_doc(record, Vocab())
    doc.spans.clear()
    assert doc_to_record(doc) == record


def test_record_without_entities_has_an_empty_group_and_annotated_ents():
    doc = record_to_doc(Record(["a"], []), Vocab())
    assert len(doc.spans["entities"]) == 0 and doc.has_annotation("ENT_IOB")


def test_unknown_tokens_have_no_entity_annotation():
    record = Record(list("abcd"), spans_of((1, 2, "A")), meta={"unknown": [[2, 4]]})
    doc = record_to_doc(record, Vocab())
    assert [token.ent_iob_ for token in doc] == ["O", "B", "", ""]
    assert doc_to_record(doc).meta == record.meta


@given(st.lists(st.booleans(), max_size=12))
def test_runs_are_maximal_and_hold_all_that_is_flagged(flags):
    found = runs(flags)
    assert [any(start <= i < end for start, end in found) for i in range(len(flags))] == flags
    assert all(end < start for (_, end), (start, _) in pairwise(found))


def test_ledger_counts_by_cause_or_refuses_with_the_place():
    ledger = Ledger()
    for _ in range(2):
        ledger.add_dropped("why", "a.txt:3", "X at 4")
    ledger.add_inconsistent("how", "a.txt:4", "I-X")
    assert (ledger.dropped, ledger.inconsistent) == ({"why": 2}, {"how": 1})
    with pytest.raises(ValueError, match=r"HE074.*a\.txt:3: why \(X at 4\)"):
        Ledger(strict=True).add_dropped("why", "a.txt:3", "X at 4")
