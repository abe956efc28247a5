"""Put what is known of a pipeline without annotation where a person looks for it."""

import shutil
from pathlib import Path
from typing import Annotated

from _util import run
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.evaluation.evaluate import evaluate_model
from spacy_hetner.files import replacing_folder, write_json


def main(
    labels: Annotated[Path, Argument(help="Report of the label changes", exists=True)],
    pipeline: Annotated[Path, Argument(help="Folder of the pipeline", exists=True)],
    gold: Annotated[str, Argument(help="Annotated records to score by; empty: none")],
    out: Annotated[Path, Argument(help="Folder for labels.md and scores.json")],
    gpu_id: Annotated[int, Option(help="-1 for the CPU")] = -1,
) -> None:
    """Copy the report of the labels; score the pipeline if there is something to score it by."""
    with replacing_folder(out) as folder:
        shutil.copyfile(labels, folder / "labels.md")
        if gold:
            report = evaluate_model(str(pipeline), Path(gold), gpu_id=gpu_id)
            print(report.to_text())
            write_json(folder / "scores.json", report.to_dict())
    if not gold:
        msg.info("Nothing is scored: no annotated records were named (--vars.weak_gold FILE)")
    msg.good(f"What each iteration changed in the labels: {out / 'labels.md'}")


if __name__ == "__main__":
    run(main)
