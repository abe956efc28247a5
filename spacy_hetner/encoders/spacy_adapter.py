"""The one place that knows spacy-transformers: our encoder behind its component and listeners.

The ``transformer`` component and ``TransformerListener`` are the ecosystem's convention for a
shared encoder. What is exchanged between them is ``TransformerData``; this file fills it with
vectors that are already aligned to tokens, so that any component which listens (ours, spaCy's)
works unchanged, while tokenising, windowing, batching and pooling are ours.
"""

import inspect
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, cast

import numpy
import srsly
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from spacy.tokens import Doc
from spacy_transformers.architectures import transformer_listener_tok2vec_v1
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from thinc.api import (
    ArgsKwargs,
    Model,
    get_array_module,
    get_torch_default_device,
    reduce_mean,
    torch2xp,
    xp2torch,
)
from thinc.layers import PyTorchWrapper_v3
from thinc.types import Floats2d, Ints1d, Ragged
from transformers import MODEL_MAPPING, AutoConfig, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import logging as transformers_logging

from ..errors import Errors
from ..validation import check_range
from .alignment import PieceBatch
from .folder import check_encoder_folder
from .module import TokenEncoder
from .pieces import PieceTokenizer

SAVED = "the saved pipeline"
"""What messages name where an encoder comes from no folder."""


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
    wrapper: Model = PyTorchWrapper_v3(
        module,
        convert_inputs=_convert_inputs,
        convert_outputs=_convert_outputs,
        serialize_model=_serialize,
        deserialize_model=_deserialize,
    )
    return Model(
        "hetner-encoder",
        partial(forward, reading=reading),
        init=partial(init, reading=reading),
        layers=[wrapper],
        dims={"nO": None},
        attrs={"replace_listener_cfg": _refuse_to_replace_listener},
    )


def init(model: Model, X: Any = None, Y: Any = None, *, reading: Reading) -> None:
    """Read the encoder folder, unless the model already carries an encoder."""
    module = torch_encoder(model)
    if module.transformer is None:
        folder = str(check_encoder_folder(reading.folder))
        tokenizer = _load_tokenizer(folder, by_token=reading.by_token)
        transformer = _load_transformer(folder, _load_config(folder))
        _equip(module, folder, tokenizer, transformer.to(get_torch_default_device()))
    config = cast(Any, module.transformer).config
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
    return cast(TokenEncoder, model.layers[0].shims[0]._model)


def _piece_tokenizer(module: TokenEncoder, reading: Reading) -> PieceTokenizer:
    n_special = module.tokenizer.num_special_tokens_to_add()
    capacity = min(reading.window, _longest_input(module) - n_special)
    return PieceTokenizer(
        module.tokenizer,
        capacity=capacity,
        # An encoder with fewer positions than the window asked for keeps the share of overlap.
        overlap=reading.overlap * capacity // reading.window,
        context_sentences=reading.context_sentences,
        by_token=reading.by_token,
    )


def _longest_input(module: TokenEncoder) -> int:
    """Pieces the encoder has positions for; RoBERTa's kin lose those up to the padding index."""
    transformer = cast(Any, module.transformer)
    limit = module.tokenizer.model_max_length
    positions = getattr(transformer.config, "max_position_embeddings", limit)
    table = getattr(getattr(transformer, "embeddings", None), "position_embeddings", None)
    padding_index = getattr(table, "padding_idx", None)
    reserved = 0 if padding_index is None else padding_index + 1
    return min(positions - reserved, limit)


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


def _convert_inputs(model: Model, batch: PieceBatch, is_train: bool) -> Tuple[ArgsKwargs, Callable]:
    return ArgsKwargs(args=(batch,), kwargs={}), lambda d_inputs: []


def _convert_outputs(model: Model, inputs_outputs: Any, is_train: bool) -> Tuple[Any, Callable]:
    _, vectors = inputs_outputs

    def backprop(d_vectors: Floats2d) -> ArgsKwargs:
        return ArgsKwargs(args=((vectors,),), kwargs={"grad_tensors": xp2torch(d_vectors)})

    return torch2xp(vectors), backprop


def _load_config(folder: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as err:  # As with the tokenizer: values are checked in any way, or not at all.
        raise ValueError(Errors.HE021.format(path=folder, reason=f"it is unusable: {err}")) from err
    if config.is_encoder_decoder or type(config) not in MODEL_MAPPING:
        raise ValueError(Errors.HE035.format(path=folder, type=config.model_type))
    return config


def _load_tokenizer(folder: str, *, by_token: bool) -> Any:
    def load(**options: Any) -> Any:
        return AutoTokenizer.from_pretrained(
            folder, use_fast=True, local_files_only=True, trust_remote_code=False, **options
        )

    try:
        tokenizer = load()
        if by_token and getattr(tokenizer, "add_prefix_space", True) is False:
            # Byte-level pieces carry the space before a word, which a token on its own lacks.
            tokenizer = load(add_prefix_space=True)
        pieces = tokenizer("a", add_special_tokens=False)["input_ids"]
    except Exception as err:  # The tokenizer library raises nothing more special.
        raise ValueError(Errors.HE023.format(path=folder)) from err
    if not (tokenizer.is_fast and pieces):
        raise ValueError(Errors.HE023.format(path=folder))
    return tokenizer


def _load_transformer(
    folder: Optional[str], config: Any, weights: Optional[Dict[str, torch.Tensor]] = None
) -> torch.nn.Module:
    """The encoder with the weights of its folder, or else with those given, in float32.

    RAISES (ValueError): HE034 where the config describes no encoder, or weights are missing or of
        other shapes.
    """
    place = folder or SAVED
    known: Any = MODEL_MAPPING[type(config)]
    architecture = known[0] if isinstance(known, (list, tuple)) else known
    # BERT-like encoders make a pooling layer that no token ever uses: leave it out.
    has_pooler = "add_pooling_layer" in inspect.signature(architecture).parameters
    try:
        # Quiet about weights that are left over, such as a pooler's; those missing are told below.
        with _quiet_transformers():
            transformer, info = architecture.from_pretrained(
                folder,
                config=config,
                state_dict=weights,
                local_files_only=True,
                use_safetensors=True,
                torch_dtype=torch.float32,
                output_loading_info=True,
                **({"add_pooling_layer": False} if has_pooler else {}),
            )
    except Exception as err:  # Here, too, any value of the config may raise anything.
        reason = f"{type(err).__name__}: {err}"
        raise ValueError(Errors.HE034.format(path=place, reason=reason)) from err
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        reason = f"{len(missing)} are missing, such as {', '.join(missing[:3])}"
        raise ValueError(Errors.HE034.format(path=place, reason=reason))
    return transformer


def _equip(module: TokenEncoder, place: str, tokenizer: Any, transformer: torch.nn.Module) -> None:
    """Give the module its encoder.

    RAISES (ValueError): HE039 where the tokenizer has pieces that the encoder has no vector for.
    """
    pieces = max(tokenizer.get_vocab().values()) + 1
    rows = getattr(transformer.config, "vocab_size", 0)
    if pieces > rows:
        raise ValueError(Errors.HE039.format(path=place, pieces=pieces, rows=rows))
    module.tokenizer, module.transformer = tokenizer, transformer


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _serialize(module: TokenEncoder) -> bytes:
    """Config, tokenizer files and weights (safetensors) as one message."""
    if module.transformer is None:
        return b""
    transformer = cast(Any, module.transformer)
    with tempfile.TemporaryDirectory() as folder:
        module.tokenizer.save_pretrained(folder)
        transformer.config.save_pretrained(folder)
        files = {
            path.name: path.read_bytes()
            for path in sorted(Path(folder).iterdir())
            if path.is_file()
        }
    weights = {k: v.detach().cpu().contiguous() for k, v in transformer.state_dict().items()}
    return srsly.msgpack_dumps({"files": files, "weights": save_safetensors(weights)})


def _deserialize(module: TokenEncoder, data: bytes, device: torch.device) -> TokenEncoder:
    if not data:
        return module
    message = srsly.msgpack_loads(data)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in message["files"].items():
            Path(folder, Path(name).name).write_bytes(content)
        # Whatever by_token asks for was saved with the tokenizer.
        tokenizer = _load_tokenizer(folder, by_token=False)
        config = _load_config(folder)
    transformer = _load_transformer(None, config, load_safetensors(message["weights"]))
    _equip(module, SAVED, tokenizer, transformer)
    return module.to(device)
