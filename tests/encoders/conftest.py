"""Encoder folders and pipelines over them."""

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
from encoder_util import initialize, make_pipeline
from spacy.language import Language

from spacy_hetner.encoders.build import build_encoder


@pytest.fixture
def pipeline(tiny_encoder: Path) -> Callable[..., Language]:
    """Make an initialized pipeline over the tiny encoder; settings as in ``make_pipeline``."""

    def make(**settings: Any) -> Language:
        return initialize(make_pipeline(tiny_encoder, **settings))

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
