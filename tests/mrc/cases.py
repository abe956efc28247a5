"""Sentences of characters and queries for them; whatever else tests of the tagger share."""

from pathlib import Path
from typing import Any, Dict, List

import numpy
from decoupled.cases import TEXT, by_character, sentence
from safetensors.numpy import save_file
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from util import make_doc, make_example

from spacy_hetner.encoders.heads import HEAD, HEAD_WEIGHTS
from spacy_hetner.files import write_json
from spacy_hetner.mrc.component import QueryTagger
from spacy_hetner.mrc.inputs import TextPieces

__all__ = ["TEXT", "by_character", "sentence"]

NAME = "hetner_mrc_tagger"
QUERIES = {"PER": "住在的人", "GPE": "人住在的市"}


def make_examples(nlp: Language, n: int = 8) -> List[Example]:
    return [make_example(nlp, *sentence(i)) for i in range(n)]


def docs_of(nlp: Language, n: int = 12) -> List[Doc]:
    return [make_doc(nlp, sentence(i)[0]) for i in range(n)]


def tagger_of(nlp: Language) -> QueryTagger:
    found = nlp.get_pipe(NAME)
    assert isinstance(found, QueryTagger)
    return found


def pieces_of(n: int, first: int = 100) -> TextPieces:
    """A text of n tokens with a piece each."""
    return TextPieces(numpy.arange(first, first + n), numpy.arange(n), numpy.arange(n))


def write_head(folder: Path, weights: Dict[str, numpy.ndarray], **record: Any) -> None:
    """What a stage of pre-training leaves beside an encoder."""
    told = {
        "objective": "span_identification",
        "backbone": "query",
        "labels": ["PER", "GPE"],
        "queries": QUERIES,
        "pooling": "first",
        "by_token": False,
        **record,
    }
    write_json(folder / HEAD, told)
    save_file(weights, folder / HEAD_WEIGHTS)
