"""An encoder that knows the characters of the tests, and scorers over all short spans."""

from pathlib import Path
from typing import Any, Callable, Sequence

import pytest
import spacy
from decoupled.cases import CANDIDATES, NAME, TEXT, make_examples
from spacy.language import Language
from util import train

from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.hugging_face import load_tokenizer


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with random weights and the characters of ``TEXT``."""
    folder = tmp_path_factory.mktemp("decoupled")
    (folder / "text.txt").write_text(TEXT, encoding="utf8")
    return build_encoder("tiny", folder / "encoder", vocab_text=folder / "text.txt")


@pytest.fixture(scope="session")
def tokenizer(encoder: Path) -> Any:
    return load_tokenizer(encoder)


@pytest.fixture(scope="session")
def make_pipeline(encoder: Path) -> Callable[..., Language]:
    """Make a pipeline of character tokens, uninitialized: spans of some lengths, then the scorer.

    lengths: of the candidates; none for no component that writes them. model: settings of the
    scorer's model. More settings go to the scorer.
    """

    def make(lengths: Sequence[int] = (1, 2), model: Any = None, **settings: Any) -> Language:
        tokenizer = {"@tokenizers": "spacy_hetner.ChineseTokenizer.v1", "per_character": True}
        nlp = spacy.blank("zh", config={"nlp": {"tokenizer": tokenizer}})
        if lengths:
            ngrams = {"@misc": "spacy_hetner.NgramCandidates.v1", "lengths": list(lengths)}
            nlp.add_pipe(CANDIDATES, config={"proposers": {"ngrams": ngrams}})
        model = {"name": str(encoder), "dropout": 0.0, **(model or {})}
        nlp.add_pipe(NAME, config={"model": model, **settings})
        return nlp

    return make


@pytest.fixture(scope="session")
def initialized(make_pipeline: Callable[..., Language]) -> Callable[..., Language]:
    """Make an initialized pipeline; settings as of ``make_pipeline``."""

    def make(**settings: Any) -> Language:
        nlp = make_pipeline(**settings)
        nlp.initialize(lambda: make_examples(nlp))
        return nlp

    return make


@pytest.fixture(scope="session")
def trained_folder(
    make_pipeline: Callable[..., Language], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A saved pipeline that knows its sentences by heart."""
    nlp = make_pipeline()
    train(nlp, make_examples(nlp), epochs=60, learn_rate=0.003, annotates=[CANDIDATES])
    folder = tmp_path_factory.mktemp("trained")
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def trained(trained_folder: Path) -> Language:
    return spacy.load(trained_folder)
