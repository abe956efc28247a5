"""``spacy hetner pretrain``: teach an encoder what records know, before it is fine-tuned."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

from spacy.cli._util import import_code, parse_config_overrides
from typer import Argument, Context, Option
from wasabi import msg

from ..errors import Errors
from ..validation import check_choice

if TYPE_CHECKING:
    from ..pretraining.train import Outcome

LAUNCHERS = ("none", "torchrun", "ray")

# What other commands that train an encoder ask for, too.
RestartsOption = Annotated[
    int, Option("--restarts", help="torchrun, ray: start again after a crash, so often", min=0)
]
TrainerAddressOption = Annotated[
    Optional[str], Option("--address", help="ray: of the cluster; default: start one here")
]
CodeOption = Annotated[
    Optional[Path],
    Option("--code", "-c", help="Python file with functions of your own, to be imported first"),
]
CpuOption = Annotated[bool, Option("--cpu", help="Leave GPUs alone")]


def pretrain_cli(
    ctx: Context,
    config_path: Annotated[
        Path, Argument(help="Config with a section [pretraining]", exists=True, dir_okay=False)
    ],
    output: Annotated[
        Path, Option("--output", "-o", help="Folder of the run; the result is its encoder/")
    ],
    launcher: Annotated[
        str,
        Option(
            "--launcher",
            help="none: this process, or one that torchrun started; torchrun: several of this "
            "machine; ray: those of a Ray cluster",
        ),
    ] = "none",
    processes: Annotated[
        Optional[int],
        Option("--processes", "-n", help="How many train together; default: one, or all", min=1),
    ] = None,
    restarts: RestartsOption = 0,
    address: TrainerAddressOption = None,
    resume: Annotated[
        bool, Option("--resume", "-r", help="Go on from the last checkpoint, if there is one")
    ] = False,
    code: CodeOption = None,
    cpu: CpuOption = False,
) -> None:
    """
    Pre-train an encoder on records. Values of the config are replaced as in `spacy train`:
    `--paths.train corpus --pretraining.seed 1`. A run that was cut off, or told to stop by SIGTERM,
    goes on with --resume and ends as it would have.
    """
    try:
        from ..pretraining import launch
        from ..pretraining.settings import read_config, resolve_settings
        from ..pretraining.train import check_unused, pretrain
    except ImportError as error:
        raise ValueError(Errors.HE209.format(reason=error)) from error
    check_choice("launcher", launcher, LAUNCHERS)
    if (launcher == "none" and restarts) or (launcher != "ray" and address is not None):
        raise ValueError(Errors.HE202.format(launcher=launcher))
    import_code(code)
    config = read_config(config_path, parse_config_overrides(list(ctx.args)))  # it takes them out
    resolve_settings(config)
    if launcher == "torchrun":
        if not resume:
            check_unused(output)  # a process that is started again would go on with it
        options = ["--resume"] * resume + ["--cpu"] * cpu
        options += ["--code", str(code)] if code else []
        launch.become_torchrun(
            [str(config_path), "--output", str(output), *options, *ctx.args],
            processes=processes or 1,
            restarts=restarts,
        )
    if launcher == "ray":
        launch.run_on_ray(
            config,
            output,
            processes=processes or 1,
            resume=resume,
            restarts=restarts,
            cpu=cpu,
            address=address,
            code=code,
        )
        msg.good(f"Saved the encoder to {output / 'encoder'}")
        return
    outcome = pretrain(
        config,
        output,
        resume=resume or launch.is_restart(),
        processes=processes,
        cpu=cpu,
        interactive=sys.stderr.isatty(),
    )
    tell_outcome(outcome)


def tell_outcome(outcome: "Outcome") -> None:
    """Say how a run ended; if it was told to stop, leave as a process does that SIGTERM ended."""
    if not outcome.finished:
        if outcome.is_main:
            msg.warn(f"Stopped after step {outcome.steps}; go on with --resume")
        sys.exit(128 + signal.SIGTERM)
    if outcome.is_main:
        msg.good(f"Saved the encoder to {outcome.encoder}")
