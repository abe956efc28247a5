"""The vector of a mention depends on nothing but its words, that of a context on all but these.

Bit for bit, where what is computed has the same shapes; in a batch of other shapes a processor may
round differently.
"""

from typing import Any, Callable, List

import numpy
import pytest
import torch
from decoupled.cases import NAME, by_character, forget, sides
from spacy.language import Language
from util import make_doc, span_array

from spacy_hetner.decoupled.inputs import RegionReader
from spacy_hetner.decoupled.model import row_encoder

BEFORE, AFTER = ["我", "在"], ["学", "习", "。"]


@pytest.fixture(scope="module")
def nlp(initialized: Callable[..., Language]) -> Language:
    return initialized(lengths=(), model={"standardized": False})


def place(nlp: Language, mention: List[str], before: Any = BEFORE, after: Any = AFTER) -> Any:
    """A doc with a mention in it, and the mention's span."""
    words = [*before, *mention, *after]
    doc = make_doc(nlp, words, spaces=[False] * len(words))
    return doc, span_array([(len(before), len(before) + len(mention))])


def read(nlp: Language, places: List[Any], together: bool) -> List[Any]:
    """The vectors of mentions and contexts: in one batch, or each alone, nothing remembered."""
    batches = [places] if together else [[each] for each in places]
    found = []
    for batch in batches:
        forget(nlp)
        docs, spans = zip(*batch, strict=True)
        found.append(sides(nlp, list(docs), list(spans)))
    return [numpy.concatenate(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["京"], list("北京大学张三李四")),  # of lengths 1 and 8: the length does not leak
        (["京"], ["三"]),
        (["北京"], ["word"]),
        (["1956"], ["[MASK]"]),
        (["é"], ["\u200b"]),
    ],
)
def test_a_context_says_nothing_of_its_mention(
    nlp: Language, one: List[str], other: List[str], together: bool
) -> None:
    mentions, contexts = read(nlp, [place(nlp, one), place(nlp, other)], together)
    assert numpy.array_equal(contexts[0], contexts[1])
    assert not numpy.array_equal(mentions[0], mentions[1])


@pytest.mark.parametrize("together", [True, False])
def test_a_mention_says_nothing_of_its_context(nlp: Language, together: bool) -> None:
    """Also where it is the half of a word, or of a number."""
    contexts = [(BEFORE, AFTER), (["王"], []), (["1"], ["9"]), ([], ["words"] * 30)]
    for mention in (["北", "京"], ["56"], ["word"]):
        places = [place(nlp, mention, *around) for around in contexts]
        mentions, vectors = read(nlp, places, together)
        assert all(numpy.array_equal(mentions[0], vector) for vector in mentions)
        assert not any(numpy.array_equal(vectors[0], vector) for vector in vectors[1:])


def test_a_mask_a_piece_would_tell_the_length(nlp: Language) -> None:
    """As in pre-training, where it is wanted: the same encoder, other inputs."""
    module = row_encoder(nlp.get_pipe(NAME).model, "context")
    reader = RegionReader(module.tokenizer, capacity=100)
    lengths = []
    for mention in ("京", "北京大学张三李四"):
        text, offsets = by_character([*BEFORE, *mention, *AFTER])
        (pieces,) = reader.read([text], [offsets], [span_array([(2, 2 + len(mention))])])
        ids, places, _ = reader.masked_pieces(pieces)
        lengths.append((len(ids), len(places)))
    assert lengths == [(8, 1), (15, 8)]


def test_partial_scores_are_as_strict(initialized: Callable[..., Language]) -> None:
    """What either classifier alone gives, read as a user reads it."""
    nlp = initialized(lengths=())
    scorer = nlp.get_pipe(NAME)
    head = scorer.model.get_ref("head").shims[0]._model
    head.both.bias.data += torch.tensor([-9.0, 9.0, 0.0])  # all are entities

    def scores(mention: List[str], *around: Any) -> Any:
        doc, span = place(nlp, mention, *around)
        doc.spans["candidates"] = [doc[start:end] for start, end in span.tolist()]
        attributes = scorer(doc).spans["entities"].attrs
        return attributes["mention_scores"], attributes["context_scores"]

    one, other, moved = scores(["京"]), scores(list("上海")), scores(["京"], ["住"], ["。"])
    assert one[1] == other[1] and one[0] != other[0]
    assert one[0] == moved[0] and one[1] != moved[1]
