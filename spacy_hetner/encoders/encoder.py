"""The encoder's settings; spacy-transformers, an extra, is loaded only where an encoder is made."""

import math
from types import ModuleType
from typing import Any, List, Literal

from spacy.tokens import Doc
from thinc.api import Model

from ..errors import Errors
from ..validation import check_choice, check_range
from .module import POOLINGS, PRECISIONS, TokenEncoder

ENCODER = "hetner-encoder"
"""The name of the model that ``build_encoder_model`` returns."""


def load_adapter() -> ModuleType:
    """The module ``spacy_adapter``.

    RAISES (ValueError): HE038 where the packages of the extra [transformers] are not to be had.
    """
    try:
        from . import spacy_adapter
    except ImportError as err:
        raise ValueError(Errors.HE038.format(reason=err)) from err
    return spacy_adapter


def build_encoder_model(
    name: str,
    *,
    pooling: Literal["first", "last", "mean", "max"] = "max",
    layers: int = 1,
    window: int = 256,
    overlap: int = 64,
    context_sentences: int = -1,
    by_token: bool = False,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    min_density: float = 0.9,
    max_batch_pieces: int = 4096,
) -> Model[List[Doc], Any]:
    """The model of a ``transformer`` component: a local encoder folder, batched without waste.

    name (str): Path of an encoder folder in Hugging Face layout. It is read once, when the
        pipeline is initialized; a saved pipeline carries the encoder with it.
    pooling (str): How the pieces of a token become its vector. Locate and Label takes "max".
    layers (int): The mean of the last so many hidden layers is used.
    window (int): Most pieces the encoder reads at once; longer docs are read in several windows.
    overlap (int): Pieces that neighbouring windows share. Nothing is ever truncated.
    context_sentences (int): -1: the doc is one running text. k >= 0: every sentence is encoded
        with k sentences on either side as context.
    by_token (bool): Tokenise each token on its own, which keeps tokens smaller than a word apart.
    precision (str): "bf16" and "fp16" run the encoder under autocast; vectors stay float32. With
        "fp16" gradients are scaled, on CUDA: elsewhere it predicts in float32 and is not trained.
    min_density (float): Least share of real pieces in every padded batch.
    max_batch_pieces (int): Most pieces, padding included, that the encoder computes at once.
    RETURNS (Model[List[Doc], TokenVectorBatch]): Its dim nO is set by initialize or from_bytes.
    RAISES (ValueError): HE002, HE004, HE032 on bad settings; HE038 without spacy-transformers; from
        initialize: HE020-HE023, HE034, HE035, HE039 for a folder that cannot be used, HE002 for
        more layers than the encoder has; from training: HE143 for "fp16" without CUDA.
    """
    check_choice("pooling", pooling, POOLINGS)
    check_choice("precision", precision, PRECISIONS)
    check_range("layers", layers, 1, math.inf)
    check_range("context_sentences", context_sentences, -1, math.inf)
    check_range("min_density", min_density, 0, 1)
    check_range("max_batch_pieces", max_batch_pieces, 1, math.inf)
    if not 0 <= overlap < window:
        raise ValueError(Errors.HE032.format(capacity=window, overlap=overlap))
    module = TokenEncoder(
        pooling=pooling,
        layers=layers,
        precision=precision,
        min_density=min_density,
        max_batch_pieces=max_batch_pieces,
    )
    adapter = load_adapter()
    reading = adapter.Reading(str(name), window, overlap, context_sentences, by_token)
    return adapter.encoder_model(module, reading)
