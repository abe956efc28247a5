"""The query-based tagger as a thinc model: docs and queries to pairs, an encoder, heads."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Literal, NamedTuple, Optional, Tuple, cast

import numpy
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..encoders.heads import TaughtHead, find_head
from ..encoders.hugging_face import longest_input
from ..encoders.layer import encoder_layer, load_into, module_of
from ..encoders.module import PRECISIONS
from ..encoders.pieces import doc_offsets, part_of_doc
from ..encoders.standardize import pass_unchanged, standardize
from ..errors import Errors
from ..spans.batch import resize_head, sentence_bounds, torch_head
from ..types import SpanArray
from ..validation import check_choice, check_count, check_range
from .inputs import PairReader, TextPieces, check_windows
from .module import BoundaryHead, PairBatch, PairEncoder, SpanLogits


@dataclass(frozen=True)
class Reading:
    """What is read of which encoder; see ``build_query_model``.

    Kept out of the model's attrs, which are saved with the weights and would silently undo what a
    config says when the pipeline is loaded.
    """

    folder: str
    window: int
    overlap: int
    by_token: bool
    carry_head: bool


class DocTexts(NamedTuple):
    """The texts of docs, their sentences or else the docs.

    bounds: the tokens of each, one int64 ``(n_i, 2)`` a doc; pieces: of all, doc after doc.
    """

    bounds: List[SpanArray]
    pieces: List[TextPieces]


def build_query_model(
    name: str = "",
    *,
    window: int = 256,
    overlap: int = 64,
    by_token: bool = False,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    standardized: bool = True,
    dropout: float = 0.1,
    match_width: int = 0,
    match_candidates: int = 256,
    carry_head: bool = True,
    labels_together: bool = False,
    min_density: float = 0.9,
    max_batch_pieces: int = 4096,
) -> Model[PairBatch, SpanLogits]:
    """A reader of texts under queries, which judges starts and ends (CoFEE, section 3.1).

    It has an encoder of its own, since what it reads is not the doc.

    name (str): Path of an encoder folder in Hugging Face layout. It is read once, when the pipeline
        is initialized; a saved pipeline carries the encoder with it.
    window (int): Most pieces of a text that the encoder reads at once, beside a query; a longer one
        is read in several windows. Nothing is ever truncated.
    overlap (int): Pieces that neighbouring windows share.
    by_token (bool): Tokenise each token on its own, which keeps tokens smaller than a word apart.
    precision (str): As of ``spacy_hetner.Encoder.v1``.
    standardized (bool): Bring the vectors to a common scale; see ``encoders.standardize``. Those
        of a head that is carried on are left as it knows them.
    dropout (float): Dropout on the vectors while training.
    match_width (int): Of the hidden layer of a match head, which judges a start and an end at once,
        as nested spans need it; 0 for none.
    match_candidates (int): Most pairs of a window that the match head learns from, beside the gold
        ones: the surest.
    carry_head (bool): Go on with the head that the encoder was taught with, if its folder has one
        for queries (``head.json``).
    labels_together (bool): Encode a text under all queries in one batch, if they fit. Otherwise
        batches are filled with what has the same length. The results are the same.
    min_density (float): Least share of real pieces in every padded batch.
    max_batch_pieces (int): Most pieces, padding included, that the encoder computes at once.
    RETURNS (Model[PairBatch, SpanLogits]): In the order of the pairs and their tokens.
    RAISES (ValueError): HE002, HE004, HE032, HE078 for settings that make no sense; from
        initialize: HE273, HE275, HE298, and HE020-HE023, HE034, HE035, HE039 for a folder that
        cannot be used; from training: HE143 for "fp16" without CUDA.
    """
    check_windows(window, overlap)
    settings: Dict[str, Any] = {
        "precision": check_choice("precision", precision, PRECISIONS),
        "min_density": check_range("min_density", min_density, 0, 1),
        "max_batch_pieces": check_count("max_batch_pieces", max_batch_pieces, 1),
        "together": labels_together,
    }
    head = BoundaryHead(
        1,
        check_count("match_width", match_width, 0),
        check_range("dropout", dropout, 0, 1),
        check_count("match_candidates", match_candidates, 1),
    )
    layers: List[Model] = [
        encoder_layer(PairEncoder(**settings)),
        *([standardize()] if standardized else []),
        torch_head(head, _convert_outputs, _convert_inputs),
    ]
    return Model(
        "hetner-query-tagger",
        forward,
        init=partial(init, reading=Reading(name, window, overlap, by_token, carry_head)),
        layers=layers,
        refs={"encoder": layers[0], "head": layers[-1]},
    )


def init(model: Model, X: Any = None, Y: Any = None, *, reading: Reading) -> None:
    """Read the encoder folder, unless the model already carries its encoder; with its head, if that
    is wanted and there."""
    module = pair_encoder(model)
    if module.transformer is None and not reading.folder:
        raise ValueError(Errors.HE273)
    width = load_into(module, reading.folder, by_token=reading.by_token).config.hidden_size
    resize_head(model, width=width)
    taught = taught_head(model)
    if taught is not None:
        _take_over(boundary_head(model), taught)
        pass_unchanged(model, width)


def forward(
    model: Model, batch: PairBatch, is_train: bool
) -> Tuple[SpanLogits, Callable[[SpanLogits], PairBatch]]:
    """Judge the tokens of pairs. RAISES (ValueError): HE033 where there is no encoder yet."""
    if pair_encoder(model).transformer is None:
        raise ValueError(Errors.HE033.format(folder=reading_of(model).folder))
    encoder, *scale, head = model.layers
    vectors, backprop_encoder = encoder(batch, is_train)
    for layer in scale:
        (vectors,), backprop_scale = layer([vectors], is_train)
    logits, backprop_head = head((vectors, batch), is_train)

    def backprop(d_logits: SpanLogits) -> PairBatch:
        d_vectors = backprop_head(d_logits)
        if scale:
            (d_vectors,) = backprop_scale([d_vectors])
        backprop_encoder(d_vectors)
        return batch

    return logits, backprop


def pair_encoder(model: Model) -> PairEncoder:
    """The torch module that reads pairs."""
    return cast(PairEncoder, module_of(model.get_ref("encoder")))


def boundary_head(model: Model) -> BoundaryHead:
    """The torch module that judges tokens."""
    return cast(Any, model.get_ref("head").shims[0])._model


def reading_of(model: Model) -> Reading:
    """What the model that ``build_query_model`` returns reads."""
    return cast(partial, model.init).keywords["reading"]


def pair_reader(model: Model) -> PairReader:
    """Makes inputs for the model's encoder, which must be there.

    RAISES (ValueError): HE033 where it is not.
    """
    module, reading = pair_encoder(model), reading_of(model)
    if module.transformer is None:
        raise ValueError(Errors.HE033.format(folder=reading.folder))
    return PairReader(
        module.tokenizer,
        longest=longest_input(module.tokenizer, module.transformer),
        window=reading.window,
        overlap=reading.overlap,
        by_token=reading.by_token,
    )


def taught_head(model: Model) -> Optional[TaughtHead]:
    """The head that the encoder folder was taught with under queries, if it is to be carried on.

    RAISES (ValueError): HE275 where it was taught with other pieces, HE298 where it is broken.
    """
    reading = reading_of(model)
    taught = find_head(reading.folder, "query") if reading.carry_head and reading.folder else None
    if taught is not None and taught.record.get("by_token", False) != reading.by_token:
        by_token = str(not reading.by_token).lower()
        raise ValueError(Errors.HE275.format(path=taught.folder, by_token=by_token))
    return taught


def read_docs(reader: PairReader, docs: List[Doc]) -> DocTexts:
    """Cut the sentences of docs, or the docs that have none, to pieces."""
    bounds = [sentence_bounds(doc) for doc in docs]
    texts: List[str] = []
    offsets: List[numpy.ndarray] = []
    for doc, inside in zip(docs, bounds, strict=True):
        chars = doc_offsets(doc)
        for start, end in inside.tolist():
            text, ranges = part_of_doc(doc, chars, start, end)
            texts.append(text)
            offsets.append(ranges)
    return DocTexts(bounds, reader.read_texts(texts, offsets))


def _take_over(head: BoundaryHead, taught: TaughtHead) -> None:
    """Copy the weights of both heads; RAISES (ValueError): HE298 where they do not fit."""
    for name in ("start", "end"):
        for part, values in getattr(head, name).named_parameters():
            found = taught.weights.get(f"{name}.{part}")
            if found is None or found.shape != values.shape:
                reason = f"its weights have no {name}.{part} of the shape {tuple(values.shape)}"
                message = Errors.HE298.format(path=taught.folder, reason=reason, backbone="'query'")
                raise ValueError(message)
            values.data.copy_(found)


def _convert_inputs(
    model: Model, inputs: Tuple[Floats2d, PairBatch], is_train: bool
) -> Tuple[ArgsKwargs, Callable[[ArgsKwargs], Floats2d]]:
    vectors, batch = inputs
    xp = model.ops.xp
    tokens = xp2torch(vectors, requires_grad=is_train)  # (n_tokens, width)
    others = (xp2torch(xp.asarray(part)) for part in (batch.token_groups, batch.gold))

    def backprop(d_inputs: ArgsKwargs) -> Floats2d:
        return cast(Floats2d, torch2xp(d_inputs.args[0]))

    return ArgsKwargs(args=(tokens, *others, batch.threshold), kwargs={}), backprop


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, SpanLogits], is_train: bool
) -> Tuple[SpanLogits, Callable[[SpanLogits], ArgsKwargs]]:
    _, logits = inputs_outputs

    def backprop(d_logits: SpanLogits) -> ArgsKwargs:
        learnt = [
            (scores, xp2torch(gradient))
            for scores, gradient in zip(logits, d_logits, strict=True)
            if scores.requires_grad
        ]
        scores, gradients = zip(*learnt, strict=True)
        return ArgsKwargs(args=(scores,), kwargs={"grad_tensors": gradients})

    return SpanLogits(*(torch2xp(part) for part in logits)), backprop
