"""Encoder folders, and pipelines over the tiny one."""

import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_hetner.encoders.build import build_encoder

TEXT = "the old mayor of Oslo met 3 friends from Lima , near a lake"


@pytest.fixture(scope="session")
def make_pipeline(tiny_encoder: Path) -> Callable[..., Language]:
    """Make a transformer, the shared token representation and a tagger on it, uninitialized.

    folder: by default the tiny encoder's, whose width is 32; representation: settings of the
    tok2vec; tagger: whether there is one; more settings go to the encoder.
    """

    def make(
        folder: Path = tiny_encoder,
        *,
        representation: Optional[Dict[str, Any]] = None,
        tagger: bool = False,
        max_batch_items: int = 4096,
        **settings: Any,
    ) -> Language:
        nlp = spacy.blank("en")
        encoder = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(folder), **settings}
        nlp.add_pipe("transformer", config={"model": encoder, "max_batch_items": max_batch_items})
        shared = {
            "@architectures": "spacy_hetner.TokenRepresentation.v1",
            "width": 32,
            **(representation or {}),
        }
        nlp.add_pipe("tok2vec", config={"model": shared})
        if tagger:
            listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": shared["width"]}
            model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
            nlp.add_pipe("tagger", config={"model": model})
        return nlp

    return make


@pytest.fixture(scope="session")
def tagged_examples() -> Callable[[Language, List[str]], List[Example]]:
    """Make examples that say of each token whether its length is odd."""

    def make(nlp: Language, texts: List[str]) -> List[Example]:
        docs = [nlp.make_doc(text) for text in texts]
        return [
            Example(
                doc,
                Doc(
                    doc.vocab,
                    words=[token.text for token in doc],
                    tags=[("even", "odd")[len(token) % 2] for token in doc],
                ),
            )
            for doc in docs
        ]

    return make


@pytest.fixture(scope="session")
def pipeline(
    make_pipeline: Callable[..., Language], tagged_examples: Callable[..., List[Example]]
) -> Callable[..., Language]:
    """Make an initialized pipeline; settings as of ``make_pipeline``."""

    def make(*args: Any, **settings: Any) -> Language:
        nlp = make_pipeline(*args, **settings)
        examples = tagged_examples(nlp, [TEXT])
        nlp.initialize(lambda: examples)
        return nlp

    return make


@pytest.fixture
def encoder_copy(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder's folder that a test may change."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))


@pytest.fixture(scope="session")
def worded_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder whose vocabulary has Han characters, and English words as single pieces."""
    folder = tmp_path_factory.mktemp("worded")
    text = folder / "text.txt"
    text.write_text(
        "我在北京的公司用iPhone 我在上海的大学用iPhone hello hello é ｶﾞ 한", encoding="utf8"
    )
    return build_encoder("tiny", folder / "encoder", vocab_text=text)
