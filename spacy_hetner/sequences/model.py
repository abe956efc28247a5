"""Thinc wiring that the taggers share: a torch head that gives the scores of a linear chain."""

from typing import Any, Callable, List, Tuple, cast

from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import nn

from ..spans.batch import span_model, torch_head

ChainArrays = Tuple[Any, Any, Any, Any]
"""The arrays of a ``chain.Chain``, emissions in the order of the tokens."""


def chain_model(name: str, tok2vec: Model[List[Doc], List[Floats2d]], module: nn.Module) -> Model:
    """A model from (docs, pieces, bounds) to ChainArrays.

    module takes tokens (n_tokens, width) and pieces (n_pieces, 2), the stretches that it may read
    at once, half-open offsets into the batch's tokens; its ``settings`` have ``n_tags``.
    """
    return span_model(name, tok2vec, torch_head(module, _convert_outputs))


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, Any], is_train: bool
) -> Tuple[ChainArrays, Callable[[ChainArrays], ArgsKwargs]]:
    _, scores = inputs_outputs

    def backprop(gradients: ChainArrays) -> ArgsKwargs:
        # The transitions of a softmax tagger are constants.
        pairs = [
            (score, xp2torch(gradient))
            for score, gradient in zip(scores, gradients, strict=True)
            if score.requires_grad
        ]
        return ArgsKwargs(
            args=(tuple(score for score, _ in pairs),),
            kwargs={"grad_tensors": tuple(gradient for _, gradient in pairs)},
        )

    return cast(ChainArrays, tuple(torch2xp(score) for score in scores)), backprop
