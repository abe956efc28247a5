"""``spacy hetner coarse-to-fine``: entities, their labels and finer types, without annotation."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from spacy.cli._util import import_code, parse_config_overrides
from spacy.util import load_config
from typer import Argument, Context, Option

from ..engine.make import make_engine
from ..errors import Errors
from ..validation import check_choice
from .job import EngineOption, WorkersOption
from .pretrain import (
    LAUNCHERS,
    CodeOption,
    CpuOption,
    RestartsOption,
    TrainerAddressOption,
    tell_outcome,
)

if TYPE_CHECKING:
    from thinc.api import Config

    from ..pretraining.coarse_to_fine import Train


def coarse_to_fine_cli(
    ctx: Context,
    config_path: Annotated[
        Path, Argument(help="Config with a section [coarse_to_fine]", exists=True, dir_okay=False)
    ],
    output: Annotated[
        Path, Option("--output", "-o", help="Folder of the chain; the result is its encoder/")
    ],
    launcher: Annotated[
        str, Option("--launcher", help="What trains: none (this process), torchrun or ray")
    ] = "none",
    processes: Annotated[
        Optional[int], Option("--processes", "-n", help="How many train together", min=1)
    ] = None,
    restarts: RestartsOption = 0,
    engine: EngineOption = "local",
    workers: WorkersOption = None,
    gpus_per_worker: Annotated[
        float,
        Option("--gpus-per-worker", help="ray: GPUs of each worker that picks labels", min=0.0),
    ] = 0.0,
    address: TrainerAddressOption = None,
    resume: Annotated[
        bool, Option("--resume", "-r", help="Go on with the chain in the folder, if there is one")
    ] = False,
    code: CodeOption = None,
    cpu: CpuOption = False,
) -> None:
    """
    Teach an encoder where entities are, then their labels, which it corrects by itself round by
    round, then finer types (CoFEE). Values of the config are replaced as in `spacy train`:
    `--paths.distant labelled --coarse_to_fine.delta 0.2`. OUTPUT/report.md, written after every
    step, shows what each round changed in the labels. Cut off, it goes on with --resume.
    """
    try:
        from ..pretraining.coarse_settings import SECTION
        from ..pretraining.coarse_to_fine import coarse_to_fine
    except ImportError as error:
        raise ValueError(Errors.HE209.format(reason=error)) from error
    check_choice("launcher", launcher, LAUNCHERS)
    if launcher == "none" and restarts:
        raise ValueError(Errors.HE202.format(launcher=launcher))
    if launcher == "none" and processes not in (None, 1):
        raise ValueError(Errors.HE196.format(expected=processes, found=1))
    import_code(code)
    config = load_config(config_path, parse_config_overrides(list(ctx.args)), interpolate=True)
    if SECTION not in config:
        raise ValueError(Errors.HE191.format(path=config_path, section=SECTION))
    job_address = None if launcher == "ray" and engine != "ray" else address
    outcome = coarse_to_fine(
        config,
        output,
        train=_make_trainer(launcher, processes or 1, restarts, address, code, cpu),
        engine=make_engine(engine, workers, job_address, gpus_per_worker=gpus_per_worker),
        resume=resume,
        cpu=cpu,
        interactive=sys.stderr.isatty(),
    )
    tell_outcome(outcome)


def _make_trainer(
    launcher: str,
    processes: int,
    restarts: int,
    address: Optional[str],
    code: Optional[Path],
    cpu: bool,
) -> "Optional[Train]":
    """What does the runs; None: the default."""
    from ..pretraining.launch import run_on_ray, run_torchrun

    def with_torchrun(config: "Config", folder: Path) -> bool:
        options = ["--resume", *["--cpu"] * cpu, *(["--code", str(code)] if code else [])]
        config_path = folder / "config.cfg"
        status = run_torchrun(
            [str(config_path), "--output", str(folder), *options],
            processes=processes,
            restarts=restarts,
        )
        if status:
            raise ValueError(Errors.HE295.format(folder=folder, status=status))
        return status == 0  # None: it was told to stop

    def with_ray(config: "Config", folder: Path) -> bool:
        run_on_ray(
            config,
            folder,
            processes=processes,
            resume=True,
            restarts=restarts,
            cpu=cpu,
            address=address,
            code=code,
        )
        return True

    return {"none": None, "torchrun": with_torchrun, "ray": with_ray}[launcher]
