"""The component hetner_span_proposer."""

import numpy
import pytest
import spacy
from spacy.training import Example
from thinc.api import Adam, fix_random_seed
from thinc.config import ConfigValidationError
from util import (
    NESTED_SENTENCES,
    group_of,
    make_doc,
    make_example,
    nested_examples,
    scores_of,
    span_array,
    train,
    two_stages,
    with_vectors,
    words_of_length,
)

from spacy_hetner.locate.component import SpanProposer
from spacy_hetner.locate.model import build_span_proposer_model
from spacy_hetner.spans.assign import assign_seeds
from spacy_hetner.spans.handover import handed_over
from spacy_hetner.spans.seeds import enumerate_seeds
from spacy_hetner.validation import check_range

NAME = "hetner_span_proposer"
KEY = "candidates"
VECTOR_WIDTH = 8
LENGTHS = [1, 2, 3, 5]


def bare_proposer(**settings):
    """A proposer with random weights over vectors that the test writes itself."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    tok2vec = {"@architectures": "hetner_tests.DocTensor.v1", "width": VECTOR_WIDTH}
    config = {"model": {"tok2vec": tok2vec, "dropout": 0.0}, "lengths": LENGTHS, **settings}
    return nlp, nlp.add_pipe(NAME, config=config)


def vector_doc(nlp, n, seed=0, **settings):
    return with_vectors(make_doc(nlp, words_of_length(n), **settings), VECTOR_WIDTH, seed)


def torch_module(proposer):
    return proposer.model.get_ref("head").shims[0]._model


def predict_one(proposer, doc):
    (candidates,) = proposer.predict([doc])
    return candidates


def set_offsets(proposer, left, right):
    """Make the regressor answer the same offsets everywhere."""
    output = torch_module(proposer).regressor.output
    output.weight.data.zero_()
    output.bias.data[0], output.bias.data[1] = left, right


BAD_SETTINGS = [
    ({"lengths": []}, "HE001"),
    ({"lengths": [0]}, "HE001"),
    ({"lengths": [-1, 2]}, "HE001"),
    ({"filter_threshold": 1.5}, "HE002"),
    ({"filter_threshold": -0.1}, "HE002"),
    ({"positive_iou": 1.01}, "HE002"),
    ({"negative_ratio": -1.0}, "HE002"),
    ({"extra_negatives": -1}, "HE002"),
    ({"eta": -1.0}, "HE002"),
    ({"gamma": -0.5}, "HE002"),
    ({"filter_weight": -1.0}, "HE002"),
    ({"regressor_weight": -1.0}, "HE002"),
]


@pytest.mark.parametrize(("settings", "code"), BAD_SETTINGS)
def test_bad_settings(settings, code):
    with pytest.raises(ValueError, match=rf"\[{code}\]"):
        bare_proposer(**settings)


@pytest.mark.parametrize("settings", [{"illegal": "drop"}, {"eval_lengths": "some"}])
def test_unknown_choices(settings):
    """A config is stopped by its types, code by our message, which lists the choices."""
    with pytest.raises(ConfigValidationError):
        bare_proposer(**settings)
    nlp, proposer = bare_proposer()
    defaults = nlp.get_factory_meta(NAME).default_config
    given = {k: v for k, v in defaults.items() if k not in ("model", "scorer")}
    with pytest.raises(ValueError, match=r"\[HE004\].*Choose one of: \w+, \w+"):
        SpanProposer(nlp.vocab, proposer.model, NAME, scorer=None, **{**given, **settings})


def test_not_a_number_is_outside_of_every_range():
    with pytest.raises(ValueError, match=r"\[HE002\] eta must lie in \[0, 1\], got nan"):
        check_range("eta", float("nan"), 0, 1)


def test_unknown_outer_boundary():
    _, proposer = bare_proposer()
    with pytest.raises(ValueError, match=r"\[HE004\].*'wrap'.*sentinel, clamp"):
        build_span_proposer_model(proposer.model.get_ref("tok2vec"), outer_boundary="wrap")


def test_width_of_the_listener():
    """spaCy's listener believes its config; what arrives is compared with it."""
    nlp = two_stages()
    tok2vec = {"width": 32}
    nlp.remove_pipe(NAME)
    nlp.add_pipe(NAME, after="tok2vec", config={"model": {"tok2vec": tok2vec}})
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=r"\[HE006\].*width is 32.*have width 64"):
        nlp.update(examples)


def test_candidates_on_the_doc():
    """In document order, once each, inside the doc, with the filter's probability."""
    nlp, proposer = bare_proposer(filter_threshold=0.4)
    doc = proposer(vector_doc(nlp, 12))
    spans = [span[:2] for span in group_of(doc, KEY)]
    assert 0 < len(spans) == len(set(spans))
    assert spans == sorted(spans, key=lambda span: (span[0], -span[1]))
    assert all(0 <= start < end <= 12 for start, end in spans)
    assert {span.label_ for span in doc.spans[KEY]} == {""}
    scores = scores_of(doc, KEY)
    assert (scores >= 0.4).all() and (scores <= 1).all()


def test_filter_threshold():
    """What is kept at a threshold are those of lower thresholds that reach it; 1 keeps nothing."""
    nlp, proposer = bare_proposer(use_regressor=False, filter_threshold=0.0)
    doc = vector_doc(nlp, 15)
    spans, scores = predict_one(proposer, doc)
    assert len(spans) == len(enumerate_seeds(15, LENGTHS))
    ranked = numpy.sort(scores)
    gap = numpy.diff(ranked).argmax()  # far from any score, so that rounding does not matter
    threshold = float(ranked[gap : gap + 2].mean())
    proposer.settings["filter_threshold"] = threshold
    kept, kept_scores = predict_one(proposer, doc)
    assert 0 < len(kept) < len(spans)
    assert kept.tolist() == spans[scores > threshold].tolist()
    assert (kept_scores > threshold).all()
    proposer.settings["filter_threshold"] = 1.0
    assert predict_one(proposer, doc).spans.shape == (0, 2)


def test_switching_the_filter_off():
    """Every seed is moved and proposed, none better than another, and nothing is learned."""
    nlp, proposer = bare_proposer(use_filter=False, filter_threshold=1.0)
    set_offsets(proposer, 0.0, 0.0)
    spans, scores = predict_one(proposer, vector_doc(nlp, 9))
    assert sorted(spans.tolist()) == sorted(enumerate_seeds(9, LENGTHS).tolist())
    assert (scores == 1).all()
    set_offsets(proposer, 0.4, 0.4)
    example = Example(vector_doc(nlp, 9), make_doc(nlp, words_of_length(9), [(0, 3, "A")]))
    losses = proposer.update([example])
    assert losses[f"{NAME}_filter"] == 0 < losses[f"{NAME}_regressor"]
    assert not any(p.grad.any() for p in torch_module(proposer).filter.parameters())


def test_switching_the_regressor_off():
    """Candidates are seeds as they are, in prediction and in what is handed over."""
    nlp, proposer = bare_proposer(use_regressor=False, filter_threshold=0.3, add_gold=False)
    set_offsets(proposer, -2.0, 2.0)
    seeds = set(map(tuple, enumerate_seeds(9, LENGTHS).tolist()))
    doc = vector_doc(nlp, 9)
    assert set(map(tuple, predict_one(proposer, doc).spans.tolist())) <= seeds
    example = Example(doc, make_doc(nlp, words_of_length(9), [(0, 3, "A")]))
    losses = proposer.update([example])
    assert losses[f"{NAME}_regressor"] == 0 < losses[f"{NAME}_filter"]
    assert not any(p.grad.any() for p in torch_module(proposer).regressor.parameters())
    assert set(map(tuple, handed_over(doc).spans.tolist())) <= seeds
    proposer.settings["use_regressor"] = True
    assert not set(map(tuple, predict_one(proposer, doc).spans.tolist())) <= seeds


def test_boundaries_are_moved():
    nlp, proposer = bare_proposer(lengths=[2], filter_threshold=0.0)
    doc = vector_doc(nlp, 6)
    set_offsets(proposer, -0.5, 1.5)  # 0 and 2 after rounding
    assert predict_one(proposer, doc).spans.tolist() == [[0, 4], [1, 5], [2, 6], [3, 6], [4, 6]]
    set_offsets(proposer, 1.0, -1.0)  # inverted: dropped
    assert predict_one(proposer, doc).spans.shape == (0, 2)


def test_illegal_spans_can_be_dropped_instead_of_clamped():
    nlp, proposer = bare_proposer(lengths=[2], filter_threshold=0.0, illegal="revert")
    set_offsets(proposer, 0.0, 2.0)
    assert predict_one(proposer, vector_doc(nlp, 6)).spans.tolist() == [[0, 4], [1, 5], [2, 6]]


def test_seeds_that_meet_become_one_candidate():
    """The best of their scores stays."""
    nlp, proposer = bare_proposer(lengths=[1], filter_threshold=0.0)
    doc = vector_doc(nlp, 4)
    set_offsets(proposer, 0.0, 0.0)
    single = predict_one(proposer, doc).scores
    set_offsets(proposer, -9.0, 9.0)
    spans, scores = predict_one(proposer, doc)
    assert spans.tolist() == [[0, 4]]
    assert scores.tolist() == [single.max()]


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        ({}, LENGTHS),
        ({"eval_lengths": "all"}, [1, 2, 3, 4, 5]),
        ({"lengths": [3, 1, 3]}, [1, 3]),
        ({"lengths": [3], "clip_at_end": True}, [1, 2, 3]),
    ],
)
def test_lengths(settings, lengths):
    nlp, proposer = bare_proposer(use_regressor=False, use_filter=False, **settings)
    spans = predict_one(proposer, vector_doc(nlp, 8)).spans
    assert set((spans[:, 1] - spans[:, 0]).tolist()) == set(lengths)


@pytest.mark.parametrize("boundary", ["sentinel", "clamp"])
def test_sentences_do_not_see_each_other(boundary):
    """One doc of two sentences gives what its sentences give alone: no seed across, no word of a
    neighbour, no wrap-around. Without sentence boundaries it does not."""
    nlp, proposer = bare_proposer(filter_threshold=0.35)
    module = torch_module(proposer)
    module.outer_boundary = boundary
    module.regressor.output.weight.data *= 5  # boundaries move, and differ between contexts
    module.sentinels.data += 1.0
    whole = vector_doc(nlp, 12, sentence_starts=[0, 5])
    expected_spans, expected_scores = [], []
    for start, end in [(0, 5), (5, 12)]:
        part = make_doc(nlp, words_of_length(end - start))
        part.tensor = whole.tensor[start:end]
        spans, scores = predict_one(proposer, part)
        expected_spans += (spans + start).tolist()
        expected_scores += scores.tolist()
    found = predict_one(proposer, whole)
    assert found.spans.tolist() == expected_spans
    assert found.scores.tolist() == pytest.approx(expected_scores, abs=1e-6)
    merged = make_doc(nlp, words_of_length(12))
    merged.tensor = whole.tensor
    assert predict_one(proposer, merged).spans.tolist() != expected_spans


def test_training_seeds_stay_in_their_sentences():
    nlp, proposer = bare_proposer(negative_ratio=100.0)
    doc = vector_doc(nlp, 12, sentence_starts=[0, 5])
    gold = make_doc(nlp, words_of_length(12), [(3, 5, "A"), (5, 8, "B")])
    proposer.update([Example(doc, gold)])
    spans = handed_over(doc).spans
    assert len(spans) > 20
    assert not ((spans[:, 0] < 5) & (spans[:, 1] > 5)).any()
    set_offsets(proposer, -99.0, 99.0)
    proposer.update([Example(doc, gold)])
    assert set(map(tuple, handed_over(doc).spans.tolist())) == {(0, 5), (5, 12)}


def test_a_batch_equals_its_docs_one_by_one():
    """Lengths 3 and 20, and docs of no and one token between them, change nothing."""
    nlp, proposer = bare_proposer(filter_threshold=0.35)
    docs = [vector_doc(nlp, n, seed) for seed, n in enumerate([3, 0, 20, 1, 0])]
    together = proposer.predict(docs)
    for doc, found in zip(docs, together, strict=True):
        alone = predict_one(proposer, doc)
        assert found.spans.tolist() == alone.spans.tolist()
        assert found.scores.tolist() == pytest.approx(alone.scores.tolist(), abs=1e-6)
    assert [found.spans.shape[0] > 0 for found in together] == [True, False, True, True, False]


def test_all_adjusted_seeds_are_handed_over():
    """With their pairs, whatever the filter thinks; what is not legal is left out."""
    nlp, proposer = bare_proposer(lengths=[2], filter_threshold=1.0, negative_ratio=100.0)
    words, gold = words_of_length(5), [(0, 4, "ORG"), (3, 4, "GPE")]
    doc = vector_doc(nlp, 5)
    set_offsets(proposer, 0.0, 1.0)
    proposer.update([Example(doc, make_doc(nlp, words, gold))])
    handed = handed_over(doc)
    # seeds of length 2, then the two gold spans; each moved, its pair that of the seed
    assert handed.spans.tolist() == [[0, 3], [1, 4], [2, 5], [3, 5], [0, 5], [3, 5]]
    assert handed.pair_spans.tolist() == [[0, 4]] * 2 + [[0, 4], [3, 4], [0, 4], [3, 4]]
    assert handed.pair_labels == ["ORG", "ORG", "ORG", "GPE", "ORG", "GPE"]
    set_offsets(proposer, 4.0, -4.0)
    proposer.update([Example(doc, make_doc(nlp, words, gold))])
    assert handed_over(doc).spans.shape == (0, 2)


def test_initialize_starts_anew():
    """Weights and the drawing of negatives depend on the seed alone, not on earlier training."""
    nlp, proposer = bare_proposer()
    example = Example(vector_doc(nlp, 30), make_doc(nlp, words_of_length(30), [(3, 5, "A")]))

    def first_losses():
        fix_random_seed(0)
        proposer.initialize(lambda: [example])
        return [proposer.update([example], sgd=Adam(0.01))[NAME] for _ in range(2)]

    first = first_losses()
    assert first_losses() == first and first[0] != first[1]


def test_every_update_draws_other_negatives():
    nlp, proposer = bare_proposer(use_regressor=False, negative_ratio=1.0)
    doc = vector_doc(nlp, 20)
    example = Example(doc, make_doc(nlp, words_of_length(20), [(2, 5, "A")]))

    def draw():
        proposer.update([example])
        return handed_over(doc).spans.tolist()

    first, second = draw(), draw()
    assert len(first) == len(second) and first != second
    assert [2, 5] in first and [2, 5] in second
    _, again = bare_proposer(use_regressor=False, negative_ratio=1.0)
    again.update([example])
    assert handed_over(doc).spans.tolist() == first, "the seed decides"


def targets_of(seeds, gold):
    return [assign_seeds(span_array(seeds), span_array(gold), 0.7)]


def loss_of(proposer, targets, logits, offsets):
    logits, offsets = (numpy.array(x, dtype="float32") for x in (logits, offsets))
    return proposer.get_loss(targets, logits, offsets.reshape(-1, 2))


SEEDS, LOGITS = [(0, 3), (0, 4), (2, 4), (6, 7)], [0.5, 1.0, -0.5, -2.0]
OFFSETS = [[0.1, 0.4], [0.2, -0.2], [3.0, 1.0], [0.0, 0.0]]


def test_losses_by_hand():
    """IoU .75, 1 and .5 with the gold span and none: two positives of four; means of each."""
    _, proposer = bare_proposer(filter_weight=2.0, regressor_weight=0.5)
    targets = targets_of(SEEDS, [(0, 4)])
    assert targets[0].positive.tolist() == [True, True, False, False]
    (of_filter, of_regressor), (d_logits, d_offsets) = loss_of(proposer, targets, LOGITS, OFFSETS)
    p = 1 / (1 + numpy.exp(-numpy.array(LOGITS)))
    positives = -((1 - p) ** 2) * numpy.log(p)
    negatives = -(p**2) * numpy.log(1 - p)
    weighted = [0.75 * positives[0], positives[1], 0.5 * negatives[2], negatives[3]]
    assert of_filter == pytest.approx(2.0 * numpy.mean(weighted), rel=1e-5)
    smooth_l1 = [0.1**2 / 2 + 0.6**2 / 2, 0.2**2 / 2 + 0.2**2 / 2]
    overlap = [1 - 3.3 / 4.0, 1 - 3.6 / 4.0]
    expected = 0.5 * (sum(smooth_l1) + sum(overlap)) / 2
    assert of_regressor == pytest.approx(expected, rel=1e-5)
    assert d_logits.shape == (4,) and (numpy.sign(d_logits) == [-1, -1, 1, 1]).all()
    assert d_offsets[:2].all() and not d_offsets[2:].any(), "negatives have no offset to learn"


def test_eta_zero_is_the_unweighted_loss():
    """All examples weigh 1, which is what gold seeds and far negatives weigh at any eta."""
    _, soft = bare_proposer()
    _, hard = bare_proposer(eta=0.0)
    targets = targets_of(SEEDS, [(0, 4)])
    (weighted, _), _ = loss_of(soft, targets, LOGITS, OFFSETS)
    (unweighted, _), (gradient, _) = loss_of(hard, targets, LOGITS, OFFSETS)
    clear = [targets[0]._replace(iou=targets[0].positive.astype("float64"))]
    (same, _), (same_gradient, _) = loss_of(soft, clear, LOGITS, OFFSETS)
    assert unweighted == pytest.approx(same, rel=1e-6)
    assert gradient.tolist() == pytest.approx(same_gradient.tolist(), rel=1e-5)
    assert weighted < unweighted


def test_weight_regression():
    """The published code's option: smooth L1 of a seed counts by its IoU."""
    _, plain = bare_proposer()
    _, weighted = bare_proposer(weight_regression=True)
    targets = targets_of([(0, 3)], [(0, 4)])
    (_, before), _ = loss_of(plain, targets, [0.0], [[0.0, 0.0]])
    (_, after), _ = loss_of(weighted, targets, [0.0], [[0.0, 0.0]])
    assert before - after == pytest.approx(0.1 * 0.25 * 0.5, rel=1e-5)


@pytest.mark.parametrize("seeds", [[(0, 1), (2, 4)], []])
def test_losses_without_positives(seeds):
    """Nothing for the regressor, and finite, in a batch without positives or any seed."""
    _, proposer = bare_proposer()
    zeros = numpy.zeros(len(seeds))
    (of_filter, of_regressor), (d_logits, d_offsets) = loss_of(
        proposer, targets_of(seeds, []), zeros, numpy.zeros((len(seeds), 2))
    )
    assert of_regressor == 0 and not d_offsets.any()
    assert (of_filter > 0) == bool(seeds)
    assert numpy.isfinite(d_logits).all() and d_logits.shape == (len(seeds),)


def test_it_learns_without_a_classifier():
    """A proposer is a component of its own; its losses are told by head."""
    nlp = two_stages()
    nlp.remove_pipe("hetner_span_classifier")
    examples = nested_examples(nlp)
    losses = train(nlp, examples, epochs=40)
    parts = losses[f"{NAME}_filter"] + losses[f"{NAME}_regressor"]
    assert losses[NAME] == pytest.approx(parts) and losses[NAME] < 0.05
    scores = nlp.evaluate(examples)
    assert scores["candidates_recall"] == 1.0
    assert scores["candidates_per_gold"] < 3


def test_loss_is_accumulated_over_batches():
    nlp = two_stages()
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    losses = {}
    nlp.update(examples[:2], losses=losses, sgd=False)
    first = dict(losses)
    nlp.update(examples[2:], losses=losses, sgd=False)
    for key in (NAME, f"{NAME}_filter", f"{NAME}_regressor"):
        assert 0 < first[key] < losses[key]


def test_gold_spans_that_tokens_cannot_express_are_told():
    nlp = two_stages()
    words, spans = NESTED_SENTENCES[0]
    glued = [*words[:4], f"{words[4]} {words[5]}", *words[6:]]
    example = Example(make_doc(nlp, glued), make_doc(nlp, words, spans))
    get_examples = [example, make_example(nlp, words, spans)]
    with pytest.warns(UserWarning, match=r"\[HW001\] 1 of 8 gold spans in 'entities'"):
        nlp.get_pipe(NAME).initialize(lambda: get_examples)


def test_no_gold_span_at_all_is_an_error():
    """As with a spans_key that is not that of the annotation."""
    nlp, proposer = bare_proposer(spans_key="sc")
    example = Example(vector_doc(nlp, 3), make_doc(nlp, words_of_length(3), [(0, 1, "A")]))
    with pytest.raises(ValueError, match=r"\[HE010\].*'sc'"):
        proposer.initialize(lambda: [example])


def test_sentences_of_prediction_time_that_training_lacks_are_told_once():
    nlp = two_stages()
    nlp.add_pipe("sentencizer", first=True)
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.warns(UserWarning, match=rf"\[HW003\].*sentencizer.*'{NAME}'") as told:
        nlp.update(examples)
        nlp.update(examples)
    assert len(told) == 1
    nlp.initialize(lambda: examples)
    nlp.update(examples, annotates=["sentencizer"])


def test_gold_spans_across_sentences_are_told_once():
    """Seeds stay in sentences: what crosses their ends cannot be learned."""
    nlp, proposer = bare_proposer()
    doc = vector_doc(nlp, 12, sentence_starts=[0, 5])
    example = Example(
        doc, make_doc(nlp, words_of_length(12), [(3, 7, "A"), (4, 6, "B"), (8, 9, "C")])
    )
    with pytest.warns(UserWarning, match=rf"\[HW002\] 2 gold spans .*'{NAME}'") as told:
        proposer.update([example])
        proposer.update([example])
    assert len(told) == 1
    assert set(handed_over(doc).pair_labels) <= {"C", ""}
