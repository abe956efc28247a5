"""Thinc wiring that the taggers share: a torch head that gives the scores of a linear chain."""

from typing import Any, Callable, Dict, List, Tuple, cast

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


def set_n_tags(model: Model, n_tags: int, *, keep_weights: bool = False, **settings: Any) -> None:
    """Give the model a head for so many tags, and with other settings, where any are given.

    keep_weights (bool): Keep what the present head knows of its tags, to which the new ones are
        appended; otherwise the head is new.
    """
    head = model.get_ref("head")
    present = cast(nn.Module, head.shims[0]._model)
    known: Dict[str, Any] = cast(Dict[str, Any], present.settings)
    resized = type(present)(**{**known, "n_tags": n_tags, **settings})
    if keep_weights:
        weights = resized.state_dict()  # shared with the module
        for name, values in present.state_dict().items():
            weights[name][tuple(map(slice, values.shape))] = values
    # A new node, since optimizers keep state by node and parameter, in the sizes they had.
    model.replace_node(head, torch_head(resized, _convert_outputs))


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
