"""The component hetner_decoupled_scorer."""

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy
import pytest
import spacy
import torch
from decoupled.cases import (
    CANDIDATES,
    NAME,
    forget,
    make_examples,
    sentence,
)
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModel, AutoTokenizer
from util import group_of, make_doc, make_example, scores_of, span_array

from spacy_hetner.decoupled.model import build_decoupled_model, row_encoder
from spacy_hetner.decoupled.module import Logits
from spacy_hetner.evaluation.scorers import make_candidates_scorer
from spacy_hetner.spans.groups import make_span_group

Make = Callable[..., Language]
PARTS = ("scores", "mention_scores", "context_scores")


def annotations(doc: Doc) -> Any:
    """All that the scorer writes."""
    return group_of(doc), [doc.spans["entities"].attrs[part] for part in PARTS]


def assert_close(one: Doc, other: Doc, tolerance: float) -> None:
    spans, scores = annotations(one)
    expected, expected_scores = annotations(other)
    assert spans == expected
    for found, wanted in zip(scores, expected_scores, strict=True):
        numpy.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def all_entities(nlp: Language) -> None:
    """Let the global classifier take everything for an entity, of whatever label."""
    nlp.get_pipe(NAME).model.get_ref("head").shims[0]._model.both.bias.data[0] = -1e4


def logits_of(nlp: Language, docs: List[Doc], spans: List[Any]) -> Logits:
    arrays = [span_array(part) for part in spans]
    return nlp.get_pipe(NAME).model.predict((docs, arrays))


def weights_of(nlp: Language, side: str) -> Dict[str, torch.Tensor]:
    module = row_encoder(nlp.get_pipe(NAME).model, side)
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def plain_sgd(key: Any, weights: Any, gradient: Any, **settings: Any) -> Any:
    """An optimizer without decay or momentum."""
    return weights - 0.1 * gradient, gradient * 0


def docs_of(nlp: Language, n: int = 12) -> List[Doc]:
    return [make_doc(nlp, sentence(i)[0]) for i in range(n)]


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.5}, r"\[HE002\] alpha must lie in \[0, 1\]"),
        ({"beta": -0.5}, r"\[HE002\] beta must lie in \[0, 1\]"),
        ({"negative_ratio": -1.0}, r"\[HE002\] negative_ratio"),
        ({"min_negatives": -1}, r"\[HE078\] min_negatives"),
        ({"max_edit_distance": -1}, r"\[HE078\] max_edit_distance"),
        ({"batch_regions": 0}, r"\[HE078\] batch_regions"),
        ({"candidate_budget": 0}, r"\[HE078\] candidate_budget"),
        ({"spans_key": "candidates"}, r"\[HE015\]"),
    ],
)
def test_bad_settings(make_pipeline: Make, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_pipeline(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.5}, r"\[HE002\] dropout"),
        ({"min_density": 2.0}, r"\[HE002\] min_density"),
        ({"precision": "fp8"}, r"\[HE004\] Unknown precision"),
        ({"window": 0}, r"\[HE078\] window"),
        ({"max_batch_pieces": 0}, r"\[HE078\] max_batch_pieces"),
        ({"cache_size": -1}, r"\[HE078\] cache_size"),
        ({"context_name": "x"}, r"\[HE252\] context_name = 'x'.*shared = false"),
    ],
)
def test_bad_settings_of_the_model(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_decoupled_model("folder", **settings)


@pytest.mark.parametrize(
    ("folder", "message"), [("", r"\[HE253\].*Set name"), ("nowhere", r"\[HE020\].*nowhere")]
)
def test_no_encoder(make_pipeline: Make, folder: str, message: str) -> None:
    nlp = make_pipeline(model={"name": folder})
    with pytest.raises(ValueError, match=message):
        nlp.initialize(lambda: make_examples(nlp))


def test_an_encoder_without_a_mask_piece(
    make_pipeline: Make, encoder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "copy"))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            content = json.loads((folder / name).read_text(encoding="utf8"))
            content["mask_token"] = None
            (folder / name).write_text(json.dumps(content), encoding="utf8")
    nlp = make_pipeline(model={"name": str(folder)})
    with pytest.raises(ValueError, match=r"\[HE250\]"):
        nlp.initialize(lambda: make_examples(nlp))


def test_labels(make_pipeline: Make, initialized: Make) -> None:
    assert initialized().get_pipe(NAME).labels == ("GPE", "PER")
    nlp = make_pipeline()
    nlp.config["initialize"]["components"][NAME] = {"labels": ["PER", "ORG", "GPE"]}
    nlp.initialize(lambda: make_examples(nlp))
    assert nlp.get_pipe(NAME).label_data == ["PER", "ORG", "GPE"]
    nlp = make_pipeline()
    nlp.get_pipe(NAME).add_label("ORG")
    nlp.initialize(lambda: make_examples(nlp))
    assert nlp.get_pipe(NAME).labels == ("ORG", "GPE", "PER")
    nlp = make_pipeline()
    with pytest.raises(ValueError, match=rf"\[HE003\].*'{NAME}' has no labels"):
        nlp.initialize(lambda: [make_example(nlp, ["我"], [])])


def test_unknown_label_in_update(initialized: Make) -> None:
    nlp = initialized()
    with pytest.raises(ValueError, match=r"\[HE007\] The label 'ORG'.*\(GPE, PER\)"):
        nlp.update([make_example(nlp, ["我", "在"], [(0, 1, "ORG")])], annotates=[CANDIDATES])


def test_before_initialization(make_pipeline: Make) -> None:
    nlp = make_pipeline()
    assert annotations(nlp("我在北京"))[0] == []
    nlp.get_pipe(NAME).add_label("PER")
    with pytest.raises(ValueError, match=r"\[HE033\]"):
        nlp("我在北京")


# Learning


def test_it_learns_its_sentences(trained: Language) -> None:
    """Twelve sentences, of which it has seen eight: names and contexts, not sentences."""
    scores = trained.evaluate(make_examples(trained, 12))
    assert scores["spans_entities_f"] == 1.0
    assert scores["candidates_recall"] == 1.0
    for doc in trained.pipe(docs_of(trained)):
        for part in PARTS:
            values = doc.spans["entities"].attrs[part]
            assert values.dtype == "float32" and values.shape == (2,)
            assert (values > 0.5).all()


def test_two_parts_tell_why(trained: Language) -> None:
    """A known name in a place for places: either classifier says what it knows."""
    doc = trained(make_doc(trained, list("北京住在张三")))
    scorer = trained.get_pipe(NAME)
    logits = logits_of(trained, [doc], [[(0, 2), (4, 6)]])
    gpe, per = (1 + scorer.labels.index(label) for label in ("GPE", "PER"))
    assert logits.mention.argmax(1).tolist() == [gpe, per]
    assert logits.context.argmax(1).tolist() == [per, gpe]


def test_only_the_global_classifier_decides(trained: Language) -> None:
    before = [annotations(doc) for doc in trained.pipe(docs_of(trained))]
    head = trained.get_pipe(NAME).model.get_ref("head").shims[0]._model
    for layer in (head.mention, head.context):
        layer.weight.data.neg_()
    after = [annotations(doc) for doc in trained.pipe(docs_of(trained))]
    for (spans, scores), (other, others) in zip(before, after, strict=True):
        assert spans == other and numpy.array_equal(scores[0], others[0])
        assert not numpy.array_equal(scores[1], others[1])
        assert not numpy.array_equal(scores[2], others[2])


def test_scores_are_probabilities_of_the_label(trained: Language) -> None:
    doc = trained(make_doc(trained, sentence(3)[0]))
    spans, scores = annotations(doc)
    logits = logits_of(trained, [doc], [spans])
    columns = [1 + trained.get_pipe(NAME).labels.index(label) for *_, label in spans]
    for part, found in zip(logits, scores, strict=True):
        expected = torch.softmax(torch.from_numpy(part), 1)[range(len(spans)), columns]
        numpy.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_losses_of_the_parts_can_be_switched_off(initialized: Make) -> None:
    """alpha = beta = 0: the loss is that of the global classifier, the others stay as they are."""
    nlp = initialized(alpha=0.0, beta=0.0)
    head = nlp.get_pipe(NAME).model.get_ref("head").shims[0]._model
    before = {name: value.clone() for name, value in head.named_parameters()}
    targets = numpy.array([0, 1, 2, 1])
    rng = numpy.random.default_rng(0)
    logits = Logits(*(rng.standard_normal((4, 3)).astype("float32") for _ in range(3)))
    value, gradient = nlp.get_pipe(NAME).get_loss(targets, logits)
    plain = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits.both), torch.from_numpy(targets)
    )
    assert value == pytest.approx(plain.item(), rel=1e-6)
    assert not gradient.mention.any() and not gradient.context.any()
    sgd: Any = plain_sgd
    nlp.update(make_examples(nlp), annotates=[CANDIDATES], sgd=sgd)
    changed = {n for n, value in head.named_parameters() if not torch.equal(value, before[n])}
    assert changed == {"both.weight", "both.bias"}


@pytest.mark.parametrize("shared", [True, False])
def test_sharing(initialized: Make, shared: bool) -> None:
    """One set of weights, or two that start alike and are both trained."""
    nlp = initialized(model={"shared": shared})
    model = nlp.get_pipe(NAME).model
    mention, context = (row_encoder(model, side) for side in ("mention", "context"))
    assert (mention is context) == shared
    parameters = {id(p) for side in (mention, context) for p in side.parameters()}
    assert len(parameters) == len(list(mention.parameters())) * (1 if shared else 2)
    before = [weights_of(nlp, side) for side in ("mention", "context")]
    assert all(torch.equal(value, before[1][name]) for name, value in before[0].items())
    nlp.update(make_examples(nlp), annotates=[CANDIDATES])
    after = [weights_of(nlp, side) for side in ("mention", "context")]
    for old, new in zip(before, after, strict=True):
        assert not torch.equal(
            old["transformer.encoder.layer.0.attention.self.value.weight"],
            new["transformer.encoder.layer.0.attention.self.value.weight"],
        )
    alike = all(torch.equal(value, after[1][name]) for name, value in after[0].items())
    assert alike == shared
    head = model.get_ref("head").shims[0]._model
    assert {name for name, _ in head.named_parameters()} == {
        "both.weight",
        "both.bias",
        "mention.weight",
        "context.weight",
    }


def test_two_different_encoders(initialized: Make, tiny_encoder: Path) -> None:
    """Each with its own tokenizer; both are saved."""
    nlp = initialized(model={"shared": False, "context_name": str(tiny_encoder)})
    all_entities(nlp)
    mention, context = (row_encoder(nlp.get_pipe(NAME).model, s) for s in ("mention", "context"))
    assert len(mention.tokenizer) != len(context.tokenizer)
    again = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    for doc in docs_of(nlp, 3):
        assert_close(again(Doc(again.vocab, words=[t.text for t in doc])), nlp(doc), 1e-6)


def test_passes_of_one_step_equal_one_pass(initialized: Make) -> None:
    """batch_regions bounds the memory and nothing else."""
    results = []
    for size in (1000, 7, 1):
        fix_random_seed(0)
        nlp = initialized(batch_regions=size, model={"standardized": False})
        for part in row_encoder(nlp.get_pipe(NAME).model, "mention").modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
            if hasattr(part, "dropout_prob"):
                part.dropout_prob = 0.0
        losses: Dict[str, float] = {}
        examples = make_examples(nlp, 3)
        sgd: Any = plain_sgd
        nlp.update(examples, annotates=[CANDIDATES], losses=losses, sgd=sgd)
        results.append((losses[NAME], weights_of(nlp, "mention")))
    for loss, weights in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        for name, value in weights.items():
            torch.testing.assert_close(value, results[0][1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_add_label_keeps_what_was_learned(trained: Language) -> None:
    docs = docs_of(trained, 2)
    spans = [[(0, 2), (1, 3)]] * 2
    before = logits_of(trained, docs, spans)
    assert trained.get_pipe(NAME).add_label("ORG") == 1
    after = logits_of(trained, docs, spans)
    for old, new in zip(before, after, strict=True):
        assert new.shape == (4, 4)
        numpy.testing.assert_allclose(new[:, :3], old, atol=1e-6)
    trained.update([make_example(trained, ["我", "在"], [(0, 1, "ORG")])], annotates=[CANDIDATES])


# What is trained on


def sampled(nlp: Language, example: Example) -> Any:
    """Spans with the labels they should get, "" for none."""
    if CANDIDATES in nlp.pipe_names:
        nlp.get_pipe(CANDIDATES)(example.predicted)
    scorer = nlp.get_pipe(NAME)
    spans, targets = scorer._training_regions(example)
    names = ["", *scorer.labels]
    return [(start, end, names[i]) for (start, end), i in zip(spans.tolist(), targets, strict=True)]


def test_golden_near_misses_are_negatives(initialized: Make, golden: Callable[[str], Any]) -> None:
    case = golden("decoupled")["near_miss_regions"]
    (gold,) = case["mentions"]
    for distance, regions in case["by_max_distance"].items():
        nlp = initialized(
            lengths=(), max_edit_distance=int(distance), negative_ratio=100.0, min_negatives=0
        )
        example = make_example(nlp, list(case["sentence"]), [(*gold, "PER")])
        example.predicted.spans["candidates"] = []
        found = sampled(nlp, example)
        assert found == [(*gold, "PER"), *((start, end, "") for start, end, _ in regions)]
    nlp = initialized(lengths=(), max_edit_distance=None, min_negatives=5)
    assert len(sampled(nlp, example)) == 1


def test_candidates_are_negatives_unless_they_are_gold(initialized: Make) -> None:
    nlp = initialized(lengths=(2,), max_edit_distance=None, negative_ratio=100.0)
    words, gold = sentence(0)
    found = sampled(nlp, make_example(nlp, words, gold))
    assert found == [*gold, (1, 3, ""), (2, 4, ""), (3, 5, "")]


@pytest.mark.parametrize(("ratio", "least", "expected"), [(2.0, 3, [4, 3]), (0.5, 0, [1, 0])])
def test_negatives_are_drawn_by_sentence(
    initialized: Make, ratio: float, least: int, expected: List[int]
) -> None:
    """So many for each positive of a sentence, and so many at least, others each time."""
    nlp = initialized(lengths=(1, 2, 3), negative_ratio=ratio, min_negatives=least)
    words = [*sentence(0)[0], *"我学习大学"]
    draws = []
    for _ in range(2):
        predicted = make_doc(nlp, words, sentence_starts=[0, 6])
        example = Example(predicted, make_doc(nlp, words, sentence(0)[1]))
        found = sampled(nlp, example)
        assert found[:2] == sentence(0)[1]
        negatives = found[2:]
        assert not {span[:2] for span in negatives} & {span[:2] for span in sentence(0)[1]}
        assert len(set(negatives)) == len(negatives)
        assert [sum(s < 6 for s, *_ in negatives), sum(s >= 6 for s, *_ in negatives)] == expected
        draws.append(found)
    assert draws[0] != draws[1]


def test_draws_depend_on_the_seed(initialized: Make) -> None:
    def draw(seed: int) -> Any:
        nlp = initialized(seed=seed, negative_ratio=1.0)
        return [sampled(nlp, example) for example in make_examples(nlp)]

    assert draw(0) == draw(0) != draw(1)


def test_training_without_candidates_is_an_error(initialized: Make) -> None:
    nlp = initialized(lengths=())
    with pytest.raises(ValueError, match=r"\[HE009\].*annotating_components"):
        nlp.update(make_examples(nlp))


def test_docs_with_little_in_them(initialized: Make) -> None:
    """Empty docs, docs without candidates or gold spans: alone, and beside others."""
    nlp = initialized(lengths=(1,), max_edit_distance=None)
    poor = [make_example(nlp, [], []), Example(make_doc(nlp, []), make_doc(nlp, []))]
    before = weights_of(nlp, "mention")
    assert nlp.update(poor, annotates=[CANDIDATES]) == {NAME: 0.0}
    after = weights_of(nlp, "mention")
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    negatives_only = [make_example(nlp, ["我", "在"], []), *poor]
    losses = nlp.update(negatives_only, annotates=[CANDIDATES])
    assert losses[NAME] > 0
    assert numpy.isfinite(nlp.update([*poor, *make_examples(nlp, 2)], annotates=[CANDIDATES])[NAME])
    for words in ([], ["我"], [" "]):
        doc = nlp(make_doc(nlp, words))
        assert len(scores_of(doc)) == len(doc.spans["entities"])
    scorer = nlp.get_pipe(NAME)
    for doc in (make_doc(nlp, ["我"]), make_doc(nlp, ["我"], [], key="candidates")):
        assert annotations(scorer(doc))[0] == []
        assert scores_of(doc).shape == (0,)


def test_sentence_boundaries_bound_the_context(initialized: Make) -> None:
    nlp = initialized()
    words = list("张三住在北京李四住在上海")
    whole, cut = make_doc(nlp, words), make_doc(nlp, words, sentence_starts=[0, 6])
    alone = make_doc(nlp, words[6:])
    one, other, expected = (
        logits_of(nlp, [doc], [[span]])
        for doc, span in ((whole, (6, 8)), (cut, (6, 8)), (alone, (0, 2)))
    )
    numpy.testing.assert_array_equal(other.context, expected.context)
    assert not numpy.array_equal(one.context, other.context)


def test_missing_sentence_boundaries_are_told(make_pipeline: Make) -> None:
    nlp = make_pipeline()
    nlp.add_pipe("sentencizer", first=True)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.warns(UserWarning, match=r"\[HW003\].*sentencizer"):
        nlp.update(examples, annotates=[CANDIDATES])
    nlp.update(examples, annotates=["sentencizer", CANDIDATES])


# Prediction


def one_by_one(nlp: Language, folder: Path, doc: Doc, spans: Any) -> numpy.ndarray:
    """The definition, by plain Hugging Face calls: a mention alone, a context alone."""
    module = row_encoder(nlp.get_pipe(NAME).model, "mention")
    plain = AutoModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True)
    plain.load_state_dict(module.transformer.state_dict())  # type: ignore[union-attr]
    plain.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = nlp.get_pipe(NAME).model
    head = model.get_ref("head").shims[0]._model
    scales = [model.get_ref(side).layers[1] for side in ("mention", "context")]
    text = [token.text for token in doc]
    rows = []
    for start, end in spans:
        parts = []
        with torch.no_grad():
            mention = tokenizer("".join(text[start:end]), return_tensors="pt")
            parts.append(plain(**mention).last_hidden_state[0, 0])
            masked = "".join([*text[:start], "[MASK]", *text[end:]])
            context = tokenizer(masked, return_tensors="pt")
            place = context["input_ids"][0].tolist().index(tokenizer.mask_token_id)
            parts.append(plain(**context).last_hidden_state[0, place])
        scaled = [
            (part.numpy() - scale.get_param("mean")) / scale.get_param("spread")
            for part, scale in zip(parts, scales, strict=True)
        ]
        both = numpy.concatenate(scaled)
        rows.append(both @ head.both.weight.detach().numpy().T + head.both.bias.detach().numpy())
    return numpy.stack(rows)


def test_batches_equal_a_loop_over_single_pairs(trained: Language, encoder: Path) -> None:
    spans = [(0, 2), (1, 2), (4, 6), (0, 6)]
    docs = docs_of(trained)
    found = logits_of(trained, docs, [spans] * len(docs)).both
    expected = [one_by_one(trained, encoder, doc, spans) for doc in docs]
    numpy.testing.assert_allclose(found, numpy.concatenate(expected), rtol=0, atol=1e-5)


def test_the_pipe_equals_calls_one_by_one(trained: Language) -> None:
    texts = ["", *("".join(sentence(i)[0]) * (i % 3 + 1) for i in range(9)), "我", ""]
    together = list(trained.pipe(texts, batch_size=5))
    for text, doc in zip(texts, together, strict=True):
        forget(trained)
        assert_close(trained(text), doc, 1e-5)


@pytest.mark.slow
def test_several_processes(trained: Language, one_thread: None) -> None:
    texts = ["".join(sentence(i)[0]) for i in range(6)]
    for doc, expected in zip(
        trained.pipe(texts, n_process=2, batch_size=2), trained.pipe(texts), strict=True
    ):
        assert_close(doc, expected, 1e-5)


def recall_of(examples: List[Example]) -> float:
    """Of the candidates, as it is reported."""
    return make_candidates_scorer("candidates", "entities")(examples)["candidates_recall"]


def test_what_is_no_candidate_is_no_entity(trained: Language) -> None:
    """With gold spans for candidates the bound on recall is 1, without one it is lower."""
    trained.remove_pipe(CANDIDATES)
    examples = make_examples(trained)
    for example in examples:
        spans = example.reference.spans["entities"]
        example.predicted.spans["candidates"] = [
            example.predicted[span.start : span.end] for span in spans
        ]
    scores = trained.evaluate(examples)
    assert scores["spans_entities_r"] == recall_of(examples) == 1.0
    fewer = make_examples(trained)
    for example in fewer:
        example.predicted.spans["candidates"] = [example.predicted[0:2]]
    scores = trained.evaluate(fewer)
    assert (scores["spans_entities_r"], scores["spans_entities_p"]) == (0.5, 1.0)
    assert recall_of(fewer) == 0.5


def test_candidates_may_nest_cross_and_repeat(trained: Language) -> None:
    all_entities(trained)
    doc = make_doc(trained, list("张三住在北京"))
    spans = [(2, 4), (0, 3), (0, 2), (0, 3), (1, 1), (0, 6)]
    doc.spans["candidates"] = [doc[start:end] for start, end in spans]
    found = group_of(trained.get_pipe(NAME)(doc))
    assert [span[:2] for span in found] == [(0, 6), (0, 3), (0, 2), (2, 4)]


def test_long_contexts_are_windowed_and_never_skipped(initialized: Make) -> None:
    """As many predictions as candidates; what is far away is not seen."""
    nlp = initialized(lengths=(1, 2), model={"window": 20})
    all_entities(nlp)
    far = list("我在学习") * 20
    docs = [make_doc(nlp, [*start, *far, *"张三", *far, *"北京"]) for start in ("李", "王")]
    for doc in nlp.pipe(docs):
        assert len(doc.spans["entities"]) == len(doc.spans["candidates"]) == 2 * len(doc) - 1
    module = row_encoder(nlp.get_pipe(NAME).model, "context")
    assert max(len(row) for row in lengths_read(module, nlp, docs)) == 22
    place = (1 + len(far), 3 + len(far))
    one, other = (logits_of(nlp, [doc], [[place]]) for doc in docs)
    numpy.testing.assert_array_equal(one.context, other.context)
    start_one, start_other = (logits_of(nlp, [doc], [[(1, 2)]]) for doc in docs)
    assert not numpy.array_equal(start_one.context, start_other.context)


def lengths_read(module: Any, nlp: Language, docs: List[Doc]) -> List[Any]:
    seen: List[Any] = []
    encode = module.encode
    module.encode = lambda rows: (seen.extend(rows), encode(rows))[1]
    list(nlp.pipe(docs))
    del module.encode
    return seen


def test_an_encoder_with_few_positions_and_a_long_mention(initialized: Make) -> None:
    nlp = initialized(lengths=(), model={"window": 10_000})
    all_entities(nlp)
    doc = make_doc(nlp, list("我在北京学习") * 120)
    spans = [(0, 1), (300, 302), (0, len(doc)), (5, 700)]
    doc.spans["candidates"] = [doc[start:end] for start, end in spans]
    assert len(group_of(nlp(doc))) == len(spans)


def test_a_literal_mask_in_a_text(initialized: Make) -> None:
    """It is text, and counts as no mask."""
    nlp = initialized(lengths=())
    spans = [[(1, 2)], [(1, 2)]]
    docs = [make_doc(nlp, ["[MASK]", word, "[MASK]"], spaces=[False] * 3) for word in "张李"]
    logits = logits_of(nlp, docs, spans)
    assert numpy.array_equal(logits.context[0], logits.context[1])
    plain = logits_of(nlp, [make_doc(nlp, ["张", "[MASK]"])], [[(0, 1)]])
    assert not numpy.array_equal(logits.context[0], plain.context[0])


def test_candidate_budget(initialized: Make) -> None:
    """The best by the scores of their group; equal ones in document order; told once."""
    nlp = initialized(lengths=(), candidate_budget=2)
    all_entities(nlp)
    scorer = nlp.get_pipe(NAME)

    def kept(scores: Any) -> List[Any]:
        doc = make_doc(nlp, list("张三住在北京"))
        spans = span_array([(i, i + 1) for i in range(len(scores))])
        doc.spans["candidates"] = make_span_group(doc, "candidates", spans, scores)
        return [start for start, *_ in group_of(scorer(doc))]

    with pytest.warns(UserWarning, match=r"\[HW250\].*2 of 4 candidates.*candidate_budget = 2"):
        assert kept([0.1, 0.9, 0.5, 0.7]) == [1, 3]
    assert kept([1.0, 1.0, 1.0]) == [0, 1]
    assert kept([0.2, 0.7, 0.7, 0.7]) == [1, 2]
    assert kept([0.1]) == [0]
    assert scorer.over_budget == 2 + 1 + 2


# What is remembered


def test_remembering_changes_nothing(trained: Language, trained_folder: Path) -> None:
    config = {f"components.{NAME}.model.cache_size": 0}
    forgetful = spacy.load(trained_folder, config=config)
    for _ in range(2):
        for size in (1, 4):
            pairs = zip(
                trained.pipe(docs_of(trained), batch_size=size),
                forgetful.pipe(docs_of(forgetful), batch_size=size),
                strict=True,
            )
            for one, other in pairs:
                assert_close(one, other, 1e-6)
    assert forgetful.get_pipe(NAME).speed.hits == 0 < trained.get_pipe(NAME).speed.hits


def test_speed_is_counted(trained: Language) -> None:
    scorer = trained.get_pipe(NAME)
    assert scorer.speed == (0, 0, 0, 0.0)
    assert scorer.speed.candidates_per_second == scorer.speed.hit_share == 0.0
    docs = list(trained.pipe(docs_of(trained), batch_size=6))
    speed = scorer.speed
    assert speed.candidates == sum(len(doc.spans["candidates"]) for doc in docs) == 12 * 11
    seen = [
        {span.text for doc in part for span in doc.spans["candidates"]}
        for part in (docs[:6], docs[6:])
    ]
    assert (speed.mentions, speed.hits) == (len(seen[0]) + len(seen[1]), len(seen[0] & seen[1]))
    assert 0 < speed.hits < speed.mentions < speed.candidates and speed.seconds > 0
    assert speed.hit_share == speed.hits / speed.mentions
    assert speed.candidates_per_second == speed.candidates / speed.seconds


def remembered(nlp: Language) -> int:
    """How many mentions of a sentence are still known."""
    before = nlp.get_pipe(NAME).speed.hits
    nlp(make_doc(nlp, sentence(0)[0]))
    return nlp.get_pipe(NAME).speed.hits - before


def test_new_weights_make_it_forget(trained: Language) -> None:
    remembered(trained)
    assert remembered(trained) == 11
    examples = make_examples(trained)
    trained.update(examples, annotates=[CANDIDATES], sgd=trained.resume_training())
    assert remembered(trained) == 0 and remembered(trained) == 11
    trained.from_bytes(trained.to_bytes())
    assert remembered(trained) == 0 and remembered(trained) == 11
    model = trained.get_pipe(NAME).model
    shim = model.get_ref("mention").layers[0].shims[0]
    weights = {
        f"pytorch_{shim.id}_{name}": value.numpy() * 0
        for name, value in shim._model.state_dict().items()
    }
    usual = logits_of(trained, docs_of(trained, 1), [[(0, 2)]])
    with model.use_params(weights):
        assert remembered(trained) == 0
        other = logits_of(trained, docs_of(trained, 1), [[(0, 2)]])
        assert not numpy.allclose(other.mention, usual.mention)
    assert remembered(trained) == 0
    again = logits_of(trained, docs_of(trained, 1), [[(0, 2)]])
    numpy.testing.assert_allclose(again.mention, usual.mention, atol=1e-6)


def test_averages_change_nothing(trained: Language) -> None:
    """spaCy keeps none of torch weights."""
    before = list(trained.pipe(docs_of(trained, 4)))
    with trained.use_params({}):
        for doc, expected in zip(trained.pipe(docs_of(trained, 4)), before, strict=True):
            assert_close(doc, expected, 1e-6)


# Saving


def test_bytes_and_disk(trained: Language, tmp_path: Path) -> None:
    """The encoder is in what is saved: its folder is not needed any more."""
    expected = list(trained.pipe(docs_of(trained)))
    trained.config["components"][NAME]["model"]["name"] = str(tmp_path / "gone")
    trained.to_disk(tmp_path / "saved")
    from_disk = spacy.load(tmp_path / "saved")
    from_bytes = spacy.util.load_model_from_config(trained.config)
    from_bytes.from_bytes(trained.to_bytes())
    for nlp in (from_disk, from_bytes):
        assert nlp.get_pipe(NAME).labels == ("GPE", "PER")
        for doc, wanted in zip(nlp.pipe(docs_of(nlp)), expected, strict=True):
            assert_close(doc, wanted, 1e-6)
        again = make_examples(nlp)
        nlp.update(again, annotates=[CANDIDATES], sgd=nlp.resume_training())
    files = [path.name for path in (tmp_path / "saved" / NAME).iterdir()]
    assert sorted(files) == ["cfg", "model"]


def test_scores_are_saved_with_a_doc(trained: Language) -> None:
    doc = trained(make_doc(trained, sentence(1)[0]))
    again = Doc(trained.vocab).from_bytes(doc.to_bytes())
    assert_close(again, doc, 0.0)


def test_settings_are_those_of_the_config(trained_folder: Path) -> None:
    """A saved pipeline takes others when it is loaded."""
    nlp = spacy.load(
        trained_folder,
        config={f"components.{NAME}.candidate_budget": 3, f"components.{NAME}.model.window": 9},
    )
    assert nlp.get_pipe(NAME).settings["candidate_budget"] == 3
    filled = nlp.config["components"][NAME]
    assert filled["model"]["window"] == 9 and filled["beta"] == 0.5
    reread = spacy.util.load_model_from_config(
        spacy.util.load_config_from_str(nlp.config.to_str()), auto_fill=False
    )
    assert reread.config["components"] == nlp.config["components"]


# Half precision


@pytest.mark.filterwarnings(r"ignore:\[HW145\]")
def test_half_precision(make_pipeline: Make, trained_folder: Path) -> None:
    config = {f"components.{NAME}.model.precision": "bf16"}
    nlp, full = spacy.load(trained_folder, config=config), spacy.load(trained_folder)
    for doc, wanted in zip(nlp.pipe(docs_of(nlp)), full.pipe(docs_of(full)), strict=True):
        assert group_of(doc) == group_of(wanted)
        assert (scores_of(doc) != scores_of(wanted)).any()
    assert nlp.update(make_examples(nlp), annotates=[CANDIDATES])[NAME] < 1
    with pytest.warns(UserWarning, match=r"\[HW144\].*'cpu'"):
        nlp = spacy.load(trained_folder, config={f"components.{NAME}.model.precision": "fp16"})
    with pytest.raises(ValueError, match=r"\[HE143\]"):
        nlp.update(make_examples(nlp), annotates=[CANDIDATES])
