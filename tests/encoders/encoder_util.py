"""Pipelines over the tiny encoder, for the tests of this folder."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

WIDTH = 32
"""Width of the tiny encoder."""

TEXT = "the old mayor of Oslo met 3 friends from Lima , near a lake"


def make_pipeline(
    folder: Path,
    *,
    representation: Optional[Dict[str, Any]] = None,
    tagger: bool = False,
    max_batch_items: int = 4096,
    **settings: Any,
) -> Language:
    """A transformer, the shared token representation and a tagger on it, not initialized."""
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(folder), **settings}
    nlp.add_pipe("transformer", config={"model": encoder, "max_batch_items": max_batch_items})
    shared = {
        "@architectures": "spacy_hetner.TokenRepresentation.v1",
        "width": WIDTH,
        **(representation or {}),
    }
    nlp.add_pipe("tok2vec", config={"model": shared})
    if tagger:
        listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": shared["width"]}
        nlp.add_pipe(
            "tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}}
        )
    return nlp


def initialize(nlp: Language) -> Language:
    examples = tagged_examples(nlp, [TEXT])
    nlp.initialize(lambda: examples)
    return nlp


def tagged_example(doc: Doc) -> Example:
    """An example that says of each token whether its length is odd."""
    tags = [("even", "odd")[len(token) % 2] for token in doc]
    return Example(doc, Doc(doc.vocab, words=[t.text for t in doc], tags=tags))


def tagged_examples(nlp: Language, texts: List[str]) -> List[Example]:
    return [tagged_example(nlp.make_doc(text)) for text in texts]


def edit_json(path: Path, **changes: Any) -> None:
    """Replace entries of a JSON file."""
    content = json.loads(path.read_text(encoding="utf8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf8")
