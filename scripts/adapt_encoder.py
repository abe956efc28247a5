"""Adapt an encoder to raw Chinese texts, and put it where the other steps look for encoders.

What `spacy hetner encoder adapt` does, with the training parts of the Chinese corpora that are
converted beside the texts, and without any text of their dev and test parts. A run that was cut
off goes on; one with other settings or texts begins anew.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Dict, List

from _util import run
from corpora import CORPORA
from make_config import Precision, precision_for
from pretrain_encoder import choose_device, run_anyhow
from typer import Argument, Option

from spacy_hetner.corpora.text_store import collect_texts
from spacy_hetner.engine.make import make_engine
from spacy_hetner.pretraining.adapt import TEXT, write_adaptation
from spacy_hetner.pretraining.train import Outcome, pretrain

LANG = "zh"


def converted_parts(corpora: Path, *parts: str) -> List[str]:
    """Those parts of the Chinese corpora that are there."""
    names = (name for name, corpus in CORPORA.items() if corpus.lang == LANG)
    files = (corpora / name / f"{part}.parquet" for name in names for part in parts)
    return [str(file) for file in files if file.is_file()]


def main(
    student: Annotated[Path, Argument(help="Encoder folder to start from")],
    teacher: Annotated[Path, Argument(help="Encoder folder whose vectors are learned")],
    corpora: Annotated[Path, Argument(help="Folder of converted corpora")],
    folder: Annotated[Path, Argument(help="Folder of the run")],
    out: Annotated[Path, Argument(help="Encoder folder to write")],
    text: Annotated[List[str], Option(help="PATH, PATH:KEY or PATH:COLUMN; may be repeated")],
    learn_rate: Annotated[float, Option(help="The highest learning rate")] = 0.0003,
    epochs: Annotated[int, Option(help="Passes over the texts, at most; 0: any")] = 1,
    steps: Annotated[int, Option(help="Steps, at most; 0: any")] = 0,
    seed: Annotated[int, Option(min=0)] = 0,
    precision: Annotated[Precision, Option(help="auto: bf16 where the processor has it")] = "fp32",
    workers: Annotated[int, Option(min=1, help="Processes that read the texts")] = 1,
    gpu_id: Annotated[int, Option(help="-1 for the CPU")] = -1,
) -> None:
    """Adapt an encoder."""
    overrides: Dict[str, Any] = {
        "pretraining.optimizer.learn_rate": learn_rate,
        "pretraining.max_epochs": epochs,
        "pretraining.max_steps": steps,
        "pretraining.seed": seed,
        "pretraining.precision": precision_for(precision, choose_device(gpu_id)),
        "pretraining.workers": workers,
    }

    def start(resume: bool) -> Outcome:
        config = write_adaptation(
            folder, overrides, student=student, teacher=teacher, by_token=True
        )
        collect_texts(
            [*text, *converted_parts(corpora, "train")],
            folder / TEXT,
            make_engine("local", workers),
            lang=LANG,
            exclude=converted_parts(corpora, "dev", "test"),
            seed=seed,
        )
        interactive = sys.stderr.isatty()
        return pretrain(config, folder, resume=resume, cpu=gpu_id < 0, interactive=interactive)

    run_anyhow(start, folder, out)


if __name__ == "__main__":
    run(main)
