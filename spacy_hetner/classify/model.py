"""The span classifier as a thinc model: token vectors, then the torch head."""

from typing import Any, Callable, List, Optional, Tuple, cast

from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..spans.batch import span_model, token_width, torch_head
from ..spans.head import check_head
from .module import SpanClassifier


def build_span_classifier_model(
    tok2vec: Model[List[Doc], List[Floats2d]],
    *,
    hidden_width: Optional[int] = None,
    dropout: float = 0.5,
    width: Optional[int] = None,
) -> Model:
    """Classifier of candidate spans over token vectors (Locate and Label, section 2.4).

    tok2vec (Model[List[Doc], List[Floats2d]]): Token vectors, usually a listener.
    hidden_width (int): Width of the hidden layer; by default that of the token vectors.
    dropout (float): Dropout on the head's input while training.
    width (int): Width of the token vectors, where tok2vec does not say it.
    RETURNS (Model): From (docs, spans, bounds) to logits (n_spans, n_labels + 1), none at 0. The
        number of labels is set by ``resize_head`` when the component knows them.
    RAISES (ValueError): HE002, HE005, HE006, HE078 for settings that make no sense.
    """
    width = token_width(tok2vec, width)
    hidden_width, dropout = check_head(hidden_width or width, dropout)
    head = torch_head(SpanClassifier(width, hidden_width, 0, dropout), _convert_outputs)
    return span_model("hetner-span-classifier", tok2vec, head)


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, Any], is_train: bool
) -> Tuple[Floats2d, Callable]:
    _, logits = inputs_outputs  # (n_spans, n_labels + 1)

    def backprop(d_logits: Floats2d) -> ArgsKwargs:
        return ArgsKwargs(args=((logits,),), kwargs={"grad_tensors": xp2torch(d_logits)})

    return cast(Floats2d, torch2xp(logits)), backprop
