"""The component hetner_mrc_tagger."""

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy
import pytest
import spacy
import torch
from mrc.cases import NAME, QUERIES, docs_of, make_examples, sentence, tagger_of, write_head
from safetensors.torch import load_file
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModel, AutoTokenizer
from util import group_of, make_doc, make_example, scores_of, span_array, train

from spacy_hetner.mrc.component import Speed
from spacy_hetner.mrc.model import boundary_head, build_query_model, pair_encoder
from spacy_hetner.mrc.questions import (
    NO_SPANS,
    answer_of,
    prediction_batch,
    prediction_batches,
    training_batch,
)
from spacy_hetner.types import GoldSpans

Make = Callable[..., Language]


def assert_close(one: Doc, other: Doc, tolerance: float) -> None:
    assert group_of(one) == group_of(other)
    numpy.testing.assert_allclose(scores_of(one), scores_of(other), rtol=0, atol=tolerance)


def logits_of(nlp: Language, docs: List[Doc]) -> Dict[Any, numpy.ndarray]:
    """What the heads say, (n_tokens, 4), by the number of the text and the label."""
    tagger = tagger_of(nlp)
    _, questions = tagger._read(docs)
    logits = tagger.model.predict(prediction_batch(questions, 0.5))
    ends = numpy.cumsum([len(question.tokens) for question in questions])[:-1]
    parts = numpy.split(numpy.concatenate((logits.start, logits.end), axis=1), ends)
    keys = [(question.text, tagger.labels[question.label]) for question in questions]
    return dict(zip(keys, parts, strict=True))


def say_all(nlp: Language) -> None:
    """Let the heads take every token for a start and an end."""
    head = boundary_head(tagger_of(nlp).model)
    for part in (head.start, head.end):
        part.bias.data = torch.tensor([0.0, 1e3])


def weights_of(nlp: Language) -> Dict[str, torch.Tensor]:
    model = tagger_of(nlp).model
    modules = {"encoder": pair_encoder(model), "head": boundary_head(model)}
    return {
        f"{part}.{name}": value.detach().clone()
        for part, module in modules.items()
        for name, value in module.named_parameters()
    }


def plain_sgd(key: Any, weights: Any, gradient: Any, **settings: Any) -> Any:
    """An optimizer without decay or momentum."""
    return weights - 0.1 * gradient, gradient * 0


def without_dropout(nlp: Language) -> None:
    part: Any
    for part in pair_encoder(tagger_of(nlp).model).modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if hasattr(part, "dropout_prob"):
            part.dropout_prob = 0.0


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoding": "best"}, r"\[HE004\] Unknown decoding"),
        ({"threshold": 1.5}, r"\[HE002\] threshold"),
        ({"start_weight": -1.0}, r"\[HE002\] start_weight"),
        ({"end_weight": -1.0}, r"\[HE002\] end_weight"),
        ({"match_weight": -1.0}, r"\[HE002\] match_weight"),
        ({"batch_pieces": 0}, r"\[HE078\] batch_pieces"),
        ({"candidates_key": "entities"}, r"\[HE015\]"),
        ({"decoding": "nested"}, rf"\[HE274\].*'{NAME}'.*match_width"),
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
        ({"overlap": 256}, r"\[HE032\]"),
        ({"max_batch_pieces": 0}, r"\[HE078\] max_batch_pieces"),
        ({"match_width": -1}, r"\[HE078\] match_width"),
        ({"match_candidates": 0}, r"\[HE078\] match_candidates"),
    ],
)
def test_bad_settings_of_the_model(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_query_model("folder", **settings)


@pytest.mark.parametrize(
    ("folder", "message"), [("", r"\[HE273\].*Set name"), ("nowhere", r"\[HE020\].*nowhere")]
)
def test_no_encoder(make_pipeline: Make, folder: str, message: str) -> None:
    nlp = make_pipeline(model={"name": folder})
    with pytest.raises(ValueError, match=message):
        nlp.initialize(lambda: make_examples(nlp))


def test_labels(make_pipeline: Make, initialized: Make) -> None:
    assert tagger_of(initialized()).labels == ("GPE", "PER")
    nlp = make_pipeline(queries=None)
    nlp.config["initialize"]["components"][NAME] = {"labels": ["PER", "ORG", "GPE"]}
    nlp.initialize(lambda: make_examples(nlp))
    assert tagger_of(nlp).label_data == ["PER", "ORG", "GPE"]
    nlp = make_pipeline(queries=None)
    tagger_of(nlp).add_label("ORG")
    nlp.initialize(lambda: make_examples(nlp))
    assert tagger_of(nlp).labels == ("ORG", "GPE", "PER")
    nlp = make_pipeline()
    with pytest.raises(ValueError, match=rf"\[HE003\].*'{NAME}' has no labels"):
        nlp.initialize(lambda: [make_example(nlp, ["我"], [])])


def test_unknown_label_in_update(initialized: Make) -> None:
    nlp = initialized()
    with pytest.raises(ValueError, match=r"\[HE007\] The label 'ORG'.*\(GPE, PER\)"):
        nlp.update([make_example(nlp, ["我", "在"], [(0, 1, "ORG")])])


def test_before_initialization(make_pipeline: Make) -> None:
    nlp = make_pipeline()
    assert group_of(nlp("我在北京")) == []
    tagger_of(nlp).add_label("PER")
    with pytest.raises(ValueError, match=r"\[HE033\]"):
        nlp("我在北京")


# Queries


def test_queries_by_name_file_and_section(make_pipeline: Make, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(QUERIES), encoding="utf8")
    found = {}
    for kind, queries in (
        ("name", "zh"),
        ("file", str(path)),
        ("section", QUERIES),
        ("none", None),
    ):
        nlp = make_pipeline(queries=queries)
        nlp.initialize(lambda nlp=nlp: make_examples(nlp))  # type: ignore[misc]
        found[kind] = tagger_of(nlp).queries
    assert found["file"] == found["section"] == QUERIES
    assert found["name"]["PER"] == "人名和虚构的人物形象"
    assert found["none"] == {"GPE": "GPE", "PER": "PER"}


def test_labels_without_a_query_are_told(make_pipeline: Make) -> None:
    nlp = make_pipeline(queries={"PER": "人"})
    with pytest.warns(UserWarning, match=r"\[HW270\].*GPE"):
        nlp.initialize(lambda: make_examples(nlp))


def test_a_query_that_is_too_long_is_told_at_once(make_pipeline: Make) -> None:
    nlp = make_pipeline(queries={"PER": "人" * 300, "GPE": "市"})
    with pytest.raises(ValueError, match=r"\[HE270\].*300 pieces, more than 256"):
        nlp.initialize(lambda: make_examples(nlp))


def test_each_label_is_asked_of_each_sentence(initialized: Make) -> None:
    """Also where it has no answer: one example for each sentence and label."""
    nlp = initialized()
    seen: List[Any] = []
    hook = pair_encoder(tagger_of(nlp).model).register_forward_pre_hook(
        lambda module, args: seen.extend(args[0].pairs)
    )
    nlp.update([make_example(nlp, sentence(0)[0], []), make_example(nlp, list("我在"), [])])
    hook.remove()
    assert len(seen) == 4
    assert len({tuple(pair.ids[: pair.begin]) for pair in seen}) == 2


def test_the_query_text_matters(trained: Language) -> None:
    docs = docs_of(trained, 2)
    before = logits_of(trained, docs)
    tagger_of(trained).cfg["queries"]["PER"] = "学习大学"
    after = logits_of(trained, docs)
    for key, values in before.items():
        assert numpy.allclose(values, after[key], atol=1e-6) == (key[1] == "GPE")
        assert key[1] == "GPE" or abs(values - after[key]).max() > 1e-2


def test_permuting_labels_permutes_answers(trained: Language) -> None:
    docs = docs_of(trained, 4)
    before, answers = logits_of(trained, docs), [group_of(d) for d in trained.pipe(docs)]
    tagger_of(trained).cfg["labels"].reverse()
    after = logits_of(trained, docs)
    assert [*before] != [*after]
    for key, values in before.items():
        numpy.testing.assert_allclose(after[key], values, rtol=0, atol=1e-5)
    assert [group_of(d) for d in trained.pipe(docs_of(trained, 4))] == answers
    tagger = tagger_of(trained)
    tagger.cfg["queries"] = dict(zip(QUERIES, reversed(QUERIES.values()), strict=True))
    swapped = logits_of(trained, docs)
    numpy.testing.assert_allclose(swapped[0, "PER"], before[0, "GPE"], rtol=0, atol=1e-5)


def test_a_label_can_be_added_with_its_query(trained: Language) -> None:
    docs = docs_of(trained, 2)
    before = logits_of(trained, docs)
    assert tagger_of(trained).add_label("PER") == 0
    with pytest.warns(UserWarning, match=r"\[HW270\].*cell_line"):
        assert tagger_of(trained).add_label("cell_line") == 1
    after = logits_of(trained, docs)
    assert len(after) == 6
    for key, values in before.items():
        numpy.testing.assert_allclose(after[key], values, rtol=0, atol=1e-5)
    trained.update([make_example(trained, ["我", "在"], [(0, 1, "cell_line")])])
    tagger_of(trained).settings["queries"] = {"ORG": "学" * 300}
    with pytest.raises(ValueError, match=r"\[HE270\].*300 pieces"):
        tagger_of(trained).add_label("ORG")
    assert "ORG" not in tagger_of(trained).labels and len(trained("我在")) == 2


# Learning


def test_it_learns_its_sentences(trained: Language) -> None:
    """Twelve sentences, of which it has seen eight."""
    scores = trained.evaluate(make_examples(trained, 12))
    assert scores["spans_entities_f"] == 1.0
    for doc in trained.pipe(docs_of(trained)):
        assert (scores_of(doc) > 0.25).all() and (scores_of(doc) <= 1).all()


def test_scores_are_products_of_both_ends(trained: Language) -> None:
    (doc,) = docs_of(trained, 1)
    logits = logits_of(trained, [doc])
    doc = trained(doc)
    for (start, end, label), score in zip(group_of(doc), scores_of(doc), strict=True):
        rows = torch.from_numpy(logits[0, label])
        p_start, p_end = rows[:, :2].softmax(1)[:, 1], rows[:, 2:].softmax(1)[:, 1]
        assert score == pytest.approx((p_start[start] * p_end[end - 1]).item(), abs=1e-5)


NESTED = [
    (list("北京大学在南京"), [(0, 4, "ORG"), (0, 2, "ORG"), (5, 7, "GPE"), (0, 2, "GPE")]),
    (list("上海大学在北京"), [(0, 4, "ORG"), (0, 2, "ORG"), (5, 7, "GPE"), (0, 2, "GPE")]),
    (list("我在南京大学"), [(2, 6, "ORG"), (2, 4, "ORG"), (2, 4, "GPE")]),
]


def test_nested_spans_of_one_label(make_pipeline: Make) -> None:
    """With the match head; flat, the same label nests never, and that is told."""
    settings = {"queries": {"ORG": "大学和市", "GPE": "市"}}
    nlp = make_pipeline(model={"match_width": 32}, decoding="nested", match_weight=1.0, **settings)
    examples = [make_example(nlp, *sentence) for sentence in NESTED]
    train(nlp, examples, epochs=100, learn_rate=0.003)
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0
    flat = make_pipeline(**settings)
    with pytest.warns(UserWarning, match=r"\[HW271\] 3 of 11 gold spans.*nested"):
        flat.initialize(lambda: examples)


def test_flat_spans_of_a_label_never_overlap(initialized: Make) -> None:
    nlp = initialized()
    say_all(nlp)
    doc = nlp(make_doc(nlp, list("张三住在")))
    assert group_of(doc) == [(i, i + 1, label) for i in range(4) for label in ("GPE", "PER")]


def test_nested_decoding_keeps_what_matches(initialized: Make) -> None:
    nlp = initialized(model={"match_width": 8}, decoding="nested")
    say_all(nlp)
    match: Any = boundary_head(tagger_of(nlp).model).match
    for bias, expected in ((10.0, 3 * 4 // 2 * 2), (-10.0, 0)):
        match.output.weight.data.zero_()
        match.output.bias.data.fill_(bias)
        doc = nlp(make_doc(nlp, list("张三住")))
        assert len(set(group_of(doc))) == len(scores_of(doc)) == expected


def test_threshold(trained: Language) -> None:
    """More is found below one half, nothing at 1."""
    tagger, docs = tagger_of(trained), docs_of(trained, 3)
    found = {}
    for threshold in (0.001, 0.5, 1.0):
        tagger.settings["threshold"] = threshold
        found[threshold] = sum(len(group_of(doc)) for doc in trained.pipe(docs))
    assert found[0.001] >= found[0.5] == 6 > found[1.0] == 0


def test_passes_of_one_step_equal_one_pass(initialized: Make) -> None:
    """batch_pieces bounds the memory and nothing else."""
    results = []
    for size in (10_000, 30, 1):
        fix_random_seed(0)
        nlp = initialized(batch_pieces=size, model={"standardized": False})
        without_dropout(nlp)
        losses: Dict[str, float] = {}
        sgd: Any = plain_sgd
        nlp.update(make_examples(nlp, 3), losses=losses, sgd=sgd)
        results.append((losses[NAME], weights_of(nlp)))
    for loss, weights in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        for name, value in weights.items():
            torch.testing.assert_close(value, results[0][1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_the_loss_is_of_the_tokens_of_texts(initialized: Make) -> None:
    """L_start + L_end, each a mean over the tokens: by hand, for one sentence and both labels."""
    nlp = initialized(start_weight=0.5, end_weight=2.0, model={"standardized": False})
    without_dropout(nlp)
    words, gold = sentence(0)
    logits = logits_of(nlp, [make_doc(nlp, words)])
    expected = 0.0
    for label in ("GPE", "PER"):
        rows = torch.from_numpy(logits[0, label])
        starts, ends = torch.zeros(6, dtype=torch.int64), torch.zeros(6, dtype=torch.int64)
        for start, end, name in gold:
            if name == label:
                starts[start] = ends[end - 1] = 1
        parts = zip((0.5, 2.0), rows.split(2, dim=1), (starts, ends), strict=True)
        for weight, scores, labels in parts:
            expected += weight * torch.nn.functional.cross_entropy(scores, labels).item() / 2
    found = nlp.update([make_example(nlp, words, gold)])[NAME]
    assert found == pytest.approx(expected, rel=1e-5)


def test_two_starts_that_share_an_end_leave_later_spans_alone(initialized: Make) -> None:
    """Spans are lists of each sentence: nothing is paired over a batch."""
    nlp = initialized()
    words, spans = list("张三住在上海南京"), [(0, 4, "PER"), (2, 4, "PER"), (6, 8, "PER")]
    docs = [make_doc(nlp, words), make_doc(nlp, sentence(0)[0])]
    gold = [
        GoldSpans(span_array(of), [label for *_, label in of]) for of in (spans, sentence(0)[1])
    ]
    tagger = tagger_of(nlp)
    texts, questions = tagger._read(docs)
    by_text = tagger._gold_of_texts(docs, gold, texts)
    answers = [
        answer_of(question.pairs[0], by_text[question.text].get(label, NO_SPANS))
        for question in questions
        for label in [tagger.labels[question.label]]
    ]
    pairs = [question.pairs[0] for question in questions]
    batch = training_batch(pairs, [question.text for question in questions], answers)
    asked = [(question.text, tagger.labels[question.label]) for question in questions]
    assert asked == [(0, "GPE"), (0, "PER"), (1, "GPE"), (1, "PER")]
    firsts = [0, 8, 16, 22]
    expected = [(8, 11), (10, 11), (14, 15), (20, 21), (22, 23)]
    assert [tuple(pair) for pair in batch.gold.tolist()] == expected
    for answer, first in zip(answers, firsts, strict=True):
        own = [(s - first, e - first) for s, e in expected if 0 <= s - first < len(answer.starts)]
        assert numpy.flatnonzero(answer.starts).tolist() == [start for start, _ in own]
        assert numpy.flatnonzero(answer.ends).tolist() == sorted({end for _, end in own})


def test_gold_spans_are_learned_in_tokens_that_have_pieces(initialized: Make) -> None:
    """A start or an end without a piece would leave the other one alone, or nothing."""
    nlp = initialized()
    tagger = tagger_of(nlp)
    words = ["\x00", "张", "三", "\x00", "住", "\x00"]
    doc = make_doc(nlp, words)
    texts, _ = tagger._read([doc])
    gold = GoldSpans(span_array([(0, 3), (1, 4), (3, 4), (2, 5)]), ["PER", "GPE", "PER", "GPE"])
    with pytest.warns(UserWarning, match=r"\[HW301\] 1 gold spans"):
        (found,) = tagger._gold_of_texts([doc], [gold], texts)
    assert {label: spans.tolist() for label, spans in found.items()} == {
        "PER": [[1, 3]],
        "GPE": [[1, 3], [2, 5]],
    }
    nlp.update([make_example(nlp, ["\x00"], [(0, 1, "PER")])])  # said once
    nlp.initialize(lambda: make_examples(nlp))
    with pytest.warns(UserWarning, match=r"\[HW301\]"):
        nlp.update([make_example(nlp, words, [(5, 6, "PER")])])


def test_docs_with_little_in_them(initialized: Make) -> None:
    nlp = initialized()
    poor = [make_example(nlp, [], []), Example(make_doc(nlp, []), make_doc(nlp, []))]
    before = weights_of(nlp)
    sgd: Any = plain_sgd
    assert nlp.update(poor, sgd=sgd) == {NAME: 0.0}
    unreadable = make_example(nlp, ["\x00"], [])
    assert nlp.update([unreadable], sgd=sgd) == {NAME: 0.0}
    assert all(torch.equal(value, before[name]) for name, value in weights_of(nlp).items())
    assert nlp.update([*poor, unreadable, make_example(nlp, ["我", "在"], [])], sgd=sgd)[NAME] > 0
    say_all(nlp)
    for words in ([], ["我"], [" "], ["\x00"], ["我", "\x00", "在"]):
        doc = nlp(make_doc(nlp, words))
        assert len(scores_of(doc)) == 2 * sum(word not in (" ", "\x00") for word in words)


def test_spans_stay_within_sentences(initialized: Make) -> None:
    """And each sentence is read alone."""
    nlp = initialized()
    words = list("张三住在北京李四住在上海")
    cut = make_doc(nlp, words, sentence_starts=[0, 6])
    alone = [make_doc(nlp, words[:6]), make_doc(nlp, words[6:])]
    one, other = logits_of(nlp, [cut]), logits_of(nlp, alone)
    assert one.keys() == other.keys()
    for key, values in one.items():
        numpy.testing.assert_allclose(values, other[key], rtol=0, atol=1e-5)
    say_all(nlp)
    say = boundary_head(tagger_of(nlp).model)
    say.end.bias.data = torch.tensor([1e3, 0.0])
    assert group_of(nlp(cut)) == []
    crossing = Example(cut, make_doc(nlp, words, [(4, 8, "GPE"), (0, 2, "PER")]))
    with pytest.warns(UserWarning, match=r"\[HW002\]"):
        nlp.update([crossing])


def test_missing_sentence_boundaries_are_told(make_pipeline: Make) -> None:
    nlp = make_pipeline()
    nlp.add_pipe("sentencizer", first=True)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    with pytest.warns(UserWarning, match=r"\[HW003\].*sentencizer"):
        nlp.update(examples)
    nlp.update(examples, annotates=["sentencizer"])


# Prediction


def test_batches_equal_a_loop_over_single_pairs(trained: Language, encoder: Path) -> None:
    """The definition, by plain Hugging Face calls on a query and a text."""
    model = tagger_of(trained).model
    plain = AutoModel.from_pretrained(encoder, add_pooling_layer=False, local_files_only=True)
    plain.load_state_dict(pair_encoder(model).transformer.state_dict())  # type: ignore[union-attr]
    plain.eval()
    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    scale, head = model.layers[1], boundary_head(model)
    docs = docs_of(trained, 5)
    for (number, label), found in logits_of(trained, docs).items():
        inputs = tokenizer(QUERIES[label], docs[number].text, return_tensors="pt")
        begin = inputs["input_ids"].shape[1] - len(docs[number]) - 1
        with torch.no_grad():
            vectors = plain(**inputs).last_hidden_state[0, begin:-1].numpy()
            scaled = (vectors - scale.get_param("mean")) / scale.get_param("spread")
            logits = head(torch.from_numpy(scaled.astype("float32")))
        expected = torch.cat((logits.start, logits.end), dim=1).numpy()
        numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def count_rows(module: Any, seen: List[int]) -> None:
    """Note how many rows the encoder reads at once."""
    encode = module._encode

    def counting(rows: Any, *rest: Any) -> Any:
        seen.append(len(rows))
        return encode(rows, *rest)

    module._encode = counting


@pytest.mark.parametrize("together", [False, True])
def test_the_pipe_equals_calls_one_by_one(trained: Language, together: bool) -> None:
    pair_encoder(tagger_of(trained).model).together = together
    texts = ["", *("".join(sentence(i)[0]) * (i % 3 + 1) for i in range(9)), "我", ""]
    piped = list(trained.pipe(texts, batch_size=5))
    for text, doc in zip(texts, piped, strict=True):
        assert_close(trained(text), doc, 1e-5)


def test_all_labels_of_a_text_in_one_batch(trained_folder: Path) -> None:
    """A switch: other batches, the same results. Of a long text batches are filled as without."""
    config = {f"components.{NAME}.model.labels_together": True}
    together = spacy.load(trained_folder, config=config)
    apart = spacy.load(trained_folder)
    texts = ["".join(sentence(i)[0]) * (i + 1) for i in range(6)]
    sizes: Dict[bool, List[int]] = {}
    for nlp in (together, apart):
        module = pair_encoder(tagger_of(nlp).model)
        module.min_density = 1.0
        count_rows(module, sizes.setdefault(module.together, []))
    for one, other in zip(together.pipe(texts), apart.pipe(texts), strict=True):
        assert_close(one, other, 1e-5)
    assert sizes[True] == [2] * 6, "whatever the density"
    assert sizes[False] == [1] * 12
    module = pair_encoder(tagger_of(together).model)
    module.max_batch_pieces = 60
    sizes[True].clear()
    for one, other in zip(together.pipe(texts), apart.pipe(texts), strict=True):
        assert_close(one, other, 1e-5)
    assert set(sizes[True]) == {1, 2}


def test_batches_of_questions(initialized: Make) -> None:
    """Whole texts, as long as they fit; never nothing."""
    nlp = initialized()
    docs = [make_doc(nlp, list("我在") * n) for n in (1, 2, 50, 3)]
    _, questions = tagger_of(nlp)._read(docs)
    for limit in (1, 60, 100, 10_000):
        parts = list(prediction_batches(questions, limit))
        assert [question for part in parts for question in part] == questions
        for part in parts:
            assert len(part) == 1 or sum(question.pieces for question in part) <= limit
        if limit == 60:
            texts = [{question.text for question in part} for part in parts]
            assert texts == [{0, 1}, {2}, {2}, {3}]


def test_long_texts_are_read_in_windows(make_pipeline: Make) -> None:
    """Nothing is truncated, whatever the capacity: spans are found everywhere, over borders too."""
    nlp = make_pipeline(model={"window": 12, "overlap": 6})
    examples = make_examples(nlp)
    for i in (0, 5):
        words = [w for j in range(5) for w in sentence(i + j)[0]]
        spans = [
            (s + 6 * j, e + 6 * j, label) for j in range(5) for s, e, label in sentence(i + j)[1]
        ]
        examples.append(make_example(nlp, words, spans))
    train(nlp, examples, epochs=60, learn_rate=0.003)
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0
    say_all(nlp)
    words = list("我在北京学习") * 200
    doc = nlp(make_doc(nlp, words))
    assert len(group_of(doc)) == 2 * len(words)
    head = boundary_head(tagger_of(nlp).model)
    head.start.weight.data.zero_()
    head.end.weight.data.zero_()
    head.end.bias.data = torch.tensor([0.0, -1e3])
    assert group_of(nlp(make_doc(nlp, words))) == []


def test_nested_spans_reach_over_windows(initialized: Make) -> None:
    nlp = initialized(model={"window": 4, "overlap": 0, "match_width": 4}, decoding="nested")
    say_all(nlp)
    match: Any = boundary_head(tagger_of(nlp).model).match
    match.output.weight.data.zero_()
    match.output.bias.data.fill_(10.0)
    doc = nlp(make_doc(nlp, list("我在北京学习")))
    assert len(set(group_of(doc))) == 2 * 6 * 7 // 2


def test_an_encoder_with_few_positions(initialized: Make) -> None:
    """The window asked for is more than there is room for beside the query."""
    nlp = initialized(model={"window": 10_000})
    say_all(nlp)
    doc = nlp(make_doc(nlp, list("我在北京学习") * 120))
    assert len(group_of(doc)) == 2 * len(doc)


def test_candidates_for_a_classifier(trained_folder: Path) -> None:
    config = {f"components.{NAME}.candidates_key": "candidates"}
    nlp = spacy.load(trained_folder, config=config)
    doc = nlp(make_doc(nlp, sentence(0)[0]))
    assert group_of(doc, "candidates") == [(0, 2, ""), (4, 6, "")]
    numpy.testing.assert_array_equal(scores_of(doc, "candidates"), scores_of(doc))


@pytest.mark.slow
def test_several_processes(trained: Language, one_thread: None) -> None:
    texts = ["".join(sentence(i)[0]) for i in range(6)]
    for doc, expected in zip(
        trained.pipe(texts, n_process=2, batch_size=2), trained.pipe(texts), strict=True
    ):
        assert_close(doc, expected, 1e-5)


def test_the_cost_of_each_label_is_counted(initialized: Make) -> None:
    """A longer query costs more."""
    nlp = initialized(queries={"PER": "住在的人" * 10, "GPE": "市"})
    tagger = tagger_of(nlp)
    assert tagger.speed == Speed(0, 0.0, {})
    assert tagger.speed.tokens_per_second == tagger.speed.pieces == 0
    docs = list(nlp.pipe(docs_of(nlp, 12), batch_size=5))
    speed = tagger.speed
    assert speed.tokens == sum(map(len, docs)) == 72
    assert {label: cost[:2] for label, cost in speed.labels.items()} == {
        "GPE": (12, 12 * (6 + 1 + 3)),
        "PER": (12, 12 * (6 + 40 + 3)),
    }
    assert speed.pieces == 12 * 59 and speed.seconds > 0
    assert speed.seconds == pytest.approx(sum(cost.seconds for cost in speed.labels.values()))
    ratio = speed.labels["PER"].seconds / speed.labels["GPE"].seconds
    assert ratio == pytest.approx(4.9)
    assert speed.tokens_per_second == speed.tokens / speed.seconds
    lines = speed.table().splitlines()
    assert [line.split()[0] for line in lines] == ["label", "PER", "GPE"]
    assert lines[1].split()[1:3] == ["12", "588"]


# A head that was taught before


@pytest.fixture
def taught(encoder: Path, trained_folder: Path, tmp_path: Path) -> Path:
    """The encoder folder of a stage that left its head."""
    folder = Path(shutil.copytree(encoder, tmp_path / "taught"))
    rng = numpy.random.default_rng(0)
    shapes = {"start.weight": (2, 32), "start.bias": (2,), "end.weight": (2, 32), "end.bias": (2,)}
    weights = {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}
    write_head(folder, {**weights, "clusters.weight": numpy.zeros((3, 32), "f4")})
    return folder


def test_the_head_goes_on(make_pipeline: Make, taught: Path) -> None:
    """Without any example: its labels, queries and weights; the vectors as they are."""
    weights = load_file(taught / "head.safetensors")
    nlp = make_pipeline(model={"name": str(taught), "match_width": 4}, queries=None)
    nlp.initialize()
    tagger = tagger_of(nlp)
    assert tagger.labels == ("PER", "GPE") and tagger.queries == QUERIES
    head = boundary_head(tagger.model).state_dict()
    for name in ("start.weight", "start.bias", "end.weight", "end.bias"):
        assert torch.equal(head[name], weights[name])
    docs = docs_of(nlp, 2)
    before = logits_of(nlp, docs)
    tagger.update(make_examples(nlp))  # no step, but a batch to take a scale from
    for key, values in logits_of(nlp, docs).items():
        numpy.testing.assert_allclose(values, before[key], rtol=0, atol=1e-5)


def test_what_is_said_of_labels_goes_before_the_head(make_pipeline: Make, taught: Path) -> None:
    nlp = make_pipeline(model={"name": str(taught)}, queries={"PER": "谁", "GPE": "哪"})
    nlp.initialize(lambda: make_examples(nlp))
    assert tagger_of(nlp).labels == ("GPE", "PER")
    assert tagger_of(nlp).queries == {"PER": "谁", "GPE": "哪"}


@pytest.mark.parametrize("why", ["switch", "tagger", "no head"])
def test_a_fresh_head(make_pipeline: Make, taught: Path, why: str) -> None:
    weights = load_file(taught / "head.safetensors")
    if why == "tagger":
        write_head(taught, {"tags.weight": numpy.zeros((9, 32), "f4")}, backbone="tagger")
    if why == "no head":
        (taught / "head.json").unlink()
    nlp = make_pipeline(model={"name": str(taught), "carry_head": why != "switch"})
    nlp.initialize(lambda: make_examples(nlp))
    head = boundary_head(tagger_of(nlp).model).state_dict()
    assert not torch.equal(head["start.weight"], weights["start.weight"])
    assert tagger_of(nlp).labels == ("GPE", "PER")


def test_a_head_that_does_not_fit(make_pipeline: Make, taught: Path) -> None:
    def start(message: str, **model: Any) -> None:
        nlp = make_pipeline(model={"name": str(taught), **model})
        with pytest.raises(ValueError, match=message):
            nlp.initialize(lambda: make_examples(nlp))

    start(r"\[HE275\].*by_token = false", by_token=True)
    write_head(taught, {"start.weight": numpy.zeros((2, 16), "f4")})
    start(r"\[HE298\].*start\.weight of the shape \(2, 32\)")
    (taught / "head.json").write_text("{", encoding="utf8")
    start(r"\[HE298\]")


# Saving


def test_bytes_and_disk(trained: Language, tmp_path: Path) -> None:
    """Encoder and queries are in what is saved: folder and file are not needed any more."""
    expected = list(trained.pipe(docs_of(trained)))
    trained.config["components"][NAME]["model"]["name"] = str(tmp_path / "gone")
    trained.config["components"][NAME]["queries"] = str(tmp_path / "gone.json")
    trained.to_disk(tmp_path / "saved")
    from_disk = spacy.load(tmp_path / "saved")
    from_bytes = spacy.util.load_model_from_config(trained.config)
    from_bytes.from_bytes(trained.to_bytes())
    for nlp in (from_disk, from_bytes):
        assert tagger_of(nlp).labels == ("GPE", "PER") and tagger_of(nlp).queries == QUERIES
        for doc, wanted in zip(nlp.pipe(docs_of(nlp)), expected, strict=True):
            assert_close(doc, wanted, 1e-6)
        nlp.update(make_examples(nlp), sgd=nlp.resume_training())
    files = [path.name for path in (tmp_path / "saved" / NAME).iterdir()]
    assert sorted(files) == ["cfg", "model"]


def test_settings_are_those_of_the_config(trained_folder: Path) -> None:
    """A saved pipeline takes others when it is loaded."""
    changes = {f"components.{NAME}.threshold": 0.25, f"components.{NAME}.model.window": 90}
    nlp = spacy.load(trained_folder, config=changes)
    assert tagger_of(nlp).settings["threshold"] == 0.25
    filled = nlp.config["components"][NAME]
    assert filled["model"]["window"] == 90 and filled["match_weight"] == 0.1
    model = {"dropout": 0.3, "match_candidates": 7, "match_width": 8}
    changes = {f"components.{NAME}.model.{name}": value for name, value in model.items()}
    changes[f"components.{NAME}.decoding"] = "nested"
    other = spacy.load(trained_folder, config=changes)
    head = boundary_head(tagger_of(other).model)
    assert (head.dropout.p, head.match_candidates, head.match) == (0.3, 7, None)
    # What was saved has no match head, and flat spans are not what was asked for.
    with pytest.raises(ValueError, match=rf"\[HE274\].*'{NAME}'.*match_width"):
        other("我在北京")
    reread = spacy.util.load_model_from_config(
        spacy.util.load_config_from_str(nlp.config.to_str()), auto_fill=False
    )
    assert reread.config["components"] == nlp.config["components"]


def test_a_match_head_is_saved(initialized: Make) -> None:
    nlp = initialized(model={"match_width": 4}, decoding="nested")
    again = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    one, other = (boundary_head(tagger_of(n).model).state_dict() for n in (nlp, again))
    assert one.keys() == other.keys() and any("match" in name for name in one)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


# Half precision


@pytest.mark.filterwarnings(r"ignore:\[HW145\]")
def test_half_precision(trained_folder: Path) -> None:
    config = {f"components.{NAME}.model.precision": "bf16"}
    nlp, full = spacy.load(trained_folder, config=config), spacy.load(trained_folder)
    for doc, wanted in zip(nlp.pipe(docs_of(nlp)), full.pipe(docs_of(full)), strict=True):
        assert group_of(doc) == group_of(wanted)
        assert (scores_of(doc) != scores_of(wanted)).any()
    assert nlp.update(make_examples(nlp))[NAME] < 1
    with pytest.warns(UserWarning, match=r"\[HW144\].*'cpu'"):
        nlp = spacy.load(trained_folder, config={f"components.{NAME}.model.precision": "fp16"})
    with pytest.raises(ValueError, match=r"\[HE143\]"):
        nlp.update(make_examples(nlp))
