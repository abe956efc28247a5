"""The engine of many machines: Ray Data. Extra ``ray``; on one machine it costs more than it gives.

Ray moves no rows here: a task gets a shard, writes the same files as everywhere else, and returns
how many rows they hold. What is heavy is loaded once a process, by tasks: actors would have to
leave processors free for each other, or Ray Data waits for ever. Only where a worker has GPUs it is
an actor, since Ray ends the process of every task that had one.
"""

import logging
import math
import os
import warnings
from typing import Any, Dict, Generator, Optional, Sequence

from ..errors import Errors, is_coded
from ..validation import check_count, check_range
from .engine import Engine
from .task import Shard
from .work import Work

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OBJECT_STORE = 128 * 2**20


class RayEngine(Engine):
    """Runs tasks on a Ray cluster, or on a Ray of this machine that listens on loopback only.

    The machines of a cluster need this package, and the folder of the job and all files of the
    task under the same absolute paths.

    Connects at the first job, and stays connected until the process ends; where the process is
    connected already, that is used.

    address (Optional[str]): As ``ray.init`` takes it: "auto", "host:port"; None: this machine.
    workers (Optional[int]): How many shards are done at a time; None: one a processor.
    retries (int): How often a shard is tried again if its process or machine dies.
    gpus_per_worker (float): GPUs of each worker, or a part of one; workers=None then means as many
        workers as there are GPUs for.

    Raises ValueError for workers < 1 or retries < 0 (HE078) and gpus_per_worker < 0 (HE002).
    """

    def __init__(
        self,
        address: Optional[str] = None,
        *,
        workers: Optional[int] = None,
        retries: int = 2,
        gpus_per_worker: float = 0.0,
        progress: Optional[bool] = None,
    ) -> None:
        super().__init__(progress=progress)
        self.address = address
        self.workers = None if workers is None else check_count("workers", workers, 1)
        self.retries = check_count("retries", retries, 0)
        self.gpus_per_worker = check_range("gpus_per_worker", gpus_per_worker, 0, math.inf)

    def run(self, work: Work, shards: Sequence[Shard]) -> Generator[int, None, None]:
        """As every engine. Raises ValueError if Ray is not installed (HE132), cannot be used or
        gives up (HE133), would listen on more than loopback (HE134), or has too few GPUs (HE290).
        """
        ray = import_ray(local=self.address is None)
        try:
            with warnings.catch_warnings():
                # Ray warns of its own use of what it deprecates, and of how its limits are set.
                warnings.simplefilter("ignore", DeprecationWarning)
                connect(ray, self.address, self.workers)
                for result in self._results(ray, work, shards):
                    if result["error"]:
                        raise ValueError(result["error"])
                    yield result["rows"]
        except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
            if is_coded(error):
                raise
            address = self.address or "this machine"
            raise ValueError(Errors.HE133.format(address=address, reason=error)) from error

    def _results(self, ray: Any, work: Work, shards: Sequence[Shard]) -> Any:
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = -1  # a shard takes as long as it takes
        items = [shard._asdict() for shard in shards]
        with ray.data.DataContext.current(context):
            return (
                # A block a shard: Ray Data would put many into one task.
                ray.data.from_items(items, override_num_blocks=len(items))
                .map(**self._placement(ray, work, len(items)))
                .iter_rows()
            )

    def _placement(self, ray: Any, work: Work, shards: int) -> Dict[str, Any]:
        """What does the shards, and on what: for ``Dataset.map``."""
        if not self.gpus_per_worker:
            size = None if self.workers is None else min(self.workers, shards)
            return {
                "fn": _do,
                "fn_args": (work,),
                "compute": ray.data.TaskPoolStrategy(size=size),
                # Ray Data would retry for ever.
                "ray_remote_args_fn": lambda: {"max_retries": self.retries},
            }
        found = ray.cluster_resources().get("GPU", 0)
        most = int(found / self.gpus_per_worker)
        if not most:
            raise ValueError(Errors.HE290.format(gpus=self.gpus_per_worker, found=found))
        return {
            "fn": _Worker,
            "fn_constructor_args": (work,),
            "compute": ray.data.ActorPoolStrategy(size=min(self.workers or most, most, shards)),
            "num_gpus": self.gpus_per_worker,
            "num_cpus": 0,  # so that all processors are left to what feeds the actors
            "max_restarts": self.retries,
            "max_task_retries": self.retries,
        }


def connect(ray: Any, address: Optional[str], processors: Optional[int]) -> None:
    """Connect to a cluster, or start a Ray of this machine; a connection that is there is used.

    processors (Optional[int]): How many a Ray of this machine may use; None: all.
    """
    if ray.is_initialized():
        return
    options: Dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    if address is None:
        options |= {"num_cpus": processors, "include_dashboard": False}
        options |= {"object_store_memory": _OBJECT_STORE}
    ray.init(address=address or "local", **options)


def _do(row: Dict[str, Any], work: Work) -> Dict[str, Any]:
    """An error travels as text: Ray wraps exceptions, and logs them in full."""
    try:
        return {"rows": work(Shard(**row)), "error": ""}
    except ValueError as error:
        return {"rows": 0, "error": str(error)}


class _Worker:
    """An actor, whose process stays from shard to shard."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, row: Dict[str, Any]) -> Dict[str, Any]:
        return _do(row, self.work)


def import_ray(local: bool) -> Any:
    """The package, set up to listen on loopback only if it is to run on this machine.

    Raises ValueError if it is not installed (HE132) or was imported in another way (HE134).
    """
    if local:
        # Read at the import. Without it Ray listens on the networks of the machine, and rewrites
        # a loopback address that it is given to that of the machine.
        os.environ[_LOOPBACK] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with warnings.catch_warnings():  # it adds filters that show more
            warnings.simplefilter("ignore", DeprecationWarning)
            import ray
            import ray.data
            from ray._private.ray_constants import ENABLE_RAY_CLUSTER
    except ImportError as error:
        raise ValueError(Errors.HE132.format(reason=error)) from error
    if local and ENABLE_RAY_CLUSTER and not ray.is_initialized():
        raise ValueError(Errors.HE134)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # It warns that its progress bars are off, which ours replaces.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    return ray
