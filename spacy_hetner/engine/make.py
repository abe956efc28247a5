"""Engines by name."""

from typing import Optional

from ..errors import Errors
from ..validation import check_choice
from .engine import Engine
from .local import LocalEngine

ENGINES = ("local", "ray")


def make_engine(
    name: str = "local",
    workers: Optional[int] = None,
    address: Optional[str] = None,
    *,
    gpus_per_worker: float = 0.0,
    progress: Optional[bool] = None,
) -> Engine:
    """An engine by its name.

    name (str): "local" or "ray".
    workers (Optional[int]): How many shards are done at a time. None: one for "local", as many as
        there are processors for "ray".
    address (Optional[str]): Of a Ray cluster; None starts Ray on this machine.
    gpus_per_worker (float): GPUs, or a part of one, that Ray is to give each worker.
    progress (Optional[bool]): Show a progress bar on stderr; None: if it is a terminal.

    Raises ValueError for another name (HE004), an address (HE138) or GPUs (HE291) without Ray, and
    if Ray is not installed (HE132).
    """
    if check_choice("engine", name, ENGINES) == "ray":
        from .cluster import RayEngine

        return RayEngine(
            address, workers=workers, gpus_per_worker=gpus_per_worker, progress=progress
        )
    if address is not None:
        raise ValueError(Errors.HE138.format(address=address))
    if gpus_per_worker:
        raise ValueError(Errors.HE291.format(gpus=gpus_per_worker))
    return LocalEngine(1 if workers is None else workers, progress=progress)
