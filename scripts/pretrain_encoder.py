"""Pre-train an encoder on records, and put it where the other steps look for encoders.

A run that was cut off goes on; one with other settings or data begins anew.
"""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Callable, Dict

import torch
from _util import run
from make_config import Precision, precision_for
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.errors import Errors
from spacy_hetner.files import remove_folder, replacing_folder
from spacy_hetner.pretraining.settings import read_config
from spacy_hetner.pretraining.train import Outcome, pretrain

OTHER_RUN = ("[HE125]", "[HE193]")
"""What an error begins with if the folder holds a run with other settings, or of other texts."""
STOPPED = 143
"""The exit status of a process that SIGTERM ended."""


def run_anyhow(start: Callable[[bool], Outcome], folder: Path, out: Path) -> None:
    """Go on with the run in a folder, or begin it, and put its encoder where it belongs.

    What a run with other settings or data left in the folder is removed. A run that was told to
    stop ends this process as SIGTERM would.

    start (Callable[[bool], Outcome]): Begins the run or, if told so, goes on with it.
    """
    try:
        outcome = start(True)
    except ValueError as error:
        if not str(error).startswith(OTHER_RUN):
            raise
        remove_folder(folder)
        outcome = start(False)
    if not outcome.finished:
        msg.warn(f"Stopped after step {outcome.steps}; the same command goes on")
        sys.exit(STOPPED)
    with replacing_folder(out) as new:
        shutil.copytree(outcome.encoder, new, dirs_exist_ok=True)
    msg.good(f"Wrote {out}: {outcome.steps} steps, {outcome.scores}")


def choose_device(gpu_id: int) -> str:
    """The device to train on. Raises ValueError (HE220) for a GPU that is not there."""
    if gpu_id < 0:
        return "cpu"
    if gpu_id >= (found := torch.cuda.device_count()):
        raise ValueError(Errors.HE220.format(gpu_id=gpu_id, reason=f"torch sees {found} GPU(s)"))
    torch.cuda.set_device(gpu_id)
    return f"cuda:{gpu_id}"


def main(
    base: Annotated[Path, Argument(help="A config with a section [pretraining]", exists=True)],
    encoder: Annotated[Path, Argument(help="Encoder folder to start from")],
    train: Annotated[Path, Argument(help="Records to train on", exists=True)],
    dev: Annotated[Path, Argument(help="Records to choose the best step by", exists=True)],
    folder: Annotated[Path, Argument(help="Folder of the run")],
    out: Annotated[Path, Argument(help="Encoder folder to write")],
    types: Annotated[str, Option(help="A type map; empty: as in the config")] = "",
    learn_rate: Annotated[float, Option(help="The highest learning rate")] = 0.00005,
    epochs: Annotated[int, Option(help="Passes over the records, at most; 0: any")] = 3,
    steps: Annotated[int, Option(help="Steps, at most; 0: any")] = 0,
    seed: Annotated[int, Option(min=0)] = 0,
    precision: Annotated[Precision, Option(help="auto: bf16 where the processor has it")] = "fp32",
    gpu_id: Annotated[int, Option(help="-1 for the CPU")] = -1,
) -> None:
    """Pre-train an encoder."""
    settings: Dict[str, Any] = {
        "optimizer.learn_rate": learn_rate,
        "max_epochs": epochs,
        "max_steps": steps,
        "seed": seed,
        "precision": precision_for(precision, choose_device(gpu_id)),
    }
    if types:
        settings["objective.types"] = types
    paths = {"encoder": encoder, "train": train, "dev": dev}
    config = read_config(
        base,
        {
            **{f"paths.{name}": str(path) for name, path in paths.items()},
            **{f"pretraining.{name}": value for name, value in settings.items()},
        },
    )

    def start(resume: bool) -> Outcome:
        interactive = sys.stderr.isatty()
        return pretrain(config, folder, resume=resume, cpu=gpu_id < 0, interactive=interactive)

    run_anyhow(start, folder, out)


if __name__ == "__main__":
    run(main)
