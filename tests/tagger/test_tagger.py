"""The components hetner_tagger and, where both do the same, hetner_class_attention_tagger."""

import math
from contextlib import nullcontext

import numpy
import pytest
import spacy
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from spacy.tokens import Doc
from spacy.training import Example
from torch import nn
from util import (
    SMALL_TOK2VEC,
    WIDTH,
    add_classifier,
    group_of,
    make_doc,
    make_example,
    nested_examples,
    scores_of,
    train,
    words_of_length,
)

from spacy_hetner.labels.codecs import encode_tags
from spacy_hetner.sequences.chain import Packing
from spacy_hetner.tagger.model import build_token_tagger_model
from spacy_hetner.tagger.module import ExtraLayer
from spacy_hetner.types import LabelledSpan

NAMES = ["hetner_tagger", "hetner_class_attention_tagger"]
FLAT = [
    (["Ada", "Lovelace", "lived", "in", "London", "."], [(0, 2, "PER"), (4, 5, "GPE")]),
    (["Alan", "Turing", "worked", "at", "Bletchley", "Park"], [(0, 2, "PER"), (4, 6, "FAC")]),
    (["the", "Ministry", "of", "Health", "of", "Peru"], [(1, 6, "ORG")]),
    (["nothing", "is", "named", "here"], []),
    (["Peru", "Chile", "Bolivia"], [(0, 1, "GPE"), (1, 2, "GPE"), (2, 3, "GPE")]),
]


def tagger_pipeline(name=NAMES[0], *, model=None, **settings):
    """A tagger over a small trainable tok2vec."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": SMALL_TOK2VEC})
    config = {"dropout": 0.0, "heads": 4, "tok2vec": {"width": WIDTH}, **(model or {})}
    return nlp, nlp.add_pipe(name, config={"model": config, **settings})


def of_one_sentence(doc):
    """What the model reads."""
    whole = numpy.array([[0, len(doc)]])
    return [doc], whole, whole


def flat_examples(nlp):
    return [make_example(nlp, *sentence) for sentence in FLAT]


def initialized(name=NAMES[0], examples=flat_examples, **settings):
    nlp, tagger = tagger_pipeline(name, **settings)
    given = examples(nlp)
    nlp.initialize(lambda: given)
    return nlp, tagger


SETTINGS = [
    {},
    {"scheme": "BIO"},
    {"scheme": "BIOES"},
    {"model": {"crf": False}},
    {"model": {"crf": False}, "scheme": "BIO", "legal_only": False},
    {"legal_only": False},
    {"model": {"transition_rate": 20.0}},
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_overfit(name, settings):
    nlp, _ = tagger_pipeline(name, **settings)
    examples = flat_examples(nlp)
    train(nlp, examples, epochs=80)
    for words, spans in FLAT:
        doc = nlp(make_doc(nlp, words))
        assert group_of(doc) == spans
        scores = scores_of(doc)
        assert ((scores > 0.5) & (scores <= 1)).all()


def test_overfit_of_the_extra_layer():
    nlp, _ = tagger_pipeline(model={"extra_layer": True})
    examples = flat_examples(nlp)
    train(nlp, examples, epochs=120, learn_rate=0.003)
    assert [group_of(nlp(make_doc(nlp, words))) for words, _ in FLAT] == [s for _, s in FLAT]


@pytest.mark.parametrize("name", NAMES)
def test_layers_of_tags_say_nested_entities(name):
    nlp, _tagger = tagger_pipeline(name, model={"layers": 2})
    examples = nested_examples(nlp, 6)
    train(nlp, examples, epochs=80)
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0
    depth_two = [span for eg in examples for span in group_of(nlp(eg.reference.copy()))]
    assert (3, 4, "GPE") in depth_two and (0, 4, "ORG") in depth_two


def test_nested_gold_that_finds_no_layer_is_counted():
    nlp, _ = tagger_pipeline()
    examples = nested_examples(nlp, 5)
    with pytest.warns(UserWarning, match=r"HW004\] 5 of 20 gold spans .* 1 layer"):
        nlp.initialize(lambda: examples)


def test_scores_are_marginals_and_not_products():
    """Two tags each likely, but hardly together: the span's probability says so."""
    nlp, tagger = initialized(model={"transition_rate": 1.0})
    doc = nlp(make_doc(nlp, FLAT[0][0]))
    chain = tagger.module.head
    numbers = {tag: i for i, tag in enumerate(tagger.tag_set.tags)}
    for layer in chain.emissions:
        layer.weight.data.zero_()
        layer.bias.data.fill_(-20)
        for tag in ("O", "S-GPE"):
            layer.bias.data[numbers[tag]] = 0.0
    chain.start.data[0, numbers["S-GPE"]] = 3.0
    chain.transitions.data.zero_()
    chain.transitions.data[0, numbers["S-GPE"], numbers["S-GPE"]] = 5.0
    doc = nlp(make_doc(nlp, ["Peru", "Chile"]))
    assert group_of(doc) == [(0, 1, "GPE"), (1, 2, "GPE")]
    weights = {("S", "S"): 8.0, ("S", "O"): 3.0, ("O", "S"): 0.0, ("O", "O"): 0.0}
    total = sum(map(math.exp, weights.values()))
    first = (math.exp(8) + math.exp(3)) / total
    second = (math.exp(8) + 1) / total
    assert scores_of(doc).tolist() == pytest.approx([first, second], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_candidate_of_two_labels(name):
    """A span under two labels is one candidate, with the larger score."""
    nlp, _ = tagger_pipeline(name, candidates_key="candidates", model={"layers": 2})
    words, twice = ["Peru", "and", "Chile"], [(0, 1, "GPE"), (0, 1, "ORG"), (2, 3, "GPE")]
    train(nlp, [make_example(nlp, words, twice)], epochs=40)
    doc = nlp(make_doc(nlp, words))
    assert group_of(doc) == twice
    assert group_of(doc, "candidates") == [(0, 1, ""), (2, 3, "")]
    scores = scores_of(doc).tolist()
    assert scores[0] != scores[1]
    assert scores_of(doc, "candidates").tolist() == [max(scores[:2]), scores[2]]


@pytest.mark.parametrize("name", NAMES)
def test_candidates_for_a_span_classifier(name):
    """The tagger proposes, the classifier labels; both learn in one update."""
    nlp, _tagger = tagger_pipeline(name, candidates_key="candidates")
    add_classifier(nlp)
    examples = flat_examples(nlp)
    train(nlp, examples, epochs=60, annotates=[name])
    doc = nlp(make_doc(nlp, FLAT[2][0]))
    assert group_of(doc, "candidates") == [(1, 6, "")]
    assert len(scores_of(doc, "candidates")) == 1
    assert group_of(doc) == FLAT[2][1]


def test_sentences_are_tagged_on_their_own():
    nlp, tagger = initialized()
    parts = [words for words, _ in FLAT[:2]]
    starts = [0, len(parts[0])]
    whole = make_doc(nlp, [w for part in parts for w in part], sentence_starts=starts)
    vectors = numpy.random.default_rng(0).standard_normal((len(whole), WIDTH)).astype("float32")
    whole.tensor = vectors * 5
    tagger.module.head.transitions.data.normal_()
    (found,) = tagger.predict([whole])
    expected = []
    for start, part in zip(starts, parts, strict=True):
        doc = make_doc(nlp, part)
        doc.tensor = whole.tensor[start : start + len(part)]
        (alone,) = tagger.predict([doc])
        expected += [(s + start, e + start) for s, e in alone.spans.tolist()]
    assert [tuple(span) for span in found.spans.tolist()] == expected and expected


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_docs_one_by_one(name):
    nlp, _tagger = tagger_pipeline(name)
    train(nlp, flat_examples(nlp), epochs=30)
    docs = [make_doc(nlp, words) for words, _ in FLAT] + [make_doc(nlp, [])]
    together = list(nlp.pipe([doc.copy() for doc in docs]))
    for doc, in_batch in zip(docs, together, strict=True):
        alone = nlp(doc)
        assert group_of(alone) == group_of(in_batch)
        numpy.testing.assert_allclose(scores_of(alone), scores_of(in_batch), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name, tmp_path):
    nlp, _ = tagger_pipeline(name, model={"layers": 2})
    train(nlp, flat_examples(nlp), epochs=40)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for words, _ in FLAT:
        ours, theirs = (p(make_doc(p, words)) for p in (nlp, loaded))
        assert group_of(ours) == group_of(theirs)
        assert scores_of(ours).tolist() == scores_of(theirs).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_add_label_keeps_what_is_known(name):
    nlp, tagger = tagger_pipeline(name)
    train(nlp, flat_examples(nlp), epochs=80)
    before = tagger.module.head.emissions[0].weight.data.clone()
    doc = flat_examples(nlp)[0].predicted
    scores = tagger.model.predict(of_one_sentence(nlp.get_pipe("tok2vec")(doc)))[0]
    with pytest.warns(UserWarning, match="HW005.* MISC:") if name == NAMES[1] else nullcontext():
        assert tagger.add_label("MISC") == 1
    assert tagger.add_label("MISC") == 0
    more_scores = tagger.model.predict(of_one_sentence(doc))[0]
    numpy.testing.assert_allclose(more_scores[:, :, : len(before)], scores, atol=1e-5)
    assert tagger.labels[-1] == "MISC"
    assert torch.equal(tagger.module.head.emissions[0].weight.data[: len(before)], before)
    assert len(tagger.tag_set) == len(before) + 4
    more = make_example(nlp, ["Fortran", "is", "old"], [(0, 1, "MISC")])
    nlp.update([more], sgd=nlp.resume_training())


@pytest.mark.parametrize("name", NAMES)
def test_labels_added_before_initialization_stay(name):
    nlp, tagger = tagger_pipeline(name)
    with pytest.warns(UserWarning, match="HW005.* MISC:") if name == NAMES[1] else nullcontext():
        tagger.add_label("MISC")
        nlp.initialize(lambda: flat_examples(nlp))
    assert tagger.labels[0] == "MISC" and set(tagger.labels) > {"MISC"}


@pytest.mark.parametrize("name", NAMES)
def test_odd_texts(name):
    nlp, _tagger = tagger_pipeline(name, max_length=16)
    train(nlp, flat_examples(nlp), epochs=40)
    for words in ([], ["Peru"], words_of_length(5000), ["，"] * 40):
        doc = nlp(make_doc(nlp, words))
        scores_of(doc)
    batch = [make_example(nlp, [], []), make_example(nlp, [], [])]
    nlp.update(batch, sgd=nlp.resume_training())
    nlp.update([*batch, *flat_examples(nlp)], sgd=nlp.resume_training())
    assert list(nlp.pipe([])) == []


@pytest.mark.parametrize("name, model", [(NAMES[0], {"extra_layer": True}), (NAMES[1], {})])
def test_long_entity_across_a_cut(name, model):
    """Cut for the layers above the encoder, not for the tags."""
    nlp, tagger = tagger_pipeline(name, max_length=4, model=model)
    words = ["the", "Royal", "Society", "of", "Letters", "and", "Arts", "met", "."]
    examples = [make_example(nlp, words, [(0, 7, "ORG")]), *flat_examples(nlp)]
    assert len(tagger.read_sentences([examples[0].predicted]).pieces) == 3
    train(nlp, examples, epochs=120, learn_rate=0.003)
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0


def test_pieces_end_after_the_marks_of_the_setting():
    """Of each sentence that is too long on its own, over the tokens of the batch."""
    nlp, tagger = tagger_pipeline(max_length=4, cut_after="/")
    one = make_doc(nlp, list("ab/cdefg,hi/"), sentence_starts=[0, 9])
    other = make_doc(nlp, list("pq/rstu"))
    found = tagger.read_sentences([one, make_doc(nlp, []), other])
    assert [bounds.tolist() for bounds in found.bounds] == [[[0, 9], [9, 12]], [], [[0, 7]]]
    assert found.pieces.tolist() == [[0, 3], [3, 7], [7, 9], [9, 12], [12, 15], [15, 19]]
    assert sorted(found.packing.sizes, reverse=True) == found.packing.sizes
    assert (found.packing.n_sentences, sum(found.packing.sizes)) == (3, 19)


@pytest.mark.parametrize("legal_only", [True, False])
@pytest.mark.parametrize("crf", [True, False])
def test_only_legal_tags(crf, legal_only):
    """In decoding, and for a CRF in the loss: a softmax is trained on each token alone."""
    nlp, tagger = initialized(model={"crf": crf}, legal_only=legal_only)
    numbers = {tag: i for i, tag in enumerate(tagger.tag_set.tags)}
    (layer,) = tagger.module.head.emissions
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    layer.bias.data[numbers["M-GPE"]] = 2.0  # the best of each token, which never stands alone
    layer.bias.data[numbers["S-GPE"]] = 1.0
    doc = make_doc(nlp, ["Peru", "Chile", "Peru"])
    found = group_of(nlp(doc))
    assert found == ([(i, i + 1, "GPE") for i in range(3)] if legal_only else [(0, 3, "GPE")])
    scores = tagger.model.predict(of_one_sentence(doc))
    tags = numpy.full((1, 3), numbers["S-GPE"])
    loss, _ = tagger.get_loss(tags, Packing([3]), scores)
    free = math.log(len(numbers) - 2 + math.exp(2) + math.exp(1)) - 1
    assert loss < free - 0.1 if crf and legal_only else loss == pytest.approx(free, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gold_across_sentences_is_told_and_not_learned(name):
    nlp, _ = tagger_pipeline(name)
    words, spans = FLAT[0]
    crossing = make_doc(nlp, words, [*spans, (1, 5, "PER")])
    examples = [
        Example(make_doc(nlp, words, sentence_starts=[0, 3]), crossing.copy()) for _ in range(2)
    ]
    optimizer = nlp.initialize(lambda: examples)  # in no sentence: not a matter of layers
    with pytest.warns(UserWarning, match=rf"\[HW002\] 1 gold spans .*'{name}'") as told:
        for _ in range(2):
            nlp.update(examples, sgd=optimizer)
    assert len(told) == 1


@pytest.mark.parametrize("name", NAMES)
def test_sentences_of_prediction_time_that_training_lacks_are_told(name):
    nlp, _ = tagger_pipeline(name)
    nlp.add_pipe("sentencizer", first=True)
    examples = flat_examples(nlp)
    with nlp.select_pipes(disable="sentencizer"):  # as a frozen component is
        optimizer = nlp.initialize(lambda: examples)
    with pytest.warns(UserWarning, match=rf"\[HW003\].*sentencizer.*'{name}'") as told:
        for _ in range(2):
            nlp.update(examples, sgd=optimizer)
    assert len(told) == 1
    nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer, annotates=["sentencizer"])


def test_dropout_of_the_extra_layer_is_where_bert_has_it():
    """Not after the activation."""
    layer = ExtraLayer(16, 4, 0.5).layer
    assert (layer.dropout.p, layer.dropout1.p, layer.dropout2.p) == (0.0, 0.5, 0.5)
    assert layer.self_attn.dropout == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_unknown_label(name):
    nlp, _ = initialized(name)
    with pytest.raises(ValueError, match=r"HE007.*'LAW'"):
        nlp.update([make_example(nlp, ["a"], [(0, 1, "LAW")])])


@pytest.mark.parametrize("name", NAMES)
def test_no_label(name):
    nlp, _ = tagger_pipeline(name)
    with pytest.raises(ValueError, match="HE003"):
        nlp.initialize(lambda: [make_example(nlp, ["a"], [])])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"scheme": "IOB1"}, "HE004"),
        ({"max_length": 0}, "HE078"),
        ({"candidates_key": "entities"}, "HE015.*'entities'"),
        ({"model": {"layers": 0}}, "HE078"),
        ({"model": {"dropout": 1.5}}, "HE002"),
        ({"model": {"transition_rate": -1.0}}, "HE002"),
        ({"model": {"heads": 7, "extra_layer": True}}, "HE011"),
    ],
)
def test_bad_settings(name, settings, message):
    if name == NAMES[1]:
        settings = {**settings, "model": dict(settings.get("model", {}))}
        settings["model"].pop("extra_layer", None)
    with pytest.raises(ValueError, match=message):
        tagger_pipeline(name, **settings)


def test_a_softmax_has_no_transitions_to_learn():
    nlp, tagger = tagger_pipeline(model={"crf": False})
    train(nlp, flat_examples(nlp), epochs=3)
    head = tagger.module.head
    assert not any(part.any() for part in (head.start, head.transitions, head.end))
    nlp, tagger = tagger_pipeline()
    train(nlp, flat_examples(nlp), epochs=3)
    assert tagger.module.head.transitions.any()


def test_the_extra_layer_is_one_transformer_layer_over_each_piece():
    torch.manual_seed(0)
    layer = ExtraLayer(16, 4, 0.0).eval()
    assert sum(p.numel() for p in ExtraLayer(768, 12, 0.1).parameters()) == 7_087_872
    tokens, lengths = torch.randn(12, 16), [5, 1, 6]
    ends = numpy.cumsum(lengths)
    pieces = torch.tensor([[end - n, end] for end, n in zip(ends, lengths, strict=True)])
    with torch.no_grad():
        together = layer(tokens, pieces)
        for start, end in pieces.tolist():
            alone = layer.layer(tokens[None, start:end])[0]
            torch.testing.assert_close(together[start:end], alone)


def test_the_seqeval_score_is_the_same():
    """Of a half-trained tagger, in BIO."""
    nlp, _ = tagger_pipeline(scheme="BIO")
    examples = flat_examples(nlp)
    train(nlp, [*examples[:2], examples[2]], epochs=2)
    ours = nlp.evaluate(examples)["spans_entities_f"]

    def tags(doc):
        return encode_tags([LabelledSpan(*span) for span in group_of(doc)], len(doc), "BIO")

    gold = [tags(eg.reference) for eg in examples]
    found = [tags(nlp(make_doc(nlp, words))) for words, _ in FLAT]
    assert 0 < ours < 1
    assert ours == pytest.approx(f1_score(gold, found, mode="strict", scheme=IOB2))


def test_settings_of_the_model_are_checked_without_a_component():
    _, tagger = tagger_pipeline()
    listener = tagger.model.get_ref("tok2vec")
    with pytest.raises(ValueError, match="HE006"):
        build_token_tagger_model(listener, width=WIDTH + 1)


def test_tokens_that_are_not_the_gold_ones():
    """Gold spans reach the predicted tokens through characters; one that splits a token is lost."""
    nlp, tagger = tagger_pipeline()
    reference = Doc(nlp.vocab, words=["New", "York-based", "firm"])
    reference.spans["entities"] = [reference.char_span(0, 3, label="GPE")]
    predicted = Doc(nlp.vocab, words=["New", "York-", "based", "firm"], spaces=[1, 0, 1, 0])
    nlp.initialize(lambda: flat_examples(nlp))
    losses = nlp.update([Example(predicted, reference)], sgd=nlp.resume_training())
    assert numpy.isfinite(losses[NAMES[0]])
    assert isinstance(tagger.module, nn.Module)
