"""What the tests of candidates share."""

from typing import Any, Dict

import pytest
import spacy
from spacy.language import Language


@pytest.fixture
def nlp() -> Language:
    return spacy.blank("en")


@pytest.fixture
def zh() -> Language:
    """A pipeline that cuts Chinese into characters, and keeps Latin words whole."""
    tokenizer = {"@tokenizers": "spacy_hetner.ChineseTokenizer.v1"}
    config: Dict[str, Any] = {"nlp": {"tokenizer": tokenizer}}
    return spacy.blank("zh", config=config)
