"""Small docs, examples and pipelines that the tests of several folders share."""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy
import spacy
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Model, fix_random_seed

WIDTH = 64
"""Width of the small pipelines' token vectors."""

Annotation = Tuple[int, int, str]


def span_array(spans: Iterable[Sequence[Any]]) -> numpy.ndarray:
    """Spans, with or without labels behind their ends, as an int64 array (n, 2)."""
    return numpy.array([tuple(span)[:2] for span in spans], dtype="int64").reshape(-1, 2)


def spans_within(n: int, max_size: int = 20) -> st.SearchStrategy[List[Tuple[int, int]]]:
    """Lists of non-empty spans in a text of n tokens."""
    ends = st.tuples(st.integers(0, n), st.integers(0, n))
    span = ends.filter(lambda pair: pair[0] != pair[1]).map(lambda pair: tuple(sorted(pair)))
    return st.lists(span, max_size=max_size)


def make_doc(
    nlp: Language,
    words: Sequence[str],
    spans: Optional[Iterable[Annotation]] = None,
    *,
    key: str = "entities",
    sentence_starts: Optional[Sequence[int]] = None,
    spaces: Optional[List[bool]] = None,
) -> Doc:
    """A doc of words, with a group of labelled spans where any are given."""
    starts: Any = None
    if sentence_starts is not None:
        starts = [i in sentence_starts for i in range(len(words))]
    doc = Doc(nlp.vocab, words=list(words), spaces=spaces, sent_starts=starts)
    if spans is not None:
        doc.spans[key] = [Span(doc, start, end, label=label) for start, end, label in spans]
    return doc


def make_example(nlp: Language, words: Sequence[str], spans: Iterable[Annotation]) -> Example:
    """An example whose two docs have the same tokens."""
    return Example(make_doc(nlp, words), make_doc(nlp, words, spans))


def group_of(doc: Doc, key: str = "entities") -> List[Annotation]:
    """The labelled spans of a group, in its order."""
    return [(span.start, span.end, span.label_) for span in doc.spans[key]]


def scores_of(doc: Doc, key: str = "entities") -> numpy.ndarray:
    """The scores of a group, after a look at the contract that every group has to keep."""
    scores = doc.spans[key].attrs["scores"]
    assert scores.dtype == "float32" and scores.shape == (len(doc.spans[key]),)
    return scores


def words_of_length(n: int) -> List[str]:
    return [f"w{i}" for i in range(n)]


_PEOPLE = ["Ada", "Grace", "Alan", "Barbara", "Donald", "Edsger", "Frances"]
_PLACES = ["Paris", "Oslo", "Lima", "Quito", "Delhi", "Cairo", "Rome", "Bern", "Accra", "Kyoto"]


def _nested_sentence(i: int) -> Tuple[List[str], List[Annotation]]:
    place, other, person = _PLACES[i % 10], _PLACES[i * 3 % 10], _PEOPLE[i % 7]
    words = f"the University of {place} hired {person} in {other} .".split()
    return words, [(0, 4, "ORG"), (3, 4, "GPE"), (5, 6, "PER"), (7, 8, "GPE")]


NESTED_SENTENCES = [_nested_sentence(i) for i in range(19)]

LONG_LENGTH = 20
LONG_SENTENCE: Tuple[List[str], List[Annotation]] = (
    ["we", "met", "the", "Joint", "Committee", *words_of_length(16), "Lima", "today", "again", "."],
    [(2, 2 + LONG_LENGTH, "ORG"), (21, 22, "GPE")],
)
"""A sentence with an entity that is longer than every seed by default."""


def nested_examples(nlp: Language, n: int = 5) -> List[Example]:
    return [make_example(nlp, *sentence) for sentence in NESTED_SENTENCES[:n]]


def train(
    nlp: Language,
    examples: List[Example],
    *,
    epochs: int,
    learn_rate: float = 0.005,
    annotates: Sequence[str] = (),
) -> Dict[str, float]:
    """Initialize and train on all examples at once, ever more slowly; the last epoch's losses."""
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    losses: Dict[str, float] = {}
    for epoch in range(epochs):
        losses = {}
        optimizer.learn_rate = learn_rate * (1 - epoch / epochs)
        nlp.update(examples, sgd=optimizer, losses=losses, annotates=list(annotates))
    return losses


def two_stages(
    *, proposer: Optional[Dict[str, Any]] = None, classifier: Optional[Dict[str, Any]] = None
) -> Language:
    """Both span components over one small trainable tok2vec, with settings of their own."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": SMALL_TOK2VEC})
    add_proposer(nlp, **(proposer or {}))
    add_classifier(nlp, **(classifier or {}))
    return nlp


def add_proposer(nlp: Language, *, width: int = WIDTH, **settings: Any) -> Any:
    """Add a span proposer without dropout that listens to the pipeline's tok2vec."""
    model = {"dropout": 0.0, "tok2vec": {"width": width}}
    return nlp.add_pipe("hetner_span_proposer", config={"model": model, **settings})


def add_classifier(nlp: Language, *, width: int = WIDTH, **settings: Any) -> Any:
    """Add a span classifier without dropout that listens to the pipeline's tok2vec."""
    model = {"dropout": 0.0, "tok2vec": {"width": width}}
    return nlp.add_pipe("hetner_span_classifier", config={"model": model, **settings})


SMALL_TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": WIDTH,
    "depth": 2,
    "embed_size": 500,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": False,
    "pretrained_vectors": None,
}


@spacy.registry.architectures("hetner_tests.DocTensor.v1")
def doc_tensor(width: int) -> Model[List[Doc], List[Any]]:
    """Token vectors that a test writes to ``doc.tensor`` itself, so that heads see just those."""

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        return [doc.tensor.reshape(-1, width) for doc in docs], lambda d_vectors: []

    return Model("doc-tensor", forward, dims={"nO": width})


def with_vectors(doc: Doc, width: int, seed: int = 0) -> Doc:
    """The doc with random vectors in ``doc.tensor``, for models over ``doc_tensor``."""
    rng = numpy.random.default_rng(seed)
    doc.tensor = rng.standard_normal((len(doc), width)).astype("float32")
    return doc
