"""Both stages in one pipeline: decoding, joint training, over-fitting, long and empty texts."""

from itertools import pairwise

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from util import (
    LONG_LENGTH,
    LONG_SENTENCE,
    NESTED_SENTENCES,
    WIDTH,
    add_classifier,
    add_proposer,
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

from spacy_hetner.encoders.spacy_adapter import torch_encoder
from spacy_hetner.locate.component import _logit
from spacy_hetner.locate.model import propose
from spacy_hetner.spans.adjust import adjust_spans
from spacy_hetner.spans.batch import SpanBatch

PROPOSER, CLASSIFIER = "hetner_span_proposer", "hetner_span_classifier"
SENTENCES = [*NESTED_SENTENCES, LONG_SENTENCE]
ENCODER_WIDTH = 32


def overfit_examples(nlp):
    return [make_example(nlp, *sentence) for sentence in SENTENCES]


def torch_head(nlp, name):
    return nlp.get_pipe(name).model.get_ref("head").shims[0]._model


def transformer_stages(folder):
    """Both heads over the shared representation of a tiny transformer."""
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(folder)}
    nlp.add_pipe("transformer", config={"model": encoder})
    representation = {
        "@architectures": "spacy_hetner.TokenRepresentation.v1",
        "width": ENCODER_WIDTH,
    }
    nlp.add_pipe("tok2vec", config={"model": representation})
    add_proposer(nlp, width=ENCODER_WIDTH)
    add_classifier(nlp, width=ENCODER_WIDTH)
    return nlp


@pytest.fixture(scope="module")
def trained():
    """Over-fitted on 20 nested sentences; tests must not train it further."""
    nlp = two_stages(classifier={"nms_decay": 0.5})
    train(nlp, overfit_examples(nlp), epochs=90)
    return nlp


def predictions(nlp):
    return [group_of(nlp(make_doc(nlp, words))) for words, _ in SENTENCES]


# Decoding


class ScriptedHeads(torch.nn.Module):
    """Answers the filter's and the regressor's questions from a list."""

    def __init__(self, probabilities, offsets):
        super().__init__()
        self.logits, self.offsets = torch.logit(probabilities), offsets
        self.settings = {"width": 1}

    def propose(self, tokens, spans, bounds, min_logit):
        kept = (self.logits >= min_logit).nonzero().squeeze(1)
        return kept, self.logits[kept], self.offsets[kept]


def decoder_for(case):
    nlp = two_stages(
        classifier={"nms_iou": case["k"], "nms_decay": case["u"], "min_score": case["delta"]}
    )
    classifier = nlp.get_pipe(CLASSIFIER)
    for label in case["labels"][1:]:
        classifier.add_label(label)
    return nlp, classifier


def labelled(found):
    rows = zip(found.spans.tolist(), found.labels, found.scores.tolist(), strict=True)
    return sorted((*span, label, pytest.approx(score, abs=1e-5)) for span, label, score in rows)


def test_two_stage_decoding_golden(golden):
    """From given probabilities and offsets to entities, step by step."""
    statuses = set()
    for case in golden("two_stage_decode")["cases"]:
        nlp, classifier = decoder_for(case)
        model = nlp.get_pipe(PROPOSER).model
        model.get_ref("head").shims[0]._model = ScriptedHeads(
            torch.tensor(case["p_filter"], dtype=torch.float64),
            torch.tensor(case["offsets"], dtype=torch.float64),
        )
        seeds = span_array(case["seeds"])
        bounds = numpy.tile([[0, case["n"]]], (len(seeds), 1))
        tokens = [numpy.zeros((case["n"], 1), dtype="float32")]
        kept, _, offsets = propose(
            model, SpanBatch(tokens, seeds, bounds), _logit(case["filter_threshold"])
        )
        spans, legal = adjust_spans(seeds[kept], offsets, bounds[kept, 0], bounds[kept, 1])
        left, spans = kept[legal], spans[legal]
        probabilities = numpy.array(case["class_probs"])[left]
        best = probabilities.argmax(1)
        by_seed = {seed: i for i, seed in enumerate(left.tolist())}
        for step in case["steps"]:
            seed = step["seed"]
            statuses.add(step["status"])
            if step["status"] == "filtered":
                assert seed not in kept
            elif step["status"] == "degenerate":
                assert seed in kept and seed not in by_seed
            else:
                at = by_seed[seed]
                assert spans[at].tolist() == step["span"]
                assert case["labels"][best[at]] == step["label"]
                assert probabilities[at, best[at]] == pytest.approx(step["score"])
        final = labelled(classifier._decode(spans, probabilities))
        assert final == sorted(map(tuple, case["final"])), case["name"]
        classifier.settings.update(use_soft_nms=False, min_score=0.0)
        deduped = labelled(classifier._decode(spans, probabilities))
        assert deduped == sorted(map(tuple, case["deduped"])), case["name"]
    assert statuses == {"filtered", "degenerate", "none", "candidate"}


# Joint training


def gradients(module):
    found = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    return found


def test_no_gradient_flows_from_the_classifier_to_the_proposer():
    """Only indices are passed on: the heads of stage one learn from their own losses alone."""
    nlp = two_stages(proposer={"filter_weight": 0.0, "regressor_weight": 0.0})
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=False)
    assert losses[PROPOSER] == 0 < losses[CLASSIFIER]
    of_proposer = gradients(torch_head(nlp, PROPOSER))
    assert of_proposer and not any(grad.any() for grad in of_proposer.values())
    of_classifier = gradients(torch_head(nlp, CLASSIFIER))
    assert all(grad.any() for grad in of_classifier.values())
    assert losses["tok2vec"] > 0, "the token vectors do learn from it"


def test_both_stages_train_one_encoder(tiny_encoder, tmp_path):
    """One pass of the encoder an update, whose gradient is the sum of what both stages send."""
    nlp = transformer_stages(tiny_encoder)
    examples = overfit_examples(nlp)[-8:]
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    encoder = torch_encoder(nlp.get_pipe("transformer").model)
    calls = []
    encoder.register_forward_hook(lambda *args: calls.append(1))
    proposer, classifier = nlp.get_pipe(PROPOSER), nlp.get_pipe(CLASSIFIER)

    def encoder_gradient(of_proposer, of_classifier):
        proposer.settings.update(filter_weight=of_proposer, regressor_weight=of_proposer)
        classifier.settings["loss_weight"] = of_classifier
        proposer.rng = numpy.random.default_rng(0)
        fix_random_seed(0)
        nlp.update(examples, sgd=False)
        for name in (PROPOSER, CLASSIFIER):
            torch_head(nlp, name).zero_grad()
        return gradients(encoder)

    first, second = encoder_gradient(1.0, 0.0), encoder_gradient(0.0, 1.0)
    both = encoder_gradient(1.0, 1.0)
    assert len(calls) == 3
    assert any(grad.any() for grad in first.values())
    assert any(grad.any() for grad in second.values())
    for name, grad in both.items():
        torch.testing.assert_close(grad, first[name] + second[name], rtol=1e-3, atol=1e-6)

    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer.learn_rate = 0.003
    calls.clear()
    losses = [nlp.update(examples, sgd=optimizer) for _ in range(15)]
    assert len(calls) == 15
    assert losses[-1][PROPOSER] < losses[0][PROPOSER]
    assert losses[-1][CLASSIFIER] < losses[0][CLASSIFIER]
    changed = [n for n, value in encoder.state_dict().items() if not torch.equal(value, before[n])]
    assert any("embeddings" in name for name in changed) and len(changed) > len(before) / 2

    classifier.settings["min_score"] = 0.0
    nlp.to_disk(tmp_path / "model")
    again = spacy.load(tmp_path / "model")
    compare_pipelines(nlp, again, exact=True)


def compare_pipelines(one, other, *, exact):
    found = 0
    for words, _ in SENTENCES:
        docs = [nlp(make_doc(nlp, words)) for nlp in (one, other)]
        for key in ("candidates", "entities"):
            assert group_of(docs[0], key) == group_of(docs[1], key)
            scores = [scores_of(doc, key) for doc in docs]
            if exact:
                assert scores[0].tolist() == scores[1].tolist()
            else:
                numpy.testing.assert_allclose(*scores, atol=1e-5)
            found += len(scores[0])
    assert found > 0


def degenerate_batches(nlp):
    empty = make_example(nlp, [], [])
    one_token = make_example(nlp, ["Ada"], [(0, 1, "PER")])
    no_entity = make_example(nlp, ["nothing", "here"], [])
    not_annotated = Example(make_doc(nlp, ["a", "b"]), make_doc(nlp, ["a", "b"]))
    normal = make_example(nlp, *NESTED_SENTENCES[0])
    return [
        [empty],
        [empty, empty],
        [one_token],
        [no_entity],
        [not_annotated],
        [empty, one_token, normal, empty, no_entity],
        [normal],
    ]


@pytest.fixture(params=["tok2vec", "transformer"])
def untrained(request, tiny_encoder):
    """Both kinds of encoder, since their listeners differ on docs without tokens."""
    nlp = two_stages() if request.param == "tok2vec" else transformer_stages(tiny_encoder)
    fix_random_seed(0)
    nlp.initialize(lambda: nested_examples(nlp))
    return nlp


def assert_finite(nlp, losses):
    assert all(numpy.isfinite(value) for value in losses.values())
    for name in (PROPOSER, CLASSIFIER):
        assert all(torch.isfinite(p).all() for p in torch_head(nlp, name).parameters())


def test_degenerate_batches(untrained):
    """No token, one token, no entity, in one batch or alone: all train, and all predict."""
    nlp = untrained
    for batch in degenerate_batches(nlp):
        assert_finite(nlp, nlp.update(batch))
        docs = list(nlp.pipe([make_doc(nlp, [t.text for t in eg.x]) for eg in batch]))
        for doc in docs:
            for key in ("candidates", "entities"):
                assert len(scores_of(doc, key)) == len(doc.spans[key])
            assert len(doc) or not doc.spans["entities"]


def test_a_batch_without_candidates(untrained):
    """The regressor inverts every seed: nothing to classify, in training or prediction."""
    nlp = untrained
    bias = torch_head(nlp, PROPOSER).regressor.output.bias
    bias.data = torch.tensor([50.0, -50.0])
    examples = nested_examples(nlp)
    losses = nlp.update(examples)
    assert_finite(nlp, losses)
    assert losses[CLASSIFIER] == 0 < losses[PROPOSER]
    docs = list(nlp.pipe(make_doc(nlp, words) for words, _ in NESTED_SENTENCES[:3]))
    assert not any(len(doc.spans[key]) for doc in docs for key in ("candidates", "entities"))
    bias.data = torch.zeros(2)
    assert nlp.update(examples)[CLASSIFIER] > 0, "the next batch is trained on again"


def test_a_frozen_proposer_annotates():
    """Its candidates are then read from the docs, as another proposer's would be."""
    nlp = two_stages()
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=30)
    before = nlp.get_pipe(PROPOSER).model.to_bytes()
    frozen = ["tok2vec", PROPOSER]
    classifier = nlp.get_pipe(CLASSIFIER)
    classifier.initialize(lambda: examples)
    assert nlp.evaluate(examples)["spans_entities_f"] < 0.5
    optimizer = nlp.resume_training()
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, exclude=frozen, annotates=frozen)
    assert nlp.get_pipe(PROPOSER).model.to_bytes() == before
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0


# What is learned


def test_overfit(trained):
    """All nested entities and nothing else, one of them longer than every seed."""
    assert max(trained.get_pipe(PROPOSER).settings["lengths"]) < LONG_LENGTH
    scores = trained.evaluate(overfit_examples(trained))
    assert scores["spans_entities_f"] == 1.0
    assert scores["candidates_recall"] == 1.0
    assert predictions(trained) == [spans for _, spans in SENTENCES]
    assert (2, 2 + LONG_LENGTH, "ORG") in predictions(trained)[-1]


def test_without_the_regressor_the_long_entity_is_not_found():
    nlp = two_stages(proposer={"use_regressor": False})
    train(nlp, overfit_examples(nlp), epochs=60)
    scores = nlp.evaluate(overfit_examples(nlp))
    assert scores["spans_entities_per_type"]["PER"]["f"] == 1.0
    found = [span for spans in predictions(nlp) for span in spans]
    assert max(end - start for start, end, _ in found) <= 15
    assert scores["spans_entities_r"] < 1.0


def test_save_and_load(trained, tmp_path):
    """The same spans with the same scores, from disk and from bytes, and it goes on learning."""
    trained.to_disk(tmp_path / "model")
    again = spacy.load(tmp_path / "model")
    compare_pipelines(trained, again, exact=True)
    from_bytes = two_stages(classifier={"nms_decay": 0.5}).from_bytes(trained.to_bytes())
    compare_pipelines(trained, from_bytes, exact=True)
    assert again.get_pipe(CLASSIFIER).labels == trained.get_pipe(CLASSIFIER).labels
    optimizer = again.resume_training()
    losses = again.update(overfit_examples(again), sgd=optimizer)
    assert losses[CLASSIFIER] < 0.05


def test_settings_come_from_the_config(trained, tmp_path):
    """To the last bit (an IoU of 0.7 must reach a threshold of 0.7), and open to overrides."""
    trained.to_disk(tmp_path / "model")
    again = spacy.load(tmp_path / "model")
    for name in (PROPOSER, CLASSIFIER):
        assert again.get_pipe(name).settings == trained.get_pipe(name).settings
    overrides = {f"components.{CLASSIFIER}.min_score": 0.75, f"components.{PROPOSER}.eta": 0.5}
    other = spacy.load(tmp_path / "model", config=overrides)
    assert other.get_pipe(CLASSIFIER).settings["min_score"] == 0.75
    assert other.get_pipe(PROPOSER).settings["eta"] == 0.5
    assert other.get_pipe(CLASSIFIER).labels == trained.get_pipe(CLASSIFIER).labels


def test_pipe_equals_call(trained):
    """Whatever shares the batch: the same spans, scores equal up to float32 rounding."""
    texts = [words for words, _ in SENTENCES] + [[], ["Ada"], []]
    for batch_size in (4, 100):
        piped = trained.pipe((make_doc(trained, words) for words in texts), batch_size=batch_size)
        for words, doc in zip(texts, piped, strict=True):
            alone = trained(make_doc(trained, words))
            for key in ("candidates", "entities"):
                assert group_of(doc, key) == group_of(alone, key)
                numpy.testing.assert_allclose(scores_of(doc, key), scores_of(alone, key), atol=1e-5)


def test_soft_nms_switch_in_the_pipeline(trained, tmp_path):
    """Without decay no score falls and no entity is lost."""
    trained.to_disk(tmp_path / "model")
    other = spacy.load(tmp_path / "model")
    settings = {"nms_iou": 0.05, "nms_decay": 0.5, "min_score": 0.4}
    other.get_pipe(CLASSIFIER).settings.update(settings)
    decayed = [other(make_doc(other, words)) for words, _ in SENTENCES]
    other.get_pipe(CLASSIFIER).settings["use_soft_nms"] = False
    plain = [other(make_doc(other, words)) for words, _ in SENTENCES]
    for one, two in zip(decayed, plain, strict=True):
        scores = dict(zip(group_of(two), scores_of(two), strict=True))
        assert set(group_of(one)) <= set(scores)
        for span, score in zip(group_of(one), scores_of(one), strict=True):
            assert score <= scores[span] + 1e-6
    totals = [sum(scores_of(doc).sum() for doc in docs) for docs in (decayed, plain)]
    assert totals[0] < totals[1]


# What comes out


@pytest.mark.parametrize("policy", ["score", "longest", "outermost", "innermost"])
def test_resolved_entities_never_overlap(trained, tmp_path, policy):
    """doc.ents is flat, doc.spans keeps the nested entities."""
    trained.to_disk(tmp_path / "model")
    nlp = spacy.load(tmp_path / "model")
    nlp.add_pipe("hetner_resolver", config={"policy": policy})
    nested = 0
    for words, gold in SENTENCES:
        doc = nlp(make_doc(nlp, words))
        ents = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
        assert ents and set(ents) <= set(group_of(doc))
        assert all(a[1] <= b[0] for a, b in pairwise(ents))
        assert group_of(doc) == gold
        nested += len(gold) - len(ents)
    assert nested > 0


def test_predictions_round_trip_as_gold(trained, tmp_path):
    """Nested spans and scores survive a DocBin, and serve as annotations again."""
    docs = [trained(make_doc(trained, words)) for words, _ in SENTENCES]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "found.spacy")
    again = list(DocBin().from_disk(tmp_path / "found.spacy").get_docs(trained.vocab))
    for doc, copy, (_, gold) in zip(docs, again, SENTENCES, strict=True):
        assert group_of(copy) == gold
        assert scores_of(copy).tolist() == scores_of(doc).tolist()
    examples = [Example(make_doc(trained, [t.text for t in doc]), doc) for doc in again]
    assert trained.evaluate(examples)["spans_entities_f"] == 1.0


def test_two_classifiers_share_a_proposer():
    """The second one learns from the same candidates as the first."""
    nlp = two_stages()
    second = nlp.add_pipe(
        CLASSIFIER,
        name="second",
        config={"model": {"dropout": 0.0, "tok2vec": {"width": WIDTH}}},
    )
    examples = nested_examples(nlp)
    nlp.initialize(lambda: examples)
    seen = {}
    for classifier in (nlp.get_pipe(CLASSIFIER), second):
        measure = classifier.get_loss

        def get_loss(paired, logits, measure=measure, name=classifier.name):
            seen[name] = [p.spans.tolist() for p in paired]
            return measure(paired, logits)

        classifier.get_loss = get_loss
    nlp.update(examples)
    assert seen["second"] == seen[CLASSIFIER]
    assert all(len(spans) > 4 for spans in seen["second"])


def test_other_names_of_groups():
    """Both components score the groups that they were told."""
    keys = {"spans_key": "gold", "candidates_key": "found"}
    nlp = two_stages(proposer=keys, classifier=keys)
    sentences = NESTED_SENTENCES[:5]
    examples = [
        Example(make_doc(nlp, words), make_doc(nlp, words, spans, key="gold"))
        for words, spans in sentences
    ]
    train(nlp, examples, epochs=30)
    scores = nlp.evaluate(examples)
    assert scores["spans_gold_f"] == 1.0 and scores["found_recall"] == 1.0


# Long texts


def test_a_text_of_5000_tokens_with_an_entity_of_1000():
    """One sentence: trained on and predicted whole, candidates up to its last token."""
    n, long_span = 5000, (200, 1200, "ORG")
    nlp = two_stages(proposer={"filter_threshold": 0.0}, classifier={"min_score": 0.0})
    example = make_example(nlp, words_of_length(n), [long_span, (0, 2, "PER"), (n - 2, n, "PER")])
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: [example])
    first = nlp.update([example], sgd=optimizer)
    last = [nlp.update([example], sgd=optimizer) for _ in range(3)][-1]
    assert_finite(nlp, last)
    assert last[PROPOSER] < first[PROPOSER]
    doc = nlp(make_doc(nlp, words_of_length(n)))
    assert len(doc.spans["candidates"]) > n
    assert max(span.end for span in doc.spans["candidates"]) == n
    assert_ordered(group_of(doc))


def test_candidates_can_be_of_any_length():
    """A given candidate of 1,000 tokens is scored like others."""
    nlp = two_stages()
    nlp.initialize(lambda: nested_examples(nlp))
    classifier = nlp.get_pipe(CLASSIFIER)
    doc = make_doc(nlp, words_of_length(1200), [(100, 1100, ""), (3, 4, "")], key="candidates")
    doc.tensor = with_vectors(make_doc(nlp, words_of_length(1200)), 64).tensor
    spans = span_array(group_of(doc, "candidates"))
    logits = classifier.model.predict(([doc], spans, spans))
    assert logits.shape == (2, 4) and numpy.isfinite(logits).all()


def assert_ordered(spans):
    assert spans == sorted(spans, key=lambda span: (span[0], -span[1]))


def test_docs_are_not_modified_by_predict(trained):
    doc = make_doc(trained, SENTENCES[0][0])
    doc = trained.get_pipe("tok2vec")(doc)
    trained.get_pipe(PROPOSER).predict([doc])
    trained.get_pipe(CLASSIFIER).predict([doc])
    assert isinstance(doc, Doc) and not doc.spans
