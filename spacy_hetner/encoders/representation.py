"""The token representation that several heads share, as the model of a ``tok2vec`` component."""

import math
from typing import Any, Callable, List, Optional, Tuple, cast

import numpy
from spacy.tokens import Doc, Token
from thinc.api import (
    ArgsKwargs,
    Model,
    chain,
    get_array_module,
    to_numpy,
    torch2xp,
    xp2torch,
)
from thinc.layers import PyTorchWrapper_v3
from thinc.types import Floats2d

from ..errors import Errors
from ..torch_bridge import deserialize_module, serialize_module
from ..validation import check_range
from .encoder import load_adapter
from .features import FeatureEncoder, TokenFeatures
from .standardize import standardize

REPRESENTATION = "hetner-token-representation"


def build_token_representation(
    width: int = 384,
    *,
    encoder: Optional[Model[List[Doc], List[Floats2d]]] = None,
    encoder_width: Optional[int] = None,
    standardized: bool = True,
    vector_width: int = 0,
    pos_width: int = 0,
    char_width: int = 0,
    char_buckets: int = 8192,
    lstm_layers: int = 0,
    dropout: float = 0.5,
    lstm_dropout: float = 0.4,
) -> Model[List[Doc], List[Floats2d]]:
    """Encoder vectors, optionally joined by word features and reread by a BiLSTM (spec 1.2).

    width (int): Width of the result. Where nothing is added to the encoder it is the encoder's.
    encoder (Model[List[Doc], List[Floats2d]]): By default a listener to the pipeline's
        transformer; any tok2vec model will do.
    encoder_width (int): Width of the encoder's vectors; by default the same as width.
    standardized (bool): Bring the encoder's vectors to a common scale, see ``standardize``.
    vector_width (int): Width of the pipeline's static word vectors, 0 to leave them out. They are
        not trained.
    pos_width (int): Width of part-of-speech embeddings (``token.pos``), 0 for none.
    char_width (int): Width of the character BiLSTM, per direction, 0 for none.
    char_buckets (int): Rows of the character table; code points share them by remainder.
    lstm_layers (int): Layers of the BiLSTM over all features; with 0 a linear layer joins them.
    dropout (float): Dropout on each feature.
    lstm_dropout (float): Dropout on the BiLSTM's states.
    RETURNS (Model[List[Doc], List[Floats2d]]): The shared token representation.
    RAISES (ValueError): HE002 for a setting out of range, HE036 for an odd width of a BiLSTM, HE038
        for a listener without spacy-transformers; from initialize: HE006, HE008 for a width that is
        not the encoder's or the word vectors'.
    """
    encoder_width = encoder_width or width
    for name, value, low, high in (
        ("width", width, 1, math.inf),
        ("encoder_width", encoder_width, 1, math.inf),
        ("vector_width", vector_width, 0, math.inf),
        ("pos_width", pos_width, 0, math.inf),
        ("char_width", char_width, 0, math.inf),
        ("char_buckets", char_buckets, 1, math.inf),
        ("lstm_layers", lstm_layers, 0, math.inf),
        ("dropout", dropout, 0, 1),
        ("lstm_dropout", lstm_dropout, 0, 1),
    ):
        check_range(name, value, low, high)
    if lstm_layers and width % 2:
        raise ValueError(Errors.HE036.format(value=width))
    encoder = encoder or load_adapter().transformer_listener()
    layers: List[Model] = [chain(encoder, standardize()) if standardized else encoder]
    if vector_width or pos_width or char_width or lstm_layers or encoder_width != width:
        module = FeatureEncoder(
            encoder_width=encoder_width,
            width=width,
            vector_width=vector_width,
            pos_width=pos_width,
            char_width=char_width,
            char_buckets=char_buckets,
            lstm_layers=lstm_layers,
            dropout=float(dropout),
            lstm_dropout=float(lstm_dropout),
        )
        layers.append(
            PyTorchWrapper_v3(
                module,
                convert_inputs=_convert_inputs,
                convert_outputs=_convert_outputs,
                serialize_model=serialize_module,
                deserialize_model=deserialize_module,
            )
        )
    return Model(
        REPRESENTATION,
        forward,
        init=init,
        layers=layers,
        dims={"nO": width},
        attrs={
            "encoder_width": encoder_width,
            "vector_width": vector_width,
            "pos": pos_width > 0,
            "characters": char_width > 0,
        },
    )


def init(model: Model, X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    """Check the widths of the config against those of the encoder and the word vectors."""
    encoder = model.layers[0]
    encoder.initialize(X=X)
    expected = model.attrs["encoder_width"]
    known = next((node.get_dim("nO") for node in encoder.walk() if node.has_dim("nO")), expected)
    if known != expected:
        raise ValueError(Errors.HE006.format(width=expected, known=known))
    vector_width = model.attrs["vector_width"]
    if vector_width and X and X[0].vocab.vectors_length != vector_width:
        raise ValueError(Errors.HE008.format(width=vector_width, known=X[0].vocab.vectors_length))


def forward(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[List[Floats2d], Callable[[List[Floats2d]], Any]]:
    """One (n_tokens, width) array a doc."""
    width = model.get_dim("nO")
    if not any(len(doc) for doc in docs):
        # A listener has nothing for a batch without any token.
        return [model.ops.alloc2f(0, width) for _ in docs], lambda d_vectors: []
    encoded, backprop_encoder = model.layers[0](docs, is_train)
    encoded = [v if len(v) else model.ops.alloc2f(0, v.shape[1] or width) for v in encoded]
    if len(model.layers) == 1:
        return encoded, backprop_encoder
    present = [i for i, doc in enumerate(docs) if len(doc)]
    features = read_features(
        [docs[i] for i in present],
        pos=model.attrs["pos"],
        characters=model.attrs["characters"],
        vectors=model.attrs["vector_width"] > 0,
    )
    xp = model.ops.xp
    joined, backprop_features = model.layers[1](
        (xp.concatenate([encoded[i] for i in present]), features), is_train
    )
    vectors = _split(joined, docs)

    def backprop(d_vectors: List[Floats2d]) -> Any:
        d_joined = xp.concatenate([d_vectors[i] for i in present])
        return backprop_encoder(_split(backprop_features(d_joined), docs))

    return vectors, backprop


def read_features(docs: List[Doc], *, pos: bool, characters: bool, vectors: bool) -> TokenFeatures:
    """Read those features off docs that are asked for; no doc may be empty."""
    tokens = [token for doc in docs for token in doc]
    return TokenFeatures(
        doc_lengths=[len(doc) for doc in docs],
        pos=numpy.array([t.pos for t in tokens], dtype="int64") if pos else None,
        characters=[[ord(c) for c in t.text] for t in tokens] if characters else None,
        vectors=_word_vectors(tokens) if vectors else None,
    )


def _word_vectors(tokens: List[Token]) -> numpy.ndarray:
    rows = [token.vector for token in tokens]
    # They may lie on the GPU: brought over all at once.
    return to_numpy(get_array_module(rows[0]).stack(rows)).astype("float32", copy=False)


def _split(rows: Floats2d, docs: List[Doc]) -> List[Floats2d]:
    ends = numpy.cumsum([len(doc) for doc in docs])
    return [rows[end - len(doc) : end] for doc, end in zip(docs, ends, strict=True)]


def _convert_inputs(
    model: Model, inputs: Tuple[Floats2d, TokenFeatures], is_train: bool
) -> Tuple[ArgsKwargs, Callable[[ArgsKwargs], Floats2d]]:
    encoded, features = inputs
    tensor = xp2torch(encoded, requires_grad=is_train)  # (n_tokens, encoder_width)
    return ArgsKwargs(args=(tensor, features), kwargs={}), lambda d: cast(
        Floats2d, torch2xp(d.args[0])
    )


def _convert_outputs(
    model: Model, inputs_outputs: Tuple[Any, Any], is_train: bool
) -> Tuple[Floats2d, Callable[[Floats2d], ArgsKwargs]]:
    _, vectors = inputs_outputs  # (n_tokens, width)

    def backprop(d_vectors: Floats2d) -> ArgsKwargs:
        return ArgsKwargs(args=((vectors,),), kwargs={"grad_tensors": xp2torch(d_vectors)})

    return cast(Floats2d, torch2xp(vectors)), backprop
