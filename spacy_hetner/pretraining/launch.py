"""How the processes of a run are started: by torchrun on one machine, by Ray Train on a cluster."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Sequence

from spacy.cli._util import import_code
from thinc.api import Config

from ..engine.cluster import connect, import_ray
from ..errors import Errors
from ..types import PathLike
from .processes import PATIENCE
from .train import check_unused, pretrain

_RESTARTS = "TORCHELASTIC_RESTART_COUNT"


def is_restart() -> bool:
    """Whether torchrun started this process in the place of one that died."""
    return int(os.environ.get(_RESTARTS, 0)) > 0


def become_torchrun(arguments: Sequence[str], *, processes: int, restarts: int) -> NoReturn:
    """Run ``spacy hetner pretrain`` with these arguments in several processes of this machine.

    A process that dies takes the others with it; all start again from the last checkpoint, at most
    ``restarts`` times. This process becomes torchrun, so that signals reach it.
    """
    os.environ.update(_environment())
    os.execv(sys.executable, _torchrun(arguments, processes, restarts))


def run_torchrun(arguments: Sequence[str], *, processes: int, restarts: int) -> Optional[int]:
    """As ``become_torchrun``, beside this process, which passes signals on.

    RETURNS (Optional[int]): The exit status; None if this process was told to stop.
    """
    told = []
    process = subprocess.Popen(
        _torchrun(arguments, processes, restarts), env={**os.environ, **_environment()}
    )

    def pass_on(kind: int, _: Any) -> None:
        told.append(kind)
        if kind == signal.SIGTERM:  # Ctrl-C goes to all processes of a terminal
            process.terminate()

    before = {kind: signal.signal(kind, pass_on) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        status = process.wait()
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    return None if told else status


def _torchrun(arguments: Sequence[str], processes: int, restarts: int) -> List[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(processes), "--max_restarts", str(restarts)),
        *("-m", "spacy", "hetner", "pretrain", *arguments),
    ]


def _environment() -> Dict[str, str]:
    # Else processes that are started again look for those that died: torch 2.13 keeps the store in
    # which they tell each other where they are.
    name = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
    return {name: os.environ.get(name, "1")}


def run_on_ray(
    config: Config,
    output: PathLike,
    *,
    processes: int,
    resume: bool = False,
    restarts: int = 0,
    cpu: bool = False,
    address: Optional[str] = None,
    code: Optional[PathLike] = None,
) -> None:
    """Run ``pretrain`` in the workers of Ray Train; a worker that dies is replaced.

    All machines need this package, and the folders of the config and of the run under the same
    absolute paths.

    address (Optional[str]): Of a cluster; None: a Ray of this machine, on loopback only.
    code (Optional[PathLike]): Python file that registers functions of the config.
    RAISES (ValueError): HE132 without Ray, HE133 if it gives up, HE195 as ``pretrain``, HE203 for
        fewer GPUs than processes.
    """
    if not resume:
        check_unused(output)
    ray = import_ray(local=address is None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray itself deprecates
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        connect(ray, address, None if address else processes + 1)
        output = Path(output).absolute()
        gpus = 0 if cpu else int(ray.cluster_resources().get("GPU", 0))
        if 0 < gpus < processes:
            raise ValueError(Errors.HE203.format(gpus=gpus, processes=processes))
        trainer = TorchTrainer(
            _work,
            train_loop_config={
                "config": config.to_str(),
                "output": str(output),
                "folder": os.getcwd(),
                "processes": processes,
                "cpu": cpu,
                "code": None if code is None else str(code),
            },
            scaling_config=ScalingConfig(
                num_workers=processes,
                use_gpu=gpus > 0,
            ),
            torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
            run_config=RunConfig(
                name="ray",
                storage_path=str(output),
                failure_config=FailureConfig(max_failures=restarts),
            ),
        )
        try:
            trainer.fit()
        except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
            where = address or "this machine"
            raise ValueError(Errors.HE133.format(address=where, reason=error)) from error


def _work(work: Dict[str, Any]) -> None:
    """One worker. Whatever it finds was written by this run, or is to be resumed."""
    os.chdir(work["folder"])
    import_code(work["code"])
    pretrain(
        Config().from_str(work["config"]),
        work["output"],
        resume=True,
        processes=work["processes"],
        cpu=work["cpu"],
    )
