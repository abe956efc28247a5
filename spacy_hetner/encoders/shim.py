"""Between thinc and the encoder's torch module: its gradients may be scaled, as fp16 needs it."""

from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, Tuple, cast

import torch
from thinc.api import ArgsKwargs, Optimizer, PyTorchGradScaler
from thinc.shims import PyTorchShim

from ..errors import Errors
from .module import PieceEncoder, supports_fp16


class EncoderShim(PyTorchShim):
    """thinc's shim, where "fp16" has gradients scaled through the encoder and unscaled once a step.

    thinc's unscales after each backward pass, and with ``accumulate_gradient`` divides once more
    what earlier passes of the step have left. Its autocast is not used: it knows fp16 on CUDA
    only, asked for or not, while the module has its own for what it does in half precision.

    Where a scaled gradient overflows, the encoder is left as it is for this step and the scale is
    halved; it grows again where 2000 steps went well.

    Whatever changes the weights by way of thinc is counted in the module's ``revision``.
    """

    def __init__(
        self,
        module: PieceEncoder,
        serialize_model: Callable[[Any], bytes],
        deserialize_model: Callable[[Any, bytes, torch.device], Any],
    ) -> None:
        super().__init__(
            module,
            grad_scaler=PyTorchGradScaler(enabled=module.precision == "fp16"),
            serialize_model=serialize_model,
            deserialize_model=deserialize_model,
        )

    def begin_update(self, inputs: ArgsKwargs) -> Tuple[torch.Tensor, Callable]:
        """RAISES (ValueError): HE143 for "fp16" where it cannot be trained."""
        module = cast(PieceEncoder, self._model)
        if module.precision == "fp16" and not supports_fp16(module.device):
            raise ValueError(Errors.HE143.format(device=module.device))
        module.train()
        vectors = module(*inputs.args, **inputs.kwargs)

        def backprop(grads: ArgsKwargs) -> None:
            (tensors,) = grads.args
            scaled = self._grad_scaler.scale(grads.kwargs["grad_tensors"])
            torch.autograd.backward(tensors, grad_tensors=cast(Any, scaled))

        return vectors, backprop

    def finish_update(self, optimizer: Optimizer) -> None:
        """Unscale the gradients and learn from them, unless one has overflowed."""
        parameters = cast(PieceEncoder, self._model).parameters()
        self._grad_scaler.unscale([p.grad for p in parameters if p.grad is not None])
        super().finish_update(optimizer)
        self._count_revision()

    @contextmanager
    def use_params(self, params: Mapping[Any, Any]) -> Iterator[None]:
        """Other weights for a while."""
        try:
            with super().use_params(params):
                self._count_revision()
                yield
        finally:
            self._count_revision()

    def from_bytes(self, bytes_data: bytes) -> "EncoderShim":
        """Take back what ``to_bytes`` gave."""
        super().from_bytes(bytes_data)
        self._count_revision()
        return self

    def _count_revision(self) -> None:
        cast(PieceEncoder, self._model).revision += 1
