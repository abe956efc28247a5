"""The component hetner_span_classifier."""

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed
from util import (
    NESTED_SENTENCES,
    SMALL_TOK2VEC,
    add_classifier,
    group_of,
    make_doc,
    make_example,
    nested_examples,
    scores_of,
    span_array,
    train,
    two_stages,
    words_of_length,
)

from spacy_hetner.classify.model import build_span_classifier_model
from spacy_hetner.spans.groups import make_span_group
from spacy_hetner.spans.seeds import enumerate_seeds
from spacy_hetner.types import GoldSpans, PairedSpans

NAME = "hetner_span_classifier"
LABELS = ["GPE", "ORG", "PER"]


@Language.component("hetner_tests_ngrams")
def write_ngrams(doc):
    """A proposer of somebody else: all n-grams up to four tokens, scores all 1."""
    spans = enumerate_seeds(len(doc), [1, 2, 3, 4])
    doc.spans["candidates"] = make_span_group(doc, "candidates", spans, numpy.ones(len(spans)))
    return doc


def small_pipeline(*proposers, **settings):
    """A classifier with some proposers before it."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": SMALL_TOK2VEC})
    for name, config in proposers:
        nlp.add_pipe(name, config=config)
    return nlp, add_classifier(nlp, **settings)


NGRAMS = ("hetner_tests_ngrams", {})
RULER = ("span_ruler", {"spans_key": "candidates", "validate": True})


def classifier_of(labels=LABELS, **settings):
    """A classifier with labels and random weights, to decode with or to compute losses."""
    fix_random_seed(0)
    nlp, classifier = small_pipeline(NGRAMS, **settings)
    nlp.initialize(lambda: nested_examples(nlp))
    assert classifier.labels == tuple(labels)
    return nlp, classifier


@pytest.mark.parametrize(
    "settings",
    [
        {"match_iou": 1.2},
        {"match_iou": -0.1},
        {"min_score": 1.5},
        {"min_score": -0.5},
        {"nms_decay": 1.5},
        {"nms_iou": -1.0},
        {"nms_iou": 2.5},
        {"negative_ratio": -1.0},
        {"loss_weight": -1.0},
        {"eta": -1.0},
        {"gamma": -1.0},
    ],
)
def test_bad_settings(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=rf"\[HE002\] {name} must lie in"):
        small_pipeline(**settings)


@pytest.mark.parametrize(
    "settings, message",
    [({"dropout": 1.5}, r"\[HE002\] dropout"), ({"hidden_width": -3}, r"\[HE078\] hidden_width")],
)
def test_bad_settings_of_the_model(settings, message):
    _, classifier = small_pipeline()
    with pytest.raises(ValueError, match=message):
        build_span_classifier_model(classifier.model.get_ref("tok2vec"), **settings)


def test_width_mismatch():
    _, classifier = small_pipeline()
    listener = classifier.model.get_ref("tok2vec")
    with pytest.raises(ValueError, match=r"\[HE006\]"):
        build_span_classifier_model(listener, width=32)
    listener.set_dim("nO", None, force=True)
    with pytest.raises(ValueError, match=r"\[HE005\]"):
        build_span_classifier_model(listener)


def test_labels_are_those_of_the_examples():
    _, classifier = classifier_of()
    assert classifier.labels == ("GPE", "ORG", "PER")
    assert classifier.label_data == LABELS


def test_labels_can_be_given():
    """Their order is the model's; spaCy saves them as label_data and gives them back."""
    nlp, classifier = small_pipeline(NGRAMS)
    labels = ["PER", "MISC", "ORG", "GPE"]
    nlp.config["initialize"]["components"][NAME] = {"labels": labels}
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    assert classifier.label_data == labels
    train_step = nlp.update(examples, annotates=[NGRAMS[0]])
    assert numpy.isfinite(train_step[NAME])


@pytest.mark.parametrize("spans", [None, []])
def test_no_labels(spans):
    nlp, _ = small_pipeline(NGRAMS)
    reference = make_doc(nlp, ["a", "b"], spans)
    example = Example(make_doc(nlp, ["a", "b"]), reference)
    with pytest.raises(ValueError, match=rf"\[HE003\].*'{NAME}' has no labels.*'entities'"):
        nlp.initialize(lambda: [example])


def test_unknown_label_in_update():
    """Told whether or not a candidate hits the span, with the labels there are."""
    nlp, _ = small_pipeline(NGRAMS, add_gold=False)
    examples = nested_examples(nlp)
    nlp.config["initialize"]["components"][NAME] = {"labels": ["PER"]}
    nlp.initialize(lambda: examples)
    message = rf"\[HE007\] The label '(ORG|GPE)' .*'{NAME}' was initialized with \(PER\)"
    with pytest.raises(ValueError, match=message):
        nlp.update(examples, annotates=[NGRAMS[0]])
    words = words_of_length(8)
    only_near_misses = make_example(nlp, words, [(0, 7, "ORG")])
    with pytest.raises(ValueError, match=r"\[HE007\]"):
        nlp.update([only_near_misses], annotates=[NGRAMS[0]])


def test_without_labels_nothing_is_found():
    nlp, classifier = small_pipeline()
    doc = classifier(make_doc(nlp, ["a", "b"], [(0, 1, "")], key="candidates"))
    assert group_of(doc) == [] and scores_of(doc).shape == (0,)


@pytest.mark.parametrize("words", [[], ["a", "b"]])
def test_no_candidates_on_the_doc(words):
    """No group, or an empty one: the component still writes its own."""
    nlp, classifier = classifier_of()
    doc = classifier(make_doc(nlp, words))
    assert group_of(doc) == [] and scores_of(doc).shape == (0,)
    doc = classifier(make_doc(nlp, words, [], key="candidates"))
    assert group_of(doc) == [] and scores_of(doc).shape == (0,)


def decode(rows, **settings):
    """Decode (start, end, probabilities of none, GPE, ORG, PER) rows."""
    _, classifier = classifier_of(**settings)
    spans = span_array(rows)
    found = classifier._decode(spans, numpy.array([row[2] for row in rows]))
    assert found.scores.dtype == "float32"
    scores = [pytest.approx(float(score), abs=1e-6) for score in found.scores]
    return list(zip(map(tuple, found.spans.tolist()), found.labels, scores, strict=True))


def test_decode_keeps_the_best_label():
    """None wins or loses like a label; document order; a score has to pass min_score."""
    rows = [
        (5, 6, [0.1, 0.0, 0.1, 0.8]),
        (0, 3, [0.6, 0.4, 0.0, 0.0]),
        (1, 2, [0.0, 0.5, 0.25, 0.25]),
        (0, 1, [0.3, 0.1, 0.6, 0.0]),
    ]
    assert decode(rows, min_score=0.5) == [((0, 1), "ORG", 0.6), ((5, 6), "PER", 0.8)]
    assert decode(rows[1:2], min_score=0.0) == []


def test_decode_keeps_one_label_a_span():
    """The best of all; Soft-NMS alone would keep both at a decay of .9."""
    rows = [(0, 2, [0.05, 0.0, 0.95, 0.0]), (0, 2, [0.01, 0.99, 0.0, 0.0])]
    for settings in ({}, {"same_label_only": True}, {"use_soft_nms": False}):
        assert decode(rows, **settings) == [((0, 2), "GPE", 0.99)]


CROWD = [
    (0, 5, [0.1, 0.0, 0.9, 0.0]),
    (0, 4, [0.3, 0.0, 0.7, 0.0]),
    (1, 5, [0.3, 0.7, 0.0, 0.0]),
    (0, 1, [0.2, 0.0, 0.8, 0.0]),
]


def test_soft_nms_and_its_switches():
    """Near spans are decayed, nested ones of little overlap stay; each switch undoes its part."""
    settings = {"nms_iou": 0.6, "nms_decay": 0.5, "min_score": 0.4}
    outer, inner = ((0, 5), "ORG", 0.9), ((0, 1), "ORG", 0.8)
    assert decode(CROWD, **settings) == [outer, inner]
    near, other_label = ((0, 4), "ORG", 0.7), ((1, 5), "GPE", 0.7)
    assert decode(CROWD, same_label_only=True, **settings) == [outer, inner, other_label]
    assert decode(CROWD, use_soft_nms=False, **settings) == [outer, near, inner, other_label]
    gentle = {**settings, "nms_decay": 0.9}
    decayed = [score for span, _, score in decode(CROWD, **gentle) if span in ((0, 4), (1, 5))]
    # Both are decayed by the outer span, and reach an IoU of .6 with each other.
    assert decayed == [pytest.approx(0.63), pytest.approx(0.567)]


def paired_spans(*rows):
    """(start, end, gold start, gold end, gold label) rows."""
    return PairedSpans(
        span_array(rows), span_array([row[2:4] for row in rows]), [row[4] for row in rows]
    )


ROWS = [(0, 10, 0, 10, "ORG"), (0, 9, 0, 10, "ORG"), (4, 5, 0, 0, "")]
LOGITS = numpy.array([[0.0, 1.0, 2.0, 0.5], [0.3, 0.1, 0.2, 0.0], [1.0, 0.0, 0.0, 3.0]], "float32")


def cross_entropies():
    """Of ORG, none, none: only the exact match has its label."""
    log_p = LOGITS - numpy.log(numpy.exp(LOGITS).sum(1, keepdims=True))
    return -log_p[[0, 1, 2], [2, 0, 0]]


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, [1.0, 0.1, 1.0]),
        ({"eta": 2.0}, [1.0, 0.01, 1.0]),
        ({"eta": 0.0}, [1.0, 1.0, 1.0]),
        ({"loss_weight": 0.5}, [0.5, 0.05, 0.5]),
    ],
)
def test_loss_by_hand(settings, weights):
    """The soft-weighted mean; with eta = 0 it is the plain mean."""
    _, classifier = classifier_of(**settings)
    value, gradient = classifier.get_loss([paired_spans(*ROWS)], LOGITS)
    assert value == pytest.approx(numpy.mean(weights * cross_entropies()), rel=1e-5)
    p = numpy.exp(LOGITS) / numpy.exp(LOGITS).sum(1, keepdims=True)
    p[[0, 1, 2], [2, 0, 0]] -= 1
    expected = p * numpy.array(weights)[:, None] / 3
    numpy.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_near_misses_can_match():
    """match_iou < 1 gives the label to what comes close, weighted by how close."""
    _, classifier = classifier_of(match_iou=0.9)
    value, _ = classifier.get_loss([paired_spans(ROWS[1])], LOGITS[:1])
    assert value == pytest.approx(0.9 * cross_entropies()[0], rel=1e-5)


def test_focal_loss():
    _, classifier = classifier_of(gamma=2.0)
    each = cross_entropies()
    value, _ = classifier.get_loss([paired_spans(*ROWS)], LOGITS)
    expected = numpy.mean([1.0, 0.1, 1.0] * (1 - numpy.exp(-each)) ** 2 * each)
    assert value == pytest.approx(expected, rel=1e-5)


def test_loss_without_candidates():
    _, classifier = classifier_of()
    value, gradient = classifier.get_loss([paired_spans()] * 2, LOGITS[:0])
    assert value == 0 and gradient.shape == (0, 4)


def test_candidates_of_another_proposer():
    """An annotating component writes them in training, as it does in prediction."""
    nlp, _ = small_pipeline(NGRAMS)
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=30, annotates=[NGRAMS[0]])
    scores = nlp.evaluate(examples)
    assert scores["spans_entities_f"] == 1.0
    doc = nlp(make_doc(nlp, NESTED_SENTENCES[0][0]))
    assert group_of(doc) == NESTED_SENTENCES[0][1]
    assert (scores_of(doc) > 0.5).all()


def test_training_without_candidates_is_an_error():
    """Otherwise it would learn from gold spans alone, and take everything for an entity."""
    nlp, _ = small_pipeline(NGRAMS)
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=r"\[HE009\].*annotating_components"):
        nlp.update(examples)
    nlp.update([Example(make_doc(nlp, []), make_doc(nlp, [], []))])


def test_spans_without_tokens_or_label_are_passed_over():
    nlp, classifier = classifier_of()
    words = ["a", "b", "c"]
    doc = make_doc(nlp, words, [(1, 1, ""), (1, 2, "")], key="candidates")
    example = Example(doc, make_doc(nlp, words, [(0, 2, "ORG"), (2, 2, "ORG"), (2, 3, "")]))
    paired = classifier._training_candidates(example)
    assert paired.spans.tolist() == [[0, 2], [1, 2]]
    nlp, fresh = small_pipeline(NGRAMS)
    with pytest.warns(UserWarning, match=r"\[HW001\] 2 of 3"):
        nlp.initialize(lambda: [example])
    assert fresh.labels == ("ORG",)


def test_candidates_of_a_span_ruler():
    """Rules propose, the classifier decides: what the rules do not know is not found."""
    nlp, _ = small_pipeline(RULER)
    title = {"label": "X", "pattern": [{"IS_TITLE": True}]}
    university = {"label": "Y", "pattern": [{"LOWER": w} for w in ("the", "university", "of")]}
    university["pattern"].append({"IS_TITLE": True})
    nlp.config["initialize"]["components"]["span_ruler"] = {"patterns": [title, university]}
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=30, annotates=["span_ruler"])
    words, gold = NESTED_SENTENCES[0]
    doc = nlp(make_doc(nlp, words))
    assert (1, 2, "X") in group_of(doc, "candidates"), "the rules also take what is none"
    assert group_of(doc) == gold
    ruler = nlp.get_pipe("span_ruler")
    ruler.clear()
    ruler.add_patterns([title])
    assert group_of(nlp(make_doc(nlp, words))) == [span for span in gold if span[2] != "ORG"]


def test_gold_spans_join_the_candidates():
    """add_gold: what another proposer misses is trained on, once."""
    _, classifier = classifier_of()
    nlp, spans = classifier_of()[0], [(0, 2, "ORG"), (1, 2, "GPE")]
    predicted = make_doc(nlp, ["a", "b", "c"], [(1, 2, ""), (0, 3, "")], key="candidates")
    example = Example(predicted, make_doc(nlp, ["a", "b", "c"], spans))
    paired = classifier._training_candidates(example)
    assert paired.spans.tolist() == [[0, 2], [0, 3], [1, 2]]
    assert paired.pair_labels == ["ORG", "ORG", "GPE"]
    classifier.settings["add_gold"] = False
    assert classifier._training_candidates(example).spans.tolist() == [[1, 2], [0, 3]]


def test_negatives_can_be_sampled():
    """At most so many for each positive, others each time, all positives kept."""
    _, classifier = classifier_of(negative_ratio=2.0)
    candidates = enumerate_seeds(30, [1, 2])
    hits = (candidates[:, None] == span_array([(3, 5), (7, 8)])).all(-1).any(1)
    gold = GoldSpans(candidates[hits], ["ORG", "GPE"])
    pairs = numpy.where(hits[:, None], candidates, 0)
    labels = [gold.labels[0] if hit else "" for hit in hits]
    draws = [classifier._sample(PairedSpans(candidates, pairs, labels)) for _ in range(2)]
    for sample in draws:
        kept = sample.spans.tolist()
        assert len(kept) == 2 + 2 * 2
        assert all(span in kept for span in gold.spans.tolist())
    assert draws[0].spans.tolist() != draws[1].spans.tolist()


def test_labels_added_before_initialization_stay():
    nlp, classifier = small_pipeline(NGRAMS)
    classifier.add_label("MISC")
    nlp.initialize(lambda: nested_examples(nlp))
    assert classifier.labels == ("MISC", *LABELS)


def test_add_label_keeps_what_was_learned():
    nlp, classifier = small_pipeline(NGRAMS)
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=15, annotates=[NGRAMS[0]])
    doc = nlp(make_doc(nlp, NESTED_SENTENCES[0][0]))
    spans = span_array(group_of(doc, "candidates"))
    before = classifier.model.predict(([doc], spans, spans))
    assert classifier.add_label("MISC") == 1
    assert classifier.add_label("MISC") == 0
    assert classifier.labels == (*LABELS, "MISC")
    assert "MISC" in nlp.vocab.strings
    after = classifier.model.predict(([doc], spans, spans))
    assert after.shape == (len(spans), 5)
    numpy.testing.assert_array_equal(after[:, :4], before)
    words = words_of_length(5)
    more = [*examples, make_example(nlp, words, [(1, 3, "MISC")])]
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.005
    for _ in range(30):
        nlp.update(more, sgd=optimizer, annotates=[NGRAMS[0]])
    assert nlp.evaluate(more)["spans_entities_f"] == 1.0


def test_labels_can_be_added_one_by_one():
    nlp, classifier = small_pipeline()
    for n, label in enumerate(LABELS, start=1):
        classifier.add_label(label)
        doc, span = make_doc(nlp, ["a"]), span_array([(0, 1)])
        assert classifier.model.predict(([doc], span, span)).shape == (1, 1 + n)


def test_only_candidates_reach_the_head():
    """The classifier works on what the filter keeps, not on all seeds."""
    nlp = two_stages()
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=30)
    classifier = nlp.get_pipe(NAME)
    scored = []
    head = classifier.model.get_ref("head").shims[0]._model
    hook = head.register_forward_hook(lambda module, args, output: scored.append(len(output)))
    docs = list(nlp.pipe([make_doc(nlp, words) for words, _ in NESTED_SENTENCES[:5]]))
    hook.remove()
    proposed = [len(doc.spans["candidates"]) for doc in docs]
    seeds = [len(enumerate_seeds(len(doc), range(1, 16))) for doc in docs]
    assert sum(scored) == sum(proposed) > 0
    assert sum(scored) < sum(seeds) / 4
    scores = nlp.evaluate(examples)
    assert scores["candidates_per_gold"] == pytest.approx(sum(proposed) / (5 * 4))
    assert scores["candidates_per_token"] == pytest.approx(
        sum(proposed) / sum(len(doc) for doc in docs)
    )
