"""Spans of a batch of docs as one array over the batch's concatenated tokens."""

from dataclasses import dataclass
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple, cast

import numpy
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.layers import PyTorchWrapper_v3
from thinc.types import Floats2d
from torch import nn

from ..errors import Errors
from ..torch_bridge import deserialize_module, serialize_module
from ..types import SpanArray


@dataclass
class SpanBatch:
    """What span heads score: token vectors of each doc, and spans over all their tokens.

    tokens: one (n_i, width) array a doc; spans: int64 (n_spans, 2), offsets into the concatenated
    tokens; bounds: int64 (n_spans, 2), the sentence that each span lies in, likewise.
    """

    tokens: List[Floats2d]
    spans: SpanArray
    bounds: SpanArray


def concatenate_spans(spans: Sequence[SpanArray], doc_lengths: Sequence[int]) -> SpanArray:
    """Spans of each doc, (n_i, 2), as offsets into the concatenated tokens: (sum of n_i, 2)."""
    starts = numpy.cumsum([0, *doc_lengths])[:-1]
    shifted = [part + start for part, start in zip(spans, starts, strict=True)]
    return numpy.concatenate(shifted) if shifted else numpy.zeros((0, 2), dtype="int64")


class DocRows(NamedTuple):
    """rows: slice of a batch's kept spans that belong to a doc; local: their places in the doc."""

    rows: slice
    local: numpy.ndarray


def split_by_doc(kept: numpy.ndarray, spans_per_doc: Sequence[int]) -> List[DocRows]:
    """Ascending indices into a batch's spans, (n_kept,), told apart by doc."""
    ends = numpy.cumsum(spans_per_doc)
    cuts = numpy.searchsorted(kept, [0, *ends])
    return [
        DocRows(slice(int(a), int(b)), kept[a:b] - (end - n))
        for a, b, end, n in zip(cuts[:-1], cuts[1:], ends, spans_per_doc, strict=True)
    ]


def sentence_bounds(doc: Doc) -> SpanArray:
    """The sentences of a doc, int64 (n, 2); the whole doc where it has no sentence boundaries."""
    if len(doc) == 0:
        return numpy.zeros((0, 2), dtype="int64")
    if not doc.has_annotation("SENT_START"):
        return numpy.array([[0, len(doc)]], dtype="int64")
    return numpy.array([(sent.start, sent.end) for sent in doc.sents], dtype="int64")


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    """Probabilities of the labels of each span, (n, n_labels)."""
    shifted = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def convert_span_inputs(
    model: Model, batch: SpanBatch, is_train: bool
) -> Tuple[ArgsKwargs, Callable[[ArgsKwargs], List[Floats2d]]]:
    """Arguments of a torch span head: tokens (n_tokens, width), spans, bounds (n_spans, 2).

    RAISES (ValueError): HE006 where the token vectors have another width than the head. Listeners
        state the width they were configured with, which need not be what they receive.
    """
    xp = model.ops.xp
    # Listeners give docs without tokens arrays of width 0, which cannot be stacked.
    tokens = xp.concatenate([part for part in batch.tokens if len(part)])
    width = model.shims[0]._model.settings["width"]
    if tokens.shape[1] != width:
        raise ValueError(Errors.HE006.format(width=width, known=tokens.shape[1]))
    inputs: Tuple[Any, ...] = (
        xp2torch(tokens, requires_grad=is_train),
        xp2torch(xp.asarray(batch.spans)),
        xp2torch(xp.asarray(batch.bounds)),
    )
    ends = numpy.cumsum([len(part) for part in batch.tokens])[:-1].tolist()

    def backprop(d_inputs: ArgsKwargs) -> List[Floats2d]:
        return xp.split(torch2xp(d_inputs.args[0]), ends)

    return ArgsKwargs(args=inputs, kwargs={}), backprop


def torch_head(
    module: nn.Module, convert_outputs: Callable, convert_inputs: Callable = convert_span_inputs
) -> Model:
    """A torch head as a layer from a SpanBatch, or what else ``convert_inputs`` takes, to what
    ``convert_outputs`` makes of its scores."""
    return PyTorchWrapper_v3(
        module,
        convert_inputs=convert_inputs,
        convert_outputs=convert_outputs,
        serialize_model=serialize_module,
        deserialize_model=deserialize_module,
    )


def resize_head(model: Model, *, keep_weights: bool = False, **settings: Any) -> None:
    """Give a span model a new head, with other settings where any are given.

    keep_weights (bool): Keep the weights of the present head, in front of what is new.
    """
    head = model.get_ref("head")
    present: Any = head.shims[0]._model
    resized = type(present)(**{**present.settings, **settings})
    if keep_weights:
        weights = resized.state_dict()  # shared with the module
        for name, values in present.state_dict().items():
            weights[name][tuple(map(slice, values.shape))] = values
    # A new node, since optimizers keep state by node and parameter, in the sizes they had.
    converters = head.attrs["convert_outputs"], head.attrs["convert_inputs"]
    model.replace_node(head, torch_head(resized, *converters))


def span_model(name: str, tok2vec: Model[List[Doc], List[Floats2d]], head: Model) -> Model:
    """A model from (docs, spans, bounds) to what ``head`` makes of their SpanBatch."""
    model: Model = Model(name, _forward, layers=[tok2vec, head], init=_init)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("head", head)
    return model


def token_width(tok2vec: Model, width: Optional[int]) -> int:
    """The width of the token vectors; RAISES (ValueError): HE005 where nothing says it."""
    known = tok2vec.get_dim("nO") if tok2vec.has_dim("nO") else None
    if width is None and known is None:
        raise ValueError(Errors.HE005.format(name=tok2vec.name))
    if width is not None and known is not None and width != known:
        raise ValueError(Errors.HE006.format(width=width, known=known))
    return cast(int, width or known)


def _init(model: Model, X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    model.get_ref("tok2vec").initialize(X=X)


def _forward(
    model: Model, inputs: Tuple[List[Doc], SpanArray, SpanArray], is_train: bool
) -> Tuple[Any, Callable]:
    docs, spans, bounds = inputs
    tokens, backprop_tokens = model.get_ref("tok2vec")(docs, is_train)
    scores, backprop_head = model.get_ref("head")(SpanBatch(tokens, spans, bounds), is_train)

    def backprop(d_scores: Any) -> Any:
        return backprop_tokens(backprop_head(d_scores))

    return scores, backprop
