"""The component that writes doc.ents."""

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_hetner.resolve.component import POLICIES, Resolver

CONFIG = """
[nlp]
lang = "en"
pipeline = ["resolver"]

[components]

[components.resolver]
factory = "hetner_resolver"
spans_key = "found"
policy = "innermost"
min_score = 0.25
overwrite = false
"""


def make_doc(spans, scores=None, key="entities", size=10):
    doc = Doc(Vocab(), words=[f"w{i}" for i in range(size)])
    doc.spans[key] = [Span(doc, start, end, label=label) for start, end, label in spans]
    if scores is not None:
        doc.spans[key].attrs["scores"] = numpy.array(scores, dtype="float32")
    return doc


def ents(doc):
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


NESTED = [(0, 5, "ORG"), (0, 2, "GPE"), (4, 7, "PER")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("score", [(0, 2, "GPE"), (4, 7, "PER")]),
        ("longest", [(0, 5, "ORG")]),
        ("outermost", [(0, 2, "GPE"), (4, 7, "PER")]),
        ("innermost", [(0, 2, "GPE"), (4, 7, "PER")]),
        ("none", []),
    ],
)
def test_policies(policy, expected):
    nlp = spacy.blank("en")
    resolver = nlp.add_pipe("hetner_resolver", config={"policy": policy})
    doc = resolver(make_doc(NESTED, [0.8, 0.7, 0.9]))
    assert ents(doc) == expected
    assert len(doc.spans["entities"]) == 3, "the group stays whole"


def test_from_config_and_round_trip(tmp_path):
    config = spacy.util.load_config_from_str(CONFIG)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.to_disk(tmp_path / "model")
    for pipeline in (nlp, spacy.load(tmp_path / "model")):
        resolver = pipeline.get_pipe("resolver")
        assert resolver.spans_key == "found"
        assert resolver.policy == "innermost"
        assert resolver.min_score == 0.25
        assert resolver.overwrite is False
        doc = resolver(make_doc(NESTED, [0.8, 0.2, 0.9], key="found"))
        assert ents(doc) == [(4, 7, "PER")]
    as_bytes = spacy.blank("en")
    as_bytes.add_pipe("hetner_resolver", name="resolver")
    as_bytes.from_bytes(nlp.to_bytes())
    assert as_bytes.pipe_names == ["resolver"]


def test_registered_by_entry_point_with_its_needs():
    nlp = spacy.blank("en")
    nlp.add_pipe("hetner_resolver")
    meta = nlp.get_pipe_meta("hetner_resolver")
    assert meta.assigns == ["doc.ents"]
    assert meta.requires == ["doc.spans"]
    assert meta.default_score_weights["ents_f"] == 1.0


def test_missing_scores_count_as_one():
    doc = Resolver(policy="score", min_score=1.0)(make_doc([(0, 2, "A"), (1, 5, "B")]))
    assert ents(doc) == [(1, 5, "B")], "equal scores: the longer one"


def test_scores_in_a_column_are_read_flat():
    """spaCy's own single-label span categorizer stores them as (n, 1)."""
    doc = make_doc(NESTED)
    doc.spans["entities"].attrs["scores"] = numpy.array([[0.8], [0.7], [0.9]])
    assert ents(Resolver()(doc)) == [(0, 2, "GPE"), (4, 7, "PER")]


def test_scores_that_do_not_fit_the_group():
    with pytest.raises(ValueError, match=r"\[HE090\].*holds 3 spans .* has 2 values"):
        Resolver()(make_doc(NESTED, [0.8, 0.7]))


def test_min_score_keeps_its_own_value():
    doc = Resolver(min_score=0.7)(make_doc([(0, 1, "A"), (2, 3, "B")], [0.7, 0.6999]))
    assert ents(doc) == [(0, 1, "A")]


def test_labels_knowledge_base_and_span_ids_are_kept():
    doc = make_doc([])
    doc.spans["entities"] = [Span(doc, 1, 3, label="PER", kb_id="Q42", span_id="rule-1")]
    ent = Resolver()(doc).ents[0]
    assert (ent.label_, ent.kb_id_, ent.ent_id_) == ("PER", "Q42", "rule-1")


def test_adjacent_entities_stay_apart():
    doc = Resolver()(make_doc([(0, 2, "A"), (2, 4, "A"), (4, 5, "B")]))
    assert ents(doc) == [(0, 2, "A"), (2, 4, "A"), (4, 5, "B")]


def test_existing_entities_are_replaced_or_kept():
    existing = [(1, 3, "OLD"), (8, 9, "OLD")]
    found = [(0, 2, "NEW"), (3, 5, "NEW"), (8, 9, "NEW")]
    for overwrite, expected in (
        (True, found),
        (False, [(1, 3, "OLD"), (3, 5, "NEW"), (8, 9, "OLD")]),
    ):
        doc = make_doc(found)
        doc.ents = [Span(doc, start, end, label=label) for start, end, label in existing]
        assert ents(Resolver(overwrite=overwrite)(doc)) == expected


def test_overwriting_with_nothing_clears():
    doc = make_doc([])
    doc.ents = [Span(doc, 0, 1, label="OLD")]
    assert ents(Resolver()(doc)) == []
    assert doc.has_annotation("ENT_IOB")


@pytest.mark.parametrize("policy", POLICIES)
def test_empty_doc_and_empty_group(policy):
    resolver = Resolver(policy=policy)
    assert ents(resolver(make_doc([], [], size=0))) == []
    assert ents(resolver(make_doc([], []))) == []


def test_missing_group_is_told_and_harmless():
    doc = make_doc([(0, 1, "A")], key="other")
    doc.ents = [Span(doc, 2, 3, label="OLD")]
    with pytest.warns(UserWarning, match=r"\[HW090\].*'entities'"):
        Resolver()(doc)
    assert ents(doc) == [(2, 3, "OLD")]


def test_spans_without_a_label_are_told_and_displace_nothing():
    doc = make_doc([(0, 5, ""), (1, 2, "A")], [0.9, 0.1])
    with pytest.warns(UserWarning, match=r"\[HW091\]"):
        Resolver()(doc)
    assert ents(doc) == [(1, 2, "A")]


SPANS = st.lists(
    st.tuples(
        st.integers(0, 9), st.integers(1, 10), st.sampled_from("AB"), st.floats(0, 1, width=32)
    ).filter(lambda span: span[0] + span[1] <= 10),
    max_size=20,
)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])
@given(items=SPANS, old=SPANS)
def test_any_nesting_and_crossing_becomes_entities(policy, overwrite, items, old):
    """doc.ents refuses overlaps (E1010): setting them at all shows that there are none."""
    spans = [(start, start + length, label) for start, length, label, _ in items]
    doc = make_doc(spans, [item[3] for item in items])
    if old:
        doc.ents = [Span(doc, old[0][0], old[0][0] + old[0][1], label="OLD")]
    before = ents(doc)
    Resolver(policy=policy, overwrite=overwrite)(doc)
    kept_old = [] if overwrite else before
    assert set(ents(doc)) <= set(spans) | set(kept_old)
    assert set(kept_old) <= set(ents(doc))
    assert bool(doc.ents) == bool(spans or kept_old)


def test_pipe_equals_call_and_scores_entities():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("span_ruler", config={"spans_key": "entities"})
    ruler.add_patterns(
        [{"label": "ORG", "pattern": "Bank of China"}, {"label": "GPE", "pattern": "China"}]
    )
    nlp.add_pipe("hetner_resolver", config={"policy": "outermost"})
    texts = ["The Bank of China", "", "China trades with China"]
    called = [ents(nlp(text)) for text in texts]
    assert called == [[(1, 4, "ORG")], [], [(0, 1, "GPE"), (3, 4, "GPE")]]
    assert [ents(doc) for doc in nlp.pipe(texts)] == called
    example = Example.from_dict(nlp.make_doc(texts[0]), {"entities": [(4, 17, "ORG")]})
    assert nlp.evaluate([example])["ents_f"] == pytest.approx(1.0)


def test_unknown_policy_in_a_config():
    with pytest.raises(ValueError, match=r"\[HE004\] Unknown policy 'best'.*innermost, none"):
        spacy.blank("en").add_pipe("hetner_resolver", config={"policy": "best"})


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_min_score_out_of_range(value):
    with pytest.raises(ValueError, match=r"\[HE002\] min_score must lie in \[0, 1\]"):
        spacy.blank("en").add_pipe("hetner_resolver", config={"min_score": value})


def test_labels_decide_whether_a_span_splits():
    halves = [(0, 2, "A"), (2, 4, "A")]
    for label, expected in (("A", halves), ("B", [(0, 4, "B")])):
        doc = make_doc([(0, 4, label), *halves], [0.9, 0.5, 0.5])
        assert ents(Resolver(policy="longest_split")(doc)) == expected
