"""What the accuracy benchmark does around training: its figures rest on it."""

from itertools import product
from pathlib import Path
from types import ModuleType
from typing import List, Tuple

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import load_model_from_config
from util import (
    Annotation,
    group_of,
    make_doc,
    make_example,
    nested_examples,
    scores_of,
    span_array,
    train,
    two_stages,
)

from spacy_hetner.spans.groups import make_span_group


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-A I-A O B-B", [(0, 2, "A"), (3, 4, "B")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-A I-B O", [(0, 2, "A"), (2, 3, "B")]),
        ("O O", []),
    ],
)
def test_tags_are_decoded_as_conlleval_does(
    accuracy: ModuleType, tags: str, spans: List[Annotation]
) -> None:
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["x"] * len(tags.split()), tags=tags.split())
    assert group_of(accuracy.bio_decoder(doc)) == spans


def test_a_token_tagger_learns_the_outermost_entities(accuracy: ModuleType) -> None:
    nlp = spacy.blank("en")
    example = make_example(nlp, list("abcd"), [(0, 3, "X"), (1, 2, "Y"), (3, 4, "Z")])
    (tagged,) = accuracy.with_bio_tags([example])
    assert [token.tag_ for token in tagged.reference] == ["B-X", "I-X", "I-X", "B-Z"]


def scored_examples(n: int = 30) -> List[Example]:
    """Predictions that are the likelier right the higher they score, and gold that is missed."""
    nlp, rng = spacy.blank("en"), numpy.random.default_rng(0)
    examples = []
    for _ in range(n):
        scores = rng.random(6).astype("float32")
        found = [(i, i + 1, "A") for i in range(6)]
        gold = [span for span, score in zip(found, scores, strict=True) if rng.random() < score]
        example = make_example(nlp, list("abcdefgh"), [*gold, (6, 8, "B")])
        example.predicted.spans["entities"] = [
            Span(example.predicted, start, end, label) for start, end, label in found
        ]
        example.predicted.spans["entities"].attrs["scores"] = scores
        examples.append(example)
    return examples


def test_the_fitted_threshold_is_the_best_one(accuracy: ModuleType) -> None:
    examples = scored_examples()
    fitted = accuracy.fit_threshold(examples)

    def f_above(threshold: float) -> float:
        return accuracy.score_above(examples, threshold)["spans_entities_f"]

    assert 0.05 < fitted < 0.95
    assert f_above(fitted) == max(f_above(0.05 * step) for step in range(1, 20))


def test_a_threshold_can_be_applied_afterwards(accuracy: ModuleType) -> None:
    """Predicting with a low threshold loses nothing, Soft-NMS included."""
    nlp = two_stages(classifier={"nms_iou": 0.3, "nms_decay": 0.5})
    nlp.rename_pipe("hetner_span_classifier", "span_classifier")
    examples = nested_examples(nlp)
    train(nlp, examples, epochs=7)
    docs = [make_doc(nlp, [t.text for t in example.reference]) for example in examples]
    expected = [group_of(doc) for doc in nlp.pipe([doc.copy() for doc in docs])]
    configured = accuracy.lower_threshold(nlp)
    assert configured == 0.5
    lowered = list(nlp.pipe(docs))
    assert sum(map(len, expected)) < sum(len(doc.spans["entities"]) for doc in lowered)
    assert [_above(doc, configured) for doc in lowered] == expected


def _above(doc: Doc, threshold: float) -> List[Annotation]:
    pairs: List[Tuple[Annotation, float]] = list(
        zip(group_of(doc), doc.spans["entities"].attrs["scores"], strict=True)
    )
    return [span for span, score in pairs if score > threshold]


def test_entities_of_the_resolver(accuracy: ModuleType) -> None:
    nlp = spacy.blank("en")
    words = ["the", "University", "of", "Paris"]
    example = make_example(nlp, words, [(1, 4, "ORG")])
    doc = example.predicted
    spans = [(1, 4), (1, 4), (3, 4)]
    doc.spans["entities"] = make_span_group(
        doc, "entities", span_array(spans), numpy.array([0.5, 0.4, 0.9]), ["ORG", "GPE", "GPE"]
    )
    doc.ents = [Span(doc, 1, 4, label="ORG")]
    accuracy.resolve([example])
    assert group_of(doc) == [(1, 4, "ORG")] and scores_of(doc).tolist() == [0.5]


def test_the_scorer_has_a_valid_config(accuracy: ModuleType, tiny_encoder: Path) -> None:
    settings = {"precision": "bf16", "seed": 3, "epochs": 2, "batch_size": 8, "steps": 30}
    settings["learn_rate"] = 0.001
    paths = tiny_encoder, Path("c"), Path("train.parquet")
    config = accuracy.build_config("weibo_names", "decoupled", *paths, settings)
    nlp = load_model_from_config(config, auto_fill=True, validate=True)
    assert nlp.pipe_names == ["candidates", "scorer", "resolver"]
    scorer = nlp.config.interpolate()["components"]["scorer"]["model"]
    assert (scorer["name"], scorer["precision"]) == (str(tiny_encoder), "bf16")


SYSTEMS = ["locate_and_label", "spancat_ngram", "spancat_span_finder", "token_tagger"]
CHINESE = ["tagger", "class_attention"]


@pytest.mark.parametrize(
    "data, system",
    [*product(["genia", "resume"], SYSTEMS), *product(["resume"], CHINESE)],
)
def test_every_system_has_a_valid_config(
    accuracy: ModuleType, tiny_encoder: Path, data: str, system: str
) -> None:
    settings = {"precision": "bf16", "seed": 3, "epochs": 2, "batch_size": 8, "steps": 30}
    settings["learn_rate"] = 0.001
    train_path = Path("train.parquet")
    config = accuracy.build_config(data, system, tiny_encoder, Path("c"), train_path, settings)
    nlp = load_model_from_config(config, auto_fill=True, validate=True)
    filled = nlp.config.interpolate()
    assert nlp.pipe_names[0] == "transformer"
    assert nlp.lang == {"genia": "en", "resume": "zh"}[data]
    encoder = filled["components"]["transformer"]["model"]
    assert encoder["precision"] == "bf16" and encoder["by_token"] is (data == "resume")
    training = filled["training"]
    assert training["optimizer"]["learn_rate"]["total_steps"] == 30
    assert (training["max_epochs"], training["batcher"]["size"]) == (2, 8)
    assert filled["paths"]["train"] == "train.parquet"
    longest = {"genia": 10, "resume": 20}[data]
    if system == "spancat_ngram":
        assert filled["components"]["spancat"]["suggester"]["max_size"] == longest
    if system == "locate_and_label":
        assert max(filled["components"]["span_proposer"]["lengths"]) == longest
