"""Class embeddings: golden numbers, and the identities of the method."""

import numpy
import pytest
from util import span_array

from spacy_hetner.class_attention.embeddings import SCOPES, ClassEmbeddings, mention_vectors
from spacy_hetner.labels.codecs import decode_tags

ALPHAS = [0.0, 0.25, 0.5, 1.0]


def golden_mentions(case):
    """Vectors of the golden mentions, by class."""
    found = {}
    for tokens, tags in zip(case["H"], case["tags"], strict=True):
        spans = decode_tags(tags, "BMES", "strict").spans
        vectors = mention_vectors(numpy.array(tokens), span_array(spans))
        for span, vector in zip(spans, vectors, strict=True):
            found.setdefault(span.label, []).append(vector)
    return {label: numpy.array(vectors) for label, vectors in found.items()}


def accumulate(mentions, scope="class", batch=2, **settings):
    """Mentions that come in small batches."""
    found = ClassEmbeddings(list(mentions), 4, scope, **settings)
    for label, vectors in mentions.items():
        for start in range(0, len(vectors), batch):
            part = vectors[start : start + batch]
            found.add(label, part, [f"{label}{start + i}" for i in range(len(part))])
    return found


def random_mentions():
    rng = numpy.random.default_rng(0)
    return {name: rng.standard_normal((n, 4)) + 3 for name, n in (("A", 7), ("B", 5))}


@pytest.mark.parametrize("alpha", ALPHAS)
def test_golden(golden, alpha):
    case = golden("class_embedding")
    mentions = golden_mentions(case)
    found = accumulate(mentions).embeddings(alpha)
    for row, (label, vectors) in zip(found, mentions.items(), strict=True):
        expected = case["classes"][label]
        numpy.testing.assert_allclose(vectors, expected["word_embeddings"], atol=1e-12)
        numpy.testing.assert_allclose(vectors.T @ vectors, case["gram"][label], atol=1e-12)
        at_alpha = expected["by_alpha"][str(alpha)]
        numpy.testing.assert_allclose(row, at_alpha["class_embedding"], atol=1e-9)


def test_first_direction_is_the_first_left_singular_vector(golden):
    """Up to its sign, which the embeddings do not depend on."""
    case = golden("class_embedding")
    mentions = golden_mentions(case)
    for u, label in zip(accumulate(mentions).first_directions(), mentions, strict=True):
        expected = numpy.array(case["classes"][label]["first_left_singular_vector"])
        assert abs(u @ expected) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("scope", SCOPES)
def test_sums_say_what_an_svd_of_all_mentions_says(scope, alpha):
    mentions = random_mentions()
    found = accumulate(mentions, scope).embeddings(alpha)
    for row, vectors in zip(found, mentions.values(), strict=True):
        matrix = vectors if scope == "class" else numpy.concatenate(list(mentions.values()))
        u = numpy.linalg.svd(matrix.T)[0][:, 0]
        removed = vectors - alpha * numpy.outer(vectors @ u, u)
        numpy.testing.assert_allclose(row, removed.mean(axis=0), atol=1e-8)


def test_alpha_from_the_plain_mean_to_nothing_along_the_direction():
    mentions = random_mentions()
    found = accumulate(mentions)
    for row, vectors in zip(found.embeddings(0.0), mentions.values(), strict=True):
        numpy.testing.assert_allclose(row, vectors.mean(axis=0))
    u = found.first_directions()
    numpy.testing.assert_allclose((found.embeddings(1.0) * u).sum(axis=1), 0, atol=1e-12)


def test_the_shared_direction_tells_classes_apart():
    """With a large common part: a direction of each class shrinks, the shared one separates."""
    rng = numpy.random.default_rng(0)
    offsets = 10 + 3 * numpy.eye(4)[:2]
    noise = 0.3 * rng.standard_normal((2, 50, 4))
    mentions = {"A": offsets[0] + noise[0], "B": offsets[1] + noise[1]}

    def cosine(scope):
        a, b = accumulate(mentions, scope).embeddings(0.9)
        return a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b)

    assert cosine("shared") < 0.5 < 0.9 < cosine("class")


def test_mentions_are_means_over_their_characters():
    """One character is its vector; three count a third each."""
    tokens = numpy.arange(12.0).reshape(4, 3)
    vectors = mention_vectors(tokens, span_array([(1, 2), (0, 3)]))
    numpy.testing.assert_allclose(vectors, [tokens[1], tokens[:3].sum(axis=0) / 3])


def test_a_text_counts_once_where_mentions_are_unique():
    found = ClassEmbeddings(["X"], 2, "class", unique=True)
    found.add("X", numpy.array([[1.0, 0.0], [3.0, 0.0]]), ["a", "a"])
    found.add("X", numpy.array([[5.0, 0.0], [0.0, 4.0]]), ["a", "b"])
    assert found.counts.tolist() == [2]
    numpy.testing.assert_allclose(found.embeddings(0.0), [[0.5, 2.0]])


@pytest.mark.parametrize("scope", SCOPES)
def test_a_class_without_mentions_is_zero(scope):
    found = ClassEmbeddings(["X", "Y"], 4, scope)
    found.add("X", numpy.ones((2, 4)), ["a", "b"])
    assert found.counts.tolist() == [2, 0]
    assert (found.embeddings(0.5)[1] == 0).all() and (found.embeddings(0.5)[0] != 0).all()
