"""The processes of a run: how many there are, on what they compute, and what they must agree on."""

import gc
import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import Iterator, Optional

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from ..encoders.module import tell_precision
from ..errors import Errors

if torch.distributed.is_available():
    # Torch would else import it when the process group is there already, and functions in it have
    # the group of that moment as a default: it then lasts as long as Python, and so do its threads.
    import torch.distributed.nn

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
PATIENCE = timedelta(hours=6)
"""How long processes wait for the one that makes the instances."""


@contextmanager
def accelerated(
    precision: str, *, cpu: bool = False, processes: Optional[int] = None
) -> Iterator[Accelerator]:
    """The processes that take part, as torchrun or Ray started them; one if nobody did.

    processes (Optional[int]): How many there must be. ``accelerate launch --cpu`` starts one
        process whatever it is asked for, which then would train on its own.
    RAISES (ValueError): HE196 if there are not as many, HE197 for fp16 without a GPU.
    """
    on_cpu = cpu or not torch.cuda.is_available()
    if on_cpu and precision == "fp16":
        raise ValueError(Errors.HE197)
    accelerator = Accelerator(
        mixed_precision=_PRECISIONS[precision],
        cpu=on_cpu,
        kwargs_handlers=[
            InitProcessGroupKwargs(timeout=PATIENCE),
            # Encoders have weights that a batch does not use, such as RoFormer's positions.
            DistributedDataParallelKwargs(find_unused_parameters=True),
        ],
    )
    try:
        expected = processes or int(os.environ.get("WORLD_SIZE", 1))
        if accelerator.num_processes != expected:
            raise ValueError(
                Errors.HE196.format(expected=expected, found=accelerator.num_processes)
            )
        tell_precision(precision, accelerator.device)
        yield accelerator
    finally:
        accelerator.end_training()
        # Accelerate keeps its state for as long as Python runs; the next run may want another.
        AcceleratorState._reset_state(reset_partial_state=True)
        # Threads of the process group end with the last reference to it, which models hold. One
        # that still has a tensor to drop when Python has ended aborts the process.
        accelerator.free_memory()
        gc.collect()


def peak_memory_mb(device: torch.device) -> Optional[int]:
    """The most memory of this process so far: of the GPU, where it computes on one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
