"""The span proposer as a thinc model: token vectors, then the torch heads."""

from typing import Any, Callable, List, Literal, Optional, Tuple, cast

import numpy
import torch
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.types import Floats1d, Floats2d

from ..spans.batch import SpanBatch, convert_span_inputs, span_model, token_width, torch_head
from ..spans.head import OUTER_BOUNDARIES, check_head
from ..validation import check_choice
from .module import SpanProposer


def build_span_proposer_model(
    tok2vec: Model[List[Doc], List[Floats2d]],
    *,
    hidden_width: Optional[int] = None,
    filter_width: Optional[int] = None,
    dropout: float = 0.5,
    outer_boundary: Literal["sentinel", "clamp"] = "sentinel",
    width: Optional[int] = None,
) -> Model:
    """Filter and boundary regressor over token vectors (Locate and Label, section 2.3).

    tok2vec (Model[List[Doc], List[Floats2d]]): Token vectors, usually a listener.
    hidden_width (int): Width of each head's hidden layer; by default that of the token vectors.
    filter_width (int): Width of the filter's hidden layer, where it is another: the filter scores
        every seed, which makes it the dearest part of the pipeline after the encoder.
    dropout (float): Dropout on each head's input while training.
    outer_boundary (str): What stands for the word outside a sentence: a learned "sentinel", or
        "clamp" for the span's own last word, as in the published code.
    width (int): Width of the token vectors, where tok2vec does not say it.
    RETURNS (Model): From (docs, spans, bounds) to (filter logits, offsets).
    RAISES (ValueError): HE002, HE004-006, HE078 for settings that make no sense.
    """
    check_choice("outer_boundary", outer_boundary, OUTER_BOUNDARIES)
    width = token_width(tok2vec, width)
    hidden_width, dropout = check_head(hidden_width or width, dropout)
    filter_width, _ = check_head(filter_width or hidden_width, dropout)
    module = SpanProposer(width, hidden_width, filter_width, dropout, outer_boundary)
    return span_model("hetner-span-proposer", tok2vec, torch_head(module, _convert_outputs))


def propose(
    model: Model, batch: SpanBatch, min_logit: float
) -> Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Run the filter on all spans and the regressor on those it keeps, without gradients.

    RETURNS: kept indices (n_kept,), filter probabilities (n_kept,), offsets (n_kept, 2).
    """
    head = model.get_ref("head")
    module = cast(SpanProposer, head.shims[0]._model)
    inputs, _ = convert_span_inputs(head, batch, is_train=False)
    tokens, spans, bounds = inputs.args
    module.eval()
    with torch.inference_mode():
        kept, logits, offsets = module.propose(tokens, spans, bounds, min_logit)
    module.train()
    return kept.cpu().numpy(), torch.sigmoid(logits).cpu().numpy(), offsets.cpu().numpy()


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, Any], is_train: bool
) -> Tuple[Tuple[Floats1d, Floats2d], Callable]:
    _, (logits, offsets) = inputs_outputs  # (n_spans,), (n_spans, 2)

    def backprop(gradients: Tuple[Floats1d, Floats2d]) -> ArgsKwargs:
        return ArgsKwargs(
            args=((logits, offsets),),
            kwargs={"grad_tensors": tuple(xp2torch(gradient) for gradient in gradients)},
        )

    return (cast(Floats1d, torch2xp(logits)), cast(Floats2d, torch2xp(offsets))), backprop
