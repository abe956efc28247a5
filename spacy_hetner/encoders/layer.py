"""The encoder's torch module as a layer of thinc, which carries its encoder when it is saved."""

from typing import Any, Callable, Tuple, cast

import torch
from thinc.api import ArgsKwargs, Model, get_torch_default_device, torch2xp, xp2torch
from thinc.layers import pytorchwrapper
from thinc.types import Floats2d

from .hugging_face import encoder_from_bytes, encoder_to_bytes, load_encoder, longest_input
from .module import PieceEncoder, tell_precision
from .shim import EncoderShim


def encoder_layer(module: PieceEncoder) -> Model[Any, Floats2d]:
    """A layer from what the module takes to its vectors, (n, width).

    It is what thinc's PyTorchWrapper makes, but for the shim.
    """
    return Model(
        "pytorch",
        pytorchwrapper.forward,
        attrs={"convert_inputs": _convert_inputs, "convert_outputs": _convert_outputs},
        shims=[EncoderShim(module, serialize_model=_serialize, deserialize_model=_deserialize)],
        dims={"nI": None, "nO": None},
    )


def module_of(layer: Model) -> PieceEncoder:
    """The torch module inside a layer of ``encoder_layer``."""
    return cast(PieceEncoder, layer.shims[0]._model)


def load_into(module: PieceEncoder, folder: str, *, by_token: bool) -> Any:
    """Read an encoder folder, unless the module already carries an encoder.

    RETURNS: the Hugging Face encoder that the module has now.
    RAISES (ValueError): As ``load_encoder``. Warns (HW144, HW145) of a precision.
    """
    if module.transformer is None:
        module.tokenizer, transformer = load_encoder(folder, by_token=by_token)
        module.transformer = transformer.to(get_torch_default_device())
        tell_precision(module.precision, module.device)
    return module.transformer


def text_capacity(module: PieceEncoder, window: int) -> int:
    """Most pieces of text, special ones not counted, that an encoder reads, of ``window`` asked."""
    n_special = module.tokenizer.num_special_tokens_to_add()
    return min(window, longest_input(module.tokenizer, cast(Any, module.transformer)) - n_special)


def _convert_inputs(model: Model, batch: Any, is_train: bool) -> Tuple[ArgsKwargs, Callable]:
    return ArgsKwargs(args=(batch,), kwargs={}), lambda d_inputs: []


def _convert_outputs(model: Model, inputs_outputs: Any, is_train: bool) -> Tuple[Any, Callable]:
    _, vectors = inputs_outputs

    def backprop(d_vectors: Floats2d) -> ArgsKwargs:
        return ArgsKwargs(args=((vectors,),), kwargs={"grad_tensors": xp2torch(d_vectors)})

    return torch2xp(vectors), backprop


def _serialize(module: PieceEncoder) -> bytes:
    if module.transformer is None:
        return b""
    return encoder_to_bytes(module.tokenizer, module.transformer)


def _deserialize(module: PieceEncoder, data: bytes, device: torch.device) -> PieceEncoder:
    if not data:
        return module
    module.tokenizer, module.transformer = encoder_from_bytes(data)
    tell_precision(module.precision, device)
    return module.to(device)
