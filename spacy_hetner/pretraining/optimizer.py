"""AdamW over an encoder and its head: less weight decay here, smaller steps there."""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Tuple

import torch
from torch import nn

from ..errors import Errors
from ..validation import check_range
from .objectives.objective import Learner

_ENCODER = "transformer."
_LAYER = re.compile(r"(?:^|[._])(?:layers?|blocks?|h)\.(\d+)\.")
_EMBEDDING = re.compile(r"emb|\b(?:shared|wte|wpe|relative_attention_bias)\b")
_MOST_BETA = 0.999999


@dataclass(frozen=True)
class AdamW:
    """How weights are changed (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101).

    learn_rate (float): The highest learning rate, that of the top of the encoder.
    head_rate (float): The head, whose weights are new, has so many times that rate.
    layer_decay (float): Each layer has so many times the rate of the one above it, and the
        embeddings of the first; 1: all have the same (Clark et al. 2020,
        https://arxiv.org/abs/2003.10555, appendix A).
    weight_decay (float): Not of biases and norms.
    beta1, beta2, eps (float): As of Adam.
    RAISES (ValueError): HE002 for a value out of its range.
    """

    learn_rate: float = 5e-5
    head_rate: float = 1.0
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        most = {"head_rate": 1000.0, "beta1": _MOST_BETA, "beta2": _MOST_BETA}
        for name, value in vars(self).items():
            check_range(name, value, 0.0, most.get(name, 1.0))

    def make(self, learner: Learner) -> torch.optim.AdamW:
        """An optimizer of all weights that take gradients.

        What has the same rate and the same decay is one group. Its ``initial_lr`` is the highest
        rate of the group, its ``param_names`` say what it holds. Raises ValueError (HE208) for a
        decay over layers that the encoder does not name.
        """
        weights = {name: w for name, w in learner.named_parameters() if w.requires_grad}
        depths = measure_depths(weights)
        top = max(depths.values(), default=0)
        if self.layer_decay != 1.0 and top < 2:
            encoder = type(learner.transformer).__name__
            raise ValueError(Errors.HE208.format(value=self.layer_decay, encoder=encoder))
        groups: Dict[Tuple[float, float], List[Tuple[str, nn.Parameter]]] = defaultdict(list)
        for name, weight in weights.items():
            rate = self.learn_rate * self.layer_decay ** (top - depths[name])
            if not name.startswith(_ENCODER):
                rate *= self.head_rate
            is_plain = weight.ndim < 2 or name.endswith("bias")
            groups[rate, 0.0 if is_plain else self.weight_decay].append((name, weight))
        return torch.optim.AdamW(
            [
                {"params": members, "lr": rate, "initial_lr": rate, "weight_decay": decay}
                for (rate, decay), members in groups.items()
            ],
            betas=(self.beta1, self.beta2),
            eps=self.eps,
        )

    def set_rate(self, optimizer: torch.optim.Optimizer, factor: float) -> float:
        """Give each group its highest rate times a factor.

        RETURNS (float): The rate at the top of the encoder.
        """
        for group in optimizer.param_groups:
            group["lr"] = factor * group["initial_lr"]
        return factor * self.learn_rate


def make_adamw(
    learn_rate: float = 5e-5,
    head_rate: float = 1.0,
    layer_decay: float = 1.0,
    weight_decay: float = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> AdamW:
    """Registered as ``spacy_hetner.AdamW.v1``; see AdamW."""
    return AdamW(learn_rate, head_rate, layer_decay, weight_decay, beta1, beta2, eps)


def measure_depths(names: Iterable[str]) -> Dict[str, int]:
    """How deep in a learner each parameter is, by its name.

    Embeddings are at 0 and layer i at i + 1; above the last layer is all else, such as the head
    and the last norm.
    """
    known = {name: _depth(name) for name in names}
    top = 1 + max((depth for depth in known.values() if depth is not None), default=0)
    return {name: top if depth is None else depth for name, depth in known.items()}


def _depth(name: str) -> Optional[int]:
    if not name.startswith(_ENCODER):
        return None
    if layer := _LAYER.search(name):
        return int(layer[1]) + 1
    return 0 if _EMBEDDING.search(name) else None
