"""BERT's head for guessing hidden pieces, tied to the encoder's input embeddings."""

from functools import partial
from typing import Any, Callable, Dict

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ...errors import Errors

# Encoders name these in their configs, each family in its way.
_ACTIVATION_NAMES = ("hidden_act", "hidden_activation", "activation_function", "activation")
_EPSILON_NAMES = ("layer_norm_eps", "norm_eps", "layer_norm_epsilon")
_ACTIVATIONS: Dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    **dict.fromkeys(("silu", "swish"), nn.SiLU),
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), partial(nn.GELU, "tanh")),
}


class PieceHead(nn.Module):
    """From vectors of an encoder to vectors like those of its input embeddings: dense - activation
    - LayerNorm.

    bias: of each piece of the vocabulary, to be added to the product with its embedding.
    """

    def __init__(self, config: Any, n_pieces: int, width: int) -> None:
        super().__init__()
        epsilon = next(
            (getattr(config, name) for name in _EPSILON_NAMES if hasattr(config, name)), 1e-12
        )
        self.dense = nn.Linear(config.hidden_size, width)
        self.activation = _activation(config)
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.bias = nn.Parameter(torch.zeros(n_pieces))

    def forward(self, vectors: Tensor) -> Tensor:
        """``(n, hidden_size)`` to ``(n, width)``."""
        return self.norm(self.activation(self.dense(vectors)))

    def logits(self, vectors: Tensor, transformer: nn.Module) -> Tensor:
        """The score of each piece in the place of each vector: float32 ``(n, n_pieces)``."""
        # Looked up here and held by the encoder alone: what is one weight cannot become two.
        return linear(self(vectors), input_embeddings(transformer), self.bias).float()


def _activation(config: Any) -> nn.Module:
    """The activation that an encoder has between its layers; GELU if it names none of ours."""
    named = (getattr(config, name, None) for name in _ACTIVATION_NAMES)
    kind = next((_ACTIVATIONS[name] for name in named if name in _ACTIVATIONS), nn.GELU)
    return kind()


def input_embeddings(transformer: Any) -> nn.Parameter:
    """The vectors of the vocabulary: ``(n_pieces, width)``.

    RAISES (ValueError): HE241 for an encoder without a table of them.
    """
    try:
        weight = getattr(transformer.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        weight = None
    if not isinstance(weight, nn.Parameter) or weight.ndim != 2:
        raise ValueError(Errors.HE241.format(encoder=type(transformer).__name__))
    return weight
