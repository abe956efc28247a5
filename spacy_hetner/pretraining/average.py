"""A moving average of weights, which often scores better than the weights of the last step."""

from contextlib import contextmanager
from typing import Dict, Iterator, Mapping

import torch
from torch import Tensor, nn

from ..errors import Errors
from ..validation import check_range


class Average:
    """The exponential moving average of a module's weights, in float32, where the weights are.

    At first it forgets faster, so that the weights that training began with do not last. By how
    much depends on the number of the step, so the tensors are all of its state.

    decay (float): How much of the average stays at a step, in [0, 1].
    RAISES (ValueError): HE002 for another decay.
    """

    def __init__(self, decay: float, module: nn.Module) -> None:
        self.decay = check_range("average", decay, 0.0, 1.0)
        self._averages = {
            name: weight.detach().to(torch.float32, copy=True)
            for name, weight in _weights(module).items()
        }

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the weights that a step led to; ``step`` is how many came before it."""
        decay = min(self.decay, (1 + step) / (10 + step))
        weights = _weights(module)
        torch._foreach_lerp_(
            list(self._averages.values()),
            [weights[name].float() for name in self._averages],
            1 - decay,
        )

    @contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[None]:
        """Let a module have the averages as its weights, to be read only, and its own again after.

        Nothing is copied, unless the weights are of less precision.
        """
        weights = _weights(module)
        own = {name: weight.data for name, weight in weights.items()}
        try:
            for name, weight in weights.items():
                weight.data = self._averages[name].to(weight.dtype)
            yield
        finally:
            for name, weight in weights.items():
                weight.data = own[name]

    def tensors(self) -> Dict[str, Tensor]:
        """The averages by the names of their parameters, not copied."""
        return dict(self._averages)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what ``tensors`` gave. Raises ValueError (HE206) for other parameters."""
        given, own = _shapes(tensors), _shapes(self._averages)
        if changed := sorted(name for name, _ in given.items() ^ own.items()):
            difference = f"{changed[0]} is not in both, or not of one shape"
            raise ValueError(Errors.HE206.format(what="moving average", difference=difference))
        for name, average in self._averages.items():
            average.copy_(tensors[name])


def _weights(module: nn.Module) -> Dict[str, nn.Parameter]:
    return {name: w for name, w in module.named_parameters() if w.is_floating_point()}


def _shapes(tensors: Mapping[str, Tensor]) -> Dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
