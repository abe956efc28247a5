"""Features beside the encoder's vectors: each is trained, saved, and independent of its batch."""

from types import SimpleNamespace
from typing import Any, Callable, Dict, List

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Model, fix_random_seed

from spacy_hetner.encoders.features import FeatureEncoder
from spacy_hetner.encoders.representation import build_token_representation, read_features
from spacy_hetner.encoders.spacy_adapter import torch_encoder

VECTORS = {"Oslo": 0, "Lima": 1, "lake": 2, "mayor": 3}
VECTOR_WIDTH = 12
NO_DROPOUT = {"dropout": 0.0, "lstm_dropout": 0.0}
FEATURES: Dict[str, Dict[str, Any]] = {
    "vectors": {"vector_width": VECTOR_WIDTH},
    "pos": {"pos_width": 6},
    "char": {"char_width": 5},
    "lstm": {"lstm_layers": 1},
    "all": {
        "vector_width": VECTOR_WIDTH,
        "pos_width": 6,
        "char_width": 5,
        "lstm_layers": 2,
        "encoder_width": 32,
        "width": 20,
    },
    "linear": {"encoder_width": 32, "width": 20},
}
TEXTS = ["the old mayor of Oslo", "", "x", "Lima , near a lake in the mountains", "\n\n"]


def add_vectors(nlp: Language) -> Language:
    rng = numpy.random.default_rng(0)
    for word in VECTORS:
        nlp.vocab.set_vector(word, rng.standard_normal(VECTOR_WIDTH).astype("float32"))
    return nlp


def with_pos(docs: List[Doc], pos: List[str]) -> List[Doc]:
    for doc in docs:
        for token in doc:
            token.pos_ = pos[token.i % len(pos)]
    return docs


@pytest.fixture
def feature_pipeline(make_pipeline: Callable[..., Language]) -> Callable[[str], Language]:
    """Make a pipeline with one feature, initialized, without dropout in the representation."""

    def make(feature: str) -> Language:
        fix_random_seed(0)
        nlp = add_vectors(
            make_pipeline(tagger=True, representation={**FEATURES[feature], **NO_DROPOUT})
        )
        doc = nlp.make_doc("the old mayor of Oslo met 3 friends")
        gold = Doc(nlp.vocab, words=[t.text for t in doc], tags=["even", "odd"] * 4)
        nlp.initialize(lambda: [Example(doc, gold)])
        return nlp

    return make


def feature_module(nlp: Language) -> FeatureEncoder:
    return nlp.get_pipe("tok2vec").model.layers[1].shims[0]._model


def vectors_of(nlp: Language, docs: List[Doc]) -> List[numpy.ndarray]:
    return [doc.tensor for doc in nlp.pipe(docs)]


def docs_of(nlp: Language, texts: List[str] = TEXTS) -> List[Doc]:
    return with_pos([nlp.make_doc(text) for text in texts], ["NOUN", "VERB", "ADP"])


@pytest.mark.parametrize("feature", list(FEATURES))
def test_gradients_reach_the_feature_and_the_encoder(
    feature_pipeline: Callable[[str], Language], tagged_examples: Any, feature: str
) -> None:
    nlp = feature_pipeline(feature)
    examples = tagged_examples(nlp, TEXTS)
    with_pos([example.predicted for example in examples], ["NOUN", "VERB"])
    # A tagger's first step sends no gradient, since its weights start at zero.
    nlp.update(examples)
    nlp.update(examples, sgd=False)
    for module in (feature_module(nlp), torch_encoder(nlp.get_pipe("transformer").model)):
        for name, parameter in module.named_parameters():
            if "attention.self.key.bias" in name:  # Softmax is blind to a shift of all keys.
                continue
            assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("feature", list(FEATURES))
def test_saved_and_loaded_it_says_the_same(
    feature_pipeline: Callable[[str], Language], feature: str
) -> None:
    nlp = feature_pipeline(feature)
    expected = vectors_of(nlp, docs_of(nlp))
    loaded = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    width = FEATURES[feature].get("width", 32)
    assert loaded.get_pipe("tok2vec").model.get_dim("nO") == width
    for found, vectors in zip(vectors_of(loaded, docs_of(loaded)), expected, strict=True):
        assert found.shape[1:] == (width,)
        numpy.testing.assert_array_equal(found, vectors)


@pytest.mark.parametrize("feature", list(FEATURES))
def test_vectors_do_not_depend_on_the_batch(
    feature_pipeline: Callable[[str], Language], feature: str
) -> None:
    nlp = feature_pipeline(feature)
    together = vectors_of(nlp, docs_of(nlp))
    assert [len(vectors) for vectors in together] == [5, 0, 1, 8, 1]
    for doc, vectors in zip(docs_of(nlp), together, strict=True):
        numpy.testing.assert_allclose(nlp(doc).tensor, vectors, rtol=1e-4, atol=1e-5)


def test_part_of_speech_is_seen(feature_pipeline: Callable[[str], Language]) -> None:
    nlp = feature_pipeline("pos")
    nouns = nlp(with_pos([nlp.make_doc("Oslo")], ["NOUN"])[0]).tensor
    verbs = nlp(with_pos([nlp.make_doc("Oslo")], ["VERB"])[0]).tensor
    assert not numpy.allclose(nouns, verbs)


def test_word_vectors_are_seen_and_not_trained(
    feature_pipeline: Callable[[str], Language], tagged_examples: Any
) -> None:
    nlp = feature_pipeline("vectors")
    before = nlp("Oslo").tensor
    table = nlp.vocab.vectors.data.copy()
    for _ in range(2):
        nlp.update(tagged_examples(nlp, TEXTS))
    numpy.testing.assert_array_equal(nlp.vocab.vectors.data, table)
    nlp = feature_pipeline("vectors")
    nlp.vocab.set_vector("Oslo", numpy.ones(VECTOR_WIDTH, dtype="float32"))
    assert not numpy.allclose(nlp("Oslo").tensor, before)


class DeviceArray:
    """What an array on the GPU is to numpy: nothing that can be taken by itself."""

    def __init__(self, array: numpy.ndarray) -> None:
        self.get = lambda: array

    def __array__(self, *args: Any, **kwargs: Any) -> numpy.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


def test_word_vectors_may_lie_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def stack(rows: List[DeviceArray]) -> DeviceArray:
        return DeviceArray(numpy.stack([row.get() for row in rows]))

    monkeypatch.setattr("thinc.util.has_cupy", True)
    monkeypatch.setattr("thinc.util.cupy", SimpleNamespace(ndarray=DeviceArray, stack=stack))
    doc = spacy.blank("en")("Oslo and Lima")
    doc.user_token_hooks["vector"] = lambda token: DeviceArray(numpy.full(3, token.i))
    features = read_features([doc], pos=False, characters=False, vectors=True)
    assert features.vectors is not None and features.vectors.dtype == "float32"
    assert features.vectors.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


def test_characters_and_neighbours_are_seen(doc_vectors: Model) -> None:
    """The encoder's vectors are held fixed, so that only the feature can make a difference."""
    nlp = spacy.blank("en")
    chars = build_token_representation(8, encoder=doc_vectors, char_width=4, **NO_DROPOUT)
    one, other, again = chars.predict([nlp("abc"), nlp("cba"), nlp("abc")])
    assert not numpy.allclose(one, other)
    numpy.testing.assert_allclose(one, again, rtol=1e-5)
    lstm = build_token_representation(8, encoder=doc_vectors, lstm_layers=1, **NO_DROPOUT)
    alone, beside = lstm.predict([nlp("abc"), nlp("abc x")])
    assert not numpy.allclose(alone[0], beside[0])


@pytest.fixture
def doc_vectors() -> Model:
    """A vector of ones for every token."""

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        return [numpy.ones((len(doc), 8), dtype="float32") for doc in docs], lambda d: []

    return Model("ones", forward, dims={"nO": 8})


@pytest.mark.parametrize("feature", [None, *FEATURES])
def test_batches_of_empty_texts_only(
    pipeline: Callable[..., Language],
    feature_pipeline: Callable[[str], Language],
    tagged_examples: Any,
    feature: Any,
) -> None:
    nlp = feature_pipeline(feature) if feature else pipeline(tagger=True)
    width = FEATURES.get(feature, {}).get("width", 32)
    assert [doc.tensor.shape for doc in nlp.pipe(["", ""])] == [(0, width)] * 2
    model = nlp.get_pipe("tok2vec").model
    assert [v.shape for v in model.predict([nlp.make_doc(""), nlp.make_doc("")])] == [
        (0, width)
    ] * 2
    nlp.update(tagged_examples(nlp, ["", ""]))
    assert nlp("a lake").tensor.any()


# Settings that cannot be


def test_a_width_that_is_not_the_encoders_is_an_error(pipeline: Callable[..., Language]) -> None:
    with pytest.raises(ValueError, match=r"\[HE006\].* 16, .* 32"):
        pipeline(representation={"width": 16})
    with pytest.raises(ValueError, match=r"\[HE006\].* 48, .* 32"):
        pipeline(representation={"width": 16, "encoder_width": 48, "lstm_layers": 1})


def test_a_width_that_is_not_the_word_vectors_is_an_error(
    make_pipeline: Callable[..., Language],
) -> None:
    nlp = add_vectors(make_pipeline(representation={"vector_width": 50}))
    with pytest.raises(ValueError, match=r"\[HE008\].* 50, .* 12"):
        nlp.initialize()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"width": 0}, "HE002"),
        ({"encoder_width": -1}, "HE002"),
        ({"vector_width": -1}, "HE002"),
        ({"pos_width": -1}, "HE002"),
        ({"char_width": -1}, "HE002"),
        ({"char_width": 4, "char_buckets": 0}, "HE002"),
        ({"lstm_layers": -1}, "HE002"),
        ({"dropout": 1.1}, "HE002"),
        ({"lstm_dropout": -0.1}, "HE002"),
        ({"width": 33, "lstm_layers": 1}, "HE036"),
    ],
)
def test_bad_settings_are_errors(settings: Dict[str, Any], code: str) -> None:
    with pytest.raises(ValueError, match=rf"\[{code}\]"):
        build_token_representation(**settings)


@pytest.mark.parametrize("standardized", [True, False])
def test_vectors_are_standardized_by_the_first_batch(
    make_pipeline, tagged_examples, tmp_path, standardized
):
    fix_random_seed(0)
    nlp = make_pipeline(tagger=True, representation={"standardized": standardized})
    examples = tagged_examples(nlp, ["the old mayor of Oslo met 3 friends", "near a lake"])
    nlp.initialize(lambda: examples)
    texts = [example.text for example in examples]
    before = numpy.concatenate(vectors_of(nlp, docs_of(nlp, texts)))
    nlp.update(examples, sgd=Adam(0.0))
    after = numpy.concatenate(vectors_of(nlp, docs_of(nlp, texts)))
    expected = before
    if standardized:  # by what the update saw, under the encoder's dropout
        (layer,) = [n for n in nlp.get_pipe("tok2vec").model.walk() if n.has_param("spread")]
        expected = (before - layer.get_param("mean")) / layer.get_param("spread")
        assert abs(after.mean(axis=0)).max() < 0.5 * abs(before.mean(axis=0)).max()
    numpy.testing.assert_allclose(after, expected, rtol=1e-5)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    numpy.testing.assert_array_equal(
        numpy.concatenate(vectors_of(loaded, docs_of(loaded, texts))), after
    )
