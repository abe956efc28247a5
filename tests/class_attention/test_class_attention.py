"""The component hetner_class_attention_tagger: where its class embeddings come from and go."""

import numpy
import pytest
import spacy
import torch
from util import group_of, make_doc, make_example, train

NAME = "hetner_class_attention_tagger"
PEOPLE = ["艾达", "格蕾丝", "图灵", "冯诺依曼", "高德纳"]
PLACES = ["巴黎", "利马", "开罗", "罗马", "京都", "北京"]


def sentence(i):
    """A Chinese sentence, a token a character, and its two mentions."""
    person, place = PEOPLE[i % 5], PLACES[i % 6]
    words = list(f"{person}昨天到了{place}。")
    start = len(person) + 4
    return words, [(0, len(person), "PER"), (start, start + len(place), "LOC")]


SENTENCES = [sentence(i) for i in range(30)]


def over_encoder(encoder, representation=None, **settings):
    """The tagger over a tiny transformer, with or without the shared representation between."""
    nlp = spacy.blank("zh")
    nlp.add_pipe(
        "transformer",
        config={"model": {"@architectures": "spacy_hetner.Encoder.v1", "name": str(encoder)}},
    )
    if representation is not None:
        model = {"@architectures": "spacy_hetner.TokenRepresentation.v1", "width": 32}
        nlp.add_pipe("tok2vec", config={"model": {**model, **representation}})
        listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 32, "upstream": "*"}
    else:
        listener = {
            "@architectures": "spacy_hetner.TokenRepresentation.v1",
            "width": 32,
            "standardized": False,
        }
    model = {"heads": 4, "dropout": 0.0, "tok2vec": listener, **settings.pop("model", {})}
    return nlp, nlp.add_pipe(NAME, config={"model": model, **settings})


def examples_of(nlp, sentences=SENTENCES):
    return [make_example(nlp, *given) for given in sentences]


def mentions_of(nlp, sentences):
    """Vectors and texts of the mentions of each label, from what the pipeline leaves on docs."""
    vectors, texts = {"LOC": [], "PER": []}, {"LOC": [], "PER": []}
    with nlp.select_pipes(disable=[NAME]):
        for words, spans in sentences:
            tokens = nlp(make_doc(nlp, words)).tensor.astype("float64")
            for start, end, label in spans:
                vectors[label].append(tokens[start:end].mean(axis=0))
                texts[label].append("".join(words[start:end]))
    return {label: numpy.array(rows) for label, rows in vectors.items()}, texts


def mention_means(nlp, sentences):
    return numpy.array([rows.mean(axis=0) for rows in mentions_of(nlp, sentences)[0].values()])


@pytest.mark.parametrize("scope", ["class", "shared"])
@pytest.mark.parametrize("unique", [False, True])
def test_class_embeddings_are_those_of_a_decomposition(tiny_encoder, scope, unique):
    """Of all mentions at once, of which half of the first direction is taken off."""
    nlp, tagger = over_encoder(tiny_encoder, {}, alpha=0.5, scope=scope, unique=unique)
    sentences = SENTENCES[:17]
    nlp.initialize(lambda: examples_of(nlp, sentences))
    mentions, texts = mentions_of(nlp, sentences)
    if unique:
        mentions = {
            label: rows[numpy.unique(texts[label], return_index=True)[1]]
            for label, rows in mentions.items()
        }
    for row, rows in zip(tagger.class_embeddings(), mentions.values(), strict=True):
        matrix = rows if scope == "class" else numpy.concatenate(list(mentions.values()))
        u = numpy.linalg.svd(matrix.T)[0][:, 0]
        expected = (rows - 0.5 * numpy.outer(rows @ u, u)).mean(axis=0)
        numpy.testing.assert_allclose(row, expected, atol=1e-4)


def test_encoder_of_another_pipeline_that_stays_frozen(tiny_encoder):
    """spaCy disables it while the tagger is initialized."""
    source, _ = over_encoder(tiny_encoder, {"standardized": True})
    source.initialize(lambda: examples_of(source))
    nlp = spacy.blank("zh")
    for name in ("transformer", "tok2vec"):
        nlp.add_pipe(name, source=source)
    model = {"heads": 4, "tok2vec": {"width": 32}}
    tagger = nlp.add_pipe(NAME, config={"model": model, "alpha": 0.0})
    with nlp.select_pipes(disable=["transformer", "tok2vec"]):
        nlp.initialize(lambda: examples_of(nlp))
    expected = mention_means(nlp, SENTENCES)
    assert expected.any()
    numpy.testing.assert_allclose(tagger.class_embeddings(), expected, atol=1e-4)


def test_only_what_is_listened_to_is_run(tiny_encoder):
    """Not a second tok2vec, nor what is no encoder at all."""
    nlp, tagger = over_encoder(tiny_encoder, {})
    tagger.model.get_ref("tok2vec").upstream_name = "tok2vec"
    nlp.add_pipe("tok2vec", name="other", first=True)
    nlp.add_pipe("sentencizer", first=True)
    assert [encoder.name for encoder in tagger.encoders(nlp)] == ["transformer", "tok2vec"]


def test_an_encoder_that_is_not_reached(tiny_encoder):
    nlp, tagger = over_encoder(tiny_encoder, {})
    examples = examples_of(nlp)
    nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match=rf"HE013.*'{NAME}'.*nlp=nlp"):
        tagger.initialize(lambda: examples)


def test_class_embeddings_are_means_of_the_training_mentions(tiny_encoder):
    """By the encoder as it is before training, in the space that the tagger reads."""
    nlp, tagger = over_encoder(tiny_encoder, {"standardized": True}, alpha=0.0)
    examples = examples_of(nlp)
    nlp.initialize(lambda: examples)
    assert tagger.labels == ("LOC", "PER")
    before = mention_means(nlp, SENTENCES)
    numpy.testing.assert_allclose(tagger.class_embeddings(), before, atol=1e-4)
    assert not any(doc.has_extension("trf_data") and doc._.trf_data for doc in _docs(examples))


def _docs(examples):
    return [example.predicted for example in examples]


def test_the_representation_is_standardized_before_mentions_are_read(tiny_encoder):
    """So that classes and tokens lie in one space from the first step on."""
    nlp, tagger = over_encoder(tiny_encoder, {"standardized": True}, alpha=0.0)
    examples = examples_of(nlp)
    nlp.initialize(lambda: examples)
    words, _ = SENTENCES[0]
    before = nlp(make_doc(nlp, words)).tensor
    assert abs(before.std() - 1) < 0.5
    embeddings = tagger.class_embeddings().copy()
    nlp.update(examples, sgd=nlp.create_optimizer())
    scale = nlp.get_pipe("tok2vec").model
    constants = [n.get_param("spread") for n in scale.walk() if n.name == "hetner-standardize"]
    assert len(constants) == 1 and constants[0] > 0
    numpy.testing.assert_array_equal(tagger.class_embeddings(), embeddings)


@pytest.mark.parametrize("representation", [None, {"standardized": False}, {}])
def test_any_way_to_the_encoder(tiny_encoder, representation):
    nlp, tagger = over_encoder(tiny_encoder, representation)
    nlp.initialize(lambda: examples_of(nlp))
    norms = numpy.linalg.norm(tagger.class_embeddings(), axis=1)
    assert tagger.class_embeddings().shape == (2, 32) and (norms > 0).all()


@pytest.mark.parametrize("trained", [False, True])
def test_frozen_unless_asked_for(tiny_encoder, trained):
    nlp, tagger = over_encoder(tiny_encoder, {}, model={"trained_classes": trained})
    examples = examples_of(nlp)
    train(nlp, examples, epochs=3)
    after = tagger.class_embeddings().copy()
    again, fresh = over_encoder(tiny_encoder, {}, model={"trained_classes": trained})
    torch.manual_seed(0)
    again.initialize(lambda: examples_of(again))
    assert numpy.allclose(after, fresh.class_embeddings(), atol=1e-5) != trained


def test_overfit_save_and_reload(tiny_encoder, tmp_path):
    """Thirty sentences to an F of 1, which the reloaded pipeline keeps, and its classes."""
    nlp, tagger = over_encoder(tiny_encoder, {})
    examples = examples_of(nlp)
    train(nlp, examples, epochs=100, learn_rate=0.004)
    assert nlp.evaluate(examples)["spans_entities_f"] == 1.0
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    numpy.testing.assert_array_equal(
        loaded.get_pipe(NAME).class_embeddings(), tagger.class_embeddings()
    )
    assert loaded.config["components"][NAME]["alpha"] == 0.5
    assert loaded.config["components"][NAME]["scope"] == "class"
    for words, spans in SENTENCES[:6]:
        assert group_of(loaded(make_doc(loaded, words))) == spans


def test_attention_is_a_row_a_class_and_a_column_a_token(tiny_encoder):
    nlp, tagger = over_encoder(tiny_encoder, {}, max_length=5)
    nlp.initialize(lambda: examples_of(nlp))
    doc = nlp(make_doc(nlp, list("图灵到了罗马")))
    weights = tagger.attention(doc)
    assert weights.shape == (2, 6) and (weights > 0).all()
    numpy.testing.assert_allclose(weights[:, :5].sum(axis=1), 1, atol=1e-5)
    numpy.testing.assert_allclose(weights[:, 5:].sum(axis=1), 1, atol=1e-5)
    assert tagger.attention(nlp(make_doc(nlp, []))).shape == (2, 0)


def test_attention_needs_labels_and_a_doc_that_was_read(tiny_encoder):
    nlp, tagger = over_encoder(tiny_encoder, {})
    with pytest.raises(ValueError, match="HE014"):
        tagger.attention(make_doc(nlp, ["图", "灵"]))
    nlp.initialize(lambda: examples_of(nlp))
    with pytest.raises(ValueError, match="HE012"):
        tagger.attention(make_doc(nlp, ["图", "灵"]))


def test_a_class_without_a_mention_is_named(tiny_encoder):
    nlp, tagger = over_encoder(tiny_encoder, {})
    nlp.config["initialize"]["components"][NAME] = {"labels": ["LOC", "PER", "LAW"]}
    with pytest.warns(UserWarning, match=r"HW005\].*label\(s\) LAW"):
        nlp.initialize(lambda: examples_of(nlp))
    found = tagger.class_embeddings()
    assert not found[2].any() and found[0].any()
    found[:] = 1.0
    assert not tagger.class_embeddings()[2].any(), "a copy was given"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"alpha": 1.5}, "HE002"),
        ({"scope": "all"}, "HE004"),
        ({"model": {"heads": 5}}, "HE011"),
        ({"model": {"rescale": True, "axis": "class"}}, "HE016"),
    ],
)
def test_bad_settings(tiny_encoder, settings, message):
    with pytest.raises(ValueError, match=message):
        over_encoder(tiny_encoder, {}, **settings)
