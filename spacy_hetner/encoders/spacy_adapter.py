"""The one place that knows spacy-transformers: our encoder behind its component and listeners.

The ``transformer`` component and ``TransformerListener`` are the ecosystem's convention for a
shared encoder. What is exchanged between them is ``TransformerData``; this file fills it with
vectors that are already aligned to tokens, so that any component which listens (ours, spaCy's)
works unchanged, while tokenising, windowing, batching and pooling are ours.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, List, Tuple, cast

import numpy
from spacy.tokens import Doc
from spacy_transformers.architectures import transformer_listener_tok2vec_v1
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from thinc.api import Model, get_array_module, reduce_mean
from thinc.types import Floats2d, Ints1d, Ragged
from transformers.modeling_outputs import BaseModelOutput

from ..errors import Errors
from ..validation import check_range
from .encoder import ENCODER
from .layer import encoder_layer, load_into, module_of, text_capacity
from .module import TokenEncoder
from .pieces import PieceTokenizer


@dataclass(frozen=True)
class Reading:
    """How docs become windows of pieces; see ``encoder.build_encoder_model``.

    Kept out of the model's attrs, which are saved with the weights and would silently undo what a
    config says when the pipeline is loaded.
    """

    folder: str
    window: int
    overlap: int
    context_sentences: int
    by_token: bool


@dataclass
class TokenVectorBatch:
    """What the ``transformer`` component passes on: one TransformerData a doc.

    Stands in for spacy-transformers' FullTransformerBatch, of which the component uses these two
    members only.
    """

    doc_data: List[TransformerData]

    def unsplit_by_doc(self, arrays: List[List[Any]]) -> Floats2d:
        """Gradients of the docs' vectors, as (n_tokens, width); docs without tokens have none."""
        rows = [d_vectors.reshape(-1, d_vectors.shape[-1]) for (d_vectors,) in arrays]
        return get_array_module(rows[0]).concatenate(rows)


def encoder_model(module: TokenEncoder, reading: Reading) -> Model[List[Doc], TokenVectorBatch]:
    """The module as a model over docs; ``initialize`` loads the encoder that ``reading`` names."""
    return Model(
        ENCODER,
        partial(forward, reading=reading),
        init=partial(init, reading=reading),
        layers=[encoder_layer(module)],
        dims={"nO": None},
        attrs={"replace_listener_cfg": _refuse_to_replace_listener},
    )


def init(model: Model, X: Any = None, Y: Any = None, *, reading: Reading) -> None:
    """Read the encoder folder, unless the model already carries an encoder."""
    module = torch_encoder(model)
    config = load_into(module, reading.folder, by_token=reading.by_token).config
    check_range("layers", module.layers, 1, config.num_hidden_layers)
    model.set_dim("nO", config.hidden_size, force=True)


def forward(
    model: Model, docs: List[Doc], is_train: bool, *, reading: Reading
) -> Tuple[TokenVectorBatch, Callable]:
    """Encode docs; the callback takes the gradient of all tokens' vectors, (n_tokens, width)."""
    module = torch_encoder(model)
    if module.transformer is None:
        raise ValueError(Errors.HE033.format(folder=reading.folder))
    batch = _piece_tokenizer(module, reading)(docs)
    if batch.window_ids:
        vectors, backprop = model.layers[0](batch, is_train)
    else:  # Only whitespace: nothing for the encoder to read, nor to learn from.
        vectors, backprop = model.ops.alloc2f(batch.n_tokens, model.get_dim("nO")), lambda _: None
    ends = numpy.cumsum(batch.doc_lengths)
    data = [
        _doc_data(doc, vectors[end - len(doc) : end]) for doc, end in zip(docs, ends, strict=True)
    ]

    def backprop_encoder(d_vectors: Floats2d) -> List[Doc]:
        backprop(d_vectors)
        return docs

    return TokenVectorBatch(data), backprop_encoder


def transformer_listener(upstream: str = "*") -> Model[List[Doc], List[Floats2d]]:
    """Token vectors of the pipeline's transformer component; gradients flow back to it."""
    return transformer_listener_tok2vec_v1(reduce_mean(), grad_factor=1.0, upstream=upstream)


def torch_encoder(model: Model) -> TokenEncoder:
    """The torch module inside the model that ``encoder_model`` returns."""
    return cast(TokenEncoder, module_of(model.layers[0]))


def reading_of(model: Model) -> Reading:
    """How the model that ``encoder_model`` returns reads docs."""
    return cast(partial, model._func).keywords["reading"]


def _piece_tokenizer(module: TokenEncoder, reading: Reading) -> PieceTokenizer:
    capacity = text_capacity(module, reading.window)
    return PieceTokenizer(
        module.tokenizer,
        capacity=capacity,
        # An encoder with fewer positions than the window asked for keeps the share of overlap.
        overlap=reading.overlap * capacity // reading.window,
        context_sentences=reading.context_sentences,
        by_token=reading.by_token,
    )


def _refuse_to_replace_listener(encoder_config: Any, listener_config: Any) -> Any:
    """spaCy's replace_listeners would copy the encoder where a listener's vectors are wanted."""
    raise ValueError(Errors.HE037)


def _doc_data(doc: Doc, vectors: Floats2d) -> TransformerData:
    """Token vectors as TransformerData whose alignment is the identity."""
    n = len(doc)
    if n == 0:
        return TransformerData.empty()
    ones: Any = numpy.ones(n, dtype="i")
    return TransformerData(
        wordpieces=WordpieceBatch(
            strings=[[token.text for token in doc]],
            input_ids=cast(Any, numpy.zeros((1, n), dtype="i")),
            attention_mask=ones[None, :],
            lengths=[n],
            token_type_ids=None,
        ),
        model_output=BaseModelOutput(last_hidden_state=cast(Any, vectors)[None]),
        align=Ragged(cast(Ints1d, numpy.arange(n, dtype="i")), ones),
    )
