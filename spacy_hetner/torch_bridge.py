"""Between torch and thinc: weights as safetensors, losses as thinc gradients."""

from typing import Any, Callable, Tuple, TypeVar

import srsly
import torch
from safetensors.torch import load, save
from thinc.api import torch2xp, xp2torch
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def serialize_module(module: nn.Module) -> bytes:
    """A module's ``settings`` (its constructor's arguments) and weights as one message."""
    weights = {
        name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()
    }
    return srsly.msgpack_dumps({"settings": module.settings, "weights": save(weights)})


def deserialize_module(module: ModuleT, data: bytes, device: torch.device) -> ModuleT:
    """Build a module of the same class from a message of ``serialize_module``.

    The sizes come from the message, not from ``module``, since a pipeline that is being loaded
    does not know its number of labels yet. What the class names in ``of_config`` comes from
    ``module``: a saved pipeline takes other values of it when it is loaded.
    """
    message = srsly.msgpack_loads(data)
    present: Any = module
    own = {name: present.settings[name] for name in getattr(module, "of_config", ())}
    loaded = type(module)(**{**message["settings"], **own})
    loaded.load_state_dict(load(message["weights"]))
    return loaded.to(device)


def loss_and_gradients(loss: Callable[..., Tensor], *scores: Any) -> Tuple[float, Tuple[Any, ...]]:
    """The value of a scalar torch loss and its gradient with respect to each array of scores."""
    leaves = [xp2torch(array, requires_grad=True) for array in scores]
    value = loss(*leaves)
    # A loss need not depend on every input: a batch without positives has no regression loss.
    grads = (
        torch.autograd.grad(value, leaves, allow_unused=True)
        if value.requires_grad
        else [None] * len(leaves)
    )
    arrays = tuple(
        torch2xp(torch.zeros_like(leaf) if grad is None else grad)
        for leaf, grad in zip(leaves, grads, strict=True)
    )
    return float(value.detach()), arrays
