"""A random encoder that is small enough to build, load and train within a test."""

import re
import string
import unicodedata
from collections import Counter
from pathlib import Path
from typing import List, Mapping, Optional

import numpy

from ..errors import Errors
from .bert_files import (
    SPECIAL_PIECES,
    bert_config,
    bert_shapes,
    fold,
    write_bert,
    write_character_tokenizer,
)
from .chinese import CJK

_SIZES = {"width": 32, "layers": 2, "heads": 2, "inner": 64, "positions": 512}
_SEED = 0
_MOST_WORDS = 1000
_ALPHABET = string.ascii_letters + string.digits + string.punctuation + "。、《》【】「」“”‘’—·￥"


def write_tiny(folder: Path, text_path: Optional[Path] = None) -> None:
    """Write a two-layer BERT of width 32 with random weights, the same at every call.

    text_path: a UTF-8 text whose characters and frequent words become the vocabulary, beside a
        small alphabet; without it, the alphabet alone.
    RAISES (ValueError): HE029 if the text is missing, empty or not UTF-8.
    """
    vocabulary = piece_vocabulary("" if text_path is None else _read(text_path))
    config = bert_config(vocabulary=len(vocabulary), **_SIZES)
    write_bert(folder, config, _random_weights(config))
    write_character_tokenizer(folder, vocabulary, _SIZES["positions"])


def piece_vocabulary(text: str) -> List[str]:
    """Word pieces for a text: its characters, the same inside a word, and its frequent words."""
    cjk, words = re.compile(f"[{CJK}]"), re.compile(rf"[^\W_{CJK}]{{2,}}")
    characters = sorted(
        c for c in set(fold(_ALPHABET + text)) if unicodedata.category(c)[0] not in "CZ"
    )
    # Of what a text can spell a word with, also the form that continues a word.
    inner = [c for c in characters if unicodedata.category(c)[0] in "LNM" and not cjk.match(c)]
    counts = Counter(words.findall(fold(text)))
    frequent = sorted((-count, word) for word, count in counts.items() if count > 1)[:_MOST_WORDS]
    pieces = [*SPECIAL_PIECES, *characters, *(f"##{c}" for c in inner), *(w for _, w in frequent)]
    return list(dict.fromkeys(pieces))


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ValueError(Errors.HE029.format(path=path, reason=err)) from err
    if not text.strip():
        raise ValueError(Errors.HE029.format(path=path, reason="it has no characters"))
    return text


def _random_weights(config: Mapping[str, int]) -> Mapping[str, numpy.ndarray]:
    """Layer norms as they start, the rest normal with unit variance through every layer."""
    # RandomState's stream is frozen for good; the newer generators' may change.
    random = numpy.random.RandomState(_SEED)
    weights = {}
    for name, shape in bert_shapes(config).items():
        if name.endswith("LayerNorm.weight"):
            weight = numpy.ones(shape)
        elif name.endswith(".bias"):
            weight = numpy.zeros(shape)
        else:
            weight = random.standard_normal(shape) / numpy.sqrt(shape[1])
        weights[name] = weight.astype("<f4")
    return weights
