"""An encoder that knows the characters of the tests, and pipelines of the tagger alone."""

from pathlib import Path
from typing import Any, Callable

import pytest
import spacy
from mrc.cases import NAME, QUERIES, TEXT, make_examples
from spacy.language import Language
from util import train

from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.hugging_face import load_tokenizer
from spacy_hetner.encoders.layer import load_into
from spacy_hetner.mrc.module import PairEncoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with random weights and the characters of ``TEXT``."""
    folder = tmp_path_factory.mktemp("mrc")
    (folder / "text.txt").write_text(TEXT, encoding="utf8")
    return build_encoder("tiny", folder / "encoder", vocab_text=folder / "text.txt")


@pytest.fixture(scope="session")
def tokenizer(encoder: Path) -> Any:
    return load_tokenizer(encoder)


@pytest.fixture(scope="session")
def make_pipeline(encoder: Path) -> Callable[..., Language]:
    """Make a pipeline of character tokens, uninitialized.

    model: settings of the tagger's model. More settings go to the tagger.
    """

    def make(model: Any = None, **settings: Any) -> Language:
        tokenizer = {"@tokenizers": "spacy_hetner.ChineseTokenizer.v1", "per_character": True}
        nlp = spacy.blank("zh", config={"nlp": {"tokenizer": tokenizer}})
        model = {"name": str(encoder), "dropout": 0.0, **(model or {})}
        nlp.add_pipe(NAME, config={"model": model, "queries": QUERIES, **settings})
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
    train(nlp, make_examples(nlp), epochs=60, learn_rate=0.003)
    folder = tmp_path_factory.mktemp("trained")
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def trained(trained_folder: Path) -> Language:
    return spacy.load(trained_folder)


@pytest.fixture
def make_encoder(encoder: Path) -> Callable[..., PairEncoder]:
    """Make the torch module that reads pairs, with the tiny encoder in it."""

    def make(**settings: Any) -> PairEncoder:
        settings = {"min_density": 0.9, "max_batch_pieces": 4096, "together": False, **settings}
        module = PairEncoder(precision="fp32", **settings)
        load_into(module, str(encoder), by_token=False)
        return module.eval()

    return make
