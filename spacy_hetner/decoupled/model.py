"""The decoupled scorer as a thinc model: regions of docs, their inputs, encoders, classifiers."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, Literal, Optional, Sequence, Tuple, cast

from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..encoders.layer import encoder_layer, load_into, module_of, text_capacity
from ..encoders.module import PRECISIONS
from ..encoders.standardize import standardize
from ..errors import Errors
from ..spans.batch import resize_head, torch_head
from ..types import SpanArray
from ..validation import check_choice, check_count, check_range
from .inputs import DistinctRows, RegionReader, read_docs
from .module import DecoupledHead, Logits, PieceRows, RowEncoder

Regions = Tuple[Sequence[Doc], Sequence[SpanArray]]
"""Docs, and of each the spans to be scored, (n, 2)."""


@dataclass(frozen=True)
class Reading:
    """What is read of which encoders; see ``build_decoupled_model``.

    Kept out of the model's attrs, which are saved with the weights and would silently undo what a
    config says when the pipeline is loaded.
    """

    mention_folder: str
    context_folder: str
    window: int
    by_token: bool


def build_decoupled_model(
    name: str = "",
    *,
    shared: bool = True,
    context_name: Optional[str] = None,
    window: int = 256,
    by_token: bool = False,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    standardized: bool = True,
    dropout: float = 0.5,
    min_density: float = 0.9,
    max_batch_pieces: int = 4096,
    cache_size: int = 10000,
) -> Model[Regions, Logits]:
    """A scorer of regions by their words and by their contexts (Decoupled NER, section 3.1).

    It has an encoder of its own, since what it reads is not the doc.

    name (str): Path of an encoder folder in Hugging Face layout, whose tokenizer has a mask piece.
        It is read once, when the pipeline is initialized; a saved pipeline carries the encoder.
    shared (bool): One encoder reads mentions and contexts. If not, two encoders are trained.
    context_name (Optional[str]): The folder of the second one, by default ``name`` too.
    window (int): Most pieces the encoder reads at once. A longer context is cut around its region,
        a longer mention in its middle.
    by_token (bool): Tokenise each token on its own, which keeps tokens smaller than a word apart.
    precision (str): As of ``spacy_hetner.Encoder.v1``.
    standardized (bool): Bring the vectors of mentions, and those of contexts, to a common scale
        before they are classified; see ``encoders.standardize``.
    dropout (float): Dropout on both vectors while training.
    min_density (float): Least share of real pieces in every padded batch.
    max_batch_pieces (int): Most pieces, padding included, that the encoder computes at once.
    cache_size (int): Most mentions whose vectors are kept for later batches, in prediction; 0 for
        none. They are dropped when the weights change.
    RETURNS (Model[Regions, Logits]): In the order of docs and spans. The number of labels is set by
        ``resize_head`` when the component knows them.
    RAISES (ValueError): HE002, HE004, HE078, HE252 for settings that make no sense; from
        initialize: HE250, HE253, and HE020-HE023, HE034, HE035, HE039 for a folder that cannot be
        used; from training: HE143 for "fp16" without CUDA.
    """
    if shared and context_name is not None:
        raise ValueError(Errors.HE252.format(name=context_name))
    settings: Dict[str, Any] = {
        "precision": check_choice("precision", precision, PRECISIONS),
        "min_density": check_range("min_density", min_density, 0, 1),
        "max_batch_pieces": check_count("max_batch_pieces", max_batch_pieces, 1),
        "cache_size": check_count("cache_size", cache_size, 0),
    }
    check_count("window", window, 1)
    dropout = check_range("dropout", dropout, 0, 1)
    reading = Reading(name, context_name or name, window, by_token)
    encoder = encoder_layer(RowEncoder(**settings))
    other = encoder if shared else encoder_layer(RowEncoder(**settings))
    mention = _side("hetner-mentions", encoder, standardized, lasting=True)
    context = _side("hetner-contexts", other, standardized, lasting=False)
    head = torch_head(DecoupledHead(1, 1, 0, dropout), _convert_outputs, _convert_inputs)
    return Model(
        "hetner-decoupled-scorer",
        partial(forward, reading=reading),
        init=partial(init, reading=reading),
        layers=[mention, context, head],
        refs={"mention": mention, "context": context, "head": head},
    )


def init(model: Model, X: Any = None, Y: Any = None, *, reading: Reading) -> None:
    """Read the encoder folders, unless the model already carries its encoders."""
    widths = {}
    for name, folder in (("mention", reading.mention_folder), ("context", reading.context_folder)):
        module = row_encoder(model, name)
        if module.transformer is None and not folder:
            raise ValueError(Errors.HE253)
        config = load_into(module, folder, by_token=reading.by_token).config
        widths[f"{name}_width"] = config.hidden_size
        _make_reader(module, reading)
    resize_head(model, **widths)


def forward(
    model: Model, inputs: Regions, is_train: bool, *, reading: Reading
) -> Tuple[Logits, Callable[[Logits], Regions]]:
    """Score the spans of docs, one doc after the other."""
    docs, spans = inputs
    encoders = [row_encoder(model, name) for name in ("mention", "context")]
    if any(encoder.transformer is None for encoder in encoders):
        raise ValueError(Errors.HE033.format(folder=reading.mention_folder))
    readers = [_make_reader(encoder, reading) for encoder in dict.fromkeys(encoders)]
    regions = [read_docs(reader, docs, spans) for reader in readers]
    mentions, backprop_mentions = model.get_ref("mention")(
        readers[0].mentions(regions[0]), is_train
    )
    contexts, backprop_contexts = model.get_ref("context")(
        readers[-1].contexts(regions[-1]), is_train
    )
    logits, backprop_head = model.get_ref("head")((mentions, contexts), is_train)

    def backprop(d_logits: Logits) -> Regions:
        d_mentions, d_contexts = backprop_head(d_logits)
        backprop_mentions(d_mentions)
        backprop_contexts(d_contexts)
        return inputs

    return logits, backprop


def row_encoder(model: Model, side: str) -> RowEncoder:
    """The torch module that reads on a side, "mention" or "context"; the same if they share it."""
    return cast(RowEncoder, module_of(model.get_ref(side).layers[0]))


def _make_reader(module: RowEncoder, reading: Reading) -> RegionReader:
    capacity = text_capacity(module, reading.window)
    return RegionReader(module.tokenizer, capacity=capacity, by_token=reading.by_token)


def _side(
    name: str, encoder: Model, standardized: bool, *, lasting: bool
) -> Model[DistinctRows, Floats2d]:
    """One of both encoders, from distinct rows to the vector of each region, (n, width)."""
    layers = [encoder, standardize()] if standardized else [encoder]
    return Model(name, partial(_forward_side, lasting=lasting), layers=layers)


def _forward_side(
    model: Model, inputs: DistinctRows, is_train: bool, *, lasting: bool
) -> Tuple[Floats2d, Callable[[Floats2d], DistinctRows]]:
    encoder, *scale = model.layers
    batch = PieceRows(inputs.rows, inputs.places, lasting)
    vectors, backprop_encoder = encoder(batch, is_train)
    for layer in scale:
        (vectors,), backprop_scale = layer([vectors], is_train)
    index = model.ops.xp.asarray(inputs.row_of)

    def backprop(d_regions: Floats2d) -> DistinctRows:
        d_vectors = model.ops.alloc2f(*vectors.shape)
        model.ops.scatter_add(d_vectors, index, d_regions)
        if scale:
            (d_vectors,) = backprop_scale([d_vectors])
        backprop_encoder(d_vectors)
        return inputs

    return vectors[index], backprop


def _convert_inputs(
    model: Model, vectors: Tuple[Floats2d, Floats2d], is_train: bool
) -> Tuple[ArgsKwargs, Callable[[ArgsKwargs], Tuple[Floats2d, ...]]]:
    inputs = tuple(xp2torch(part, requires_grad=is_train) for part in vectors)

    def backprop(d_inputs: ArgsKwargs) -> Tuple[Floats2d, ...]:
        return tuple(cast(Floats2d, torch2xp(part)) for part in d_inputs.args)

    return ArgsKwargs(args=inputs, kwargs={}), backprop


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, Logits], is_train: bool
) -> Tuple[Logits, Callable[[Logits], ArgsKwargs]]:
    _, logits = inputs_outputs  # (n, n_labels + 1) each

    def backprop(d_logits: Logits) -> ArgsKwargs:
        gradients = tuple(xp2torch(part) for part in d_logits)
        return ArgsKwargs(args=(tuple(logits),), kwargs={"grad_tensors": gradients})

    return Logits(*(torch2xp(part) for part in logits)), backprop
