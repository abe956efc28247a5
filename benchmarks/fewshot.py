"""Keep the runs of ``spacy hetner fewshot`` as rows of docs/benchmarks.md.

    python -m spacy hetner fewshot config.cfg --train ... --output fewshot
    python benchmarks/fewshot.py fewshot/runs.json btc --steps 150 --batch-size 16 \
        --start plain=minilm-l6-en --start typed=minilm-typed-n10000

One row a run, in ``benchmarks/results/fewshot/``; a run that is there is replaced.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Dict, List

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from tuned_tables import TITLES  # noqa: E402

from spacy_hetner.files import write_json  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "fewshot"


def make_row(run: Dict[str, Any], data: str, start: str, setup: Dict[str, Any]) -> Dict[str, Any]:
    """What the tables need of a run. start (str): What it started from, as the page names it."""
    kept = ("n", "total", "seed", "dev", "train_seconds", "device", "versions")
    return {
        "data": data,
        "start": start,
        **setup,
        **{name: run[name] for name in kept},
        "scores": {"strict": run["scores"]["strict"]},
    }


def main(
    runs: Annotated[Path, typer.Argument(help="runs.json of the command", exists=True)],
    data: Annotated[str, typer.Argument(help=f"One of: {', '.join(TITLES)}")],
    start: Annotated[List[str], typer.Option(help="NAME=TITLE, for each start")],
    steps: Annotated[int, typer.Option(help="Of each run")],
    batch_size: Annotated[int, typer.Option(help="Sentences a step")],
    learn_rate: float = 3e-4,
    precision: str = "bf16",
    results: Annotated[Path, typer.Option(help="Folder for the rows")] = RESULTS,
) -> None:
    """Write the rows."""
    titles = dict(item.split("=", 1) for item in start)
    setup = {
        "system": "tagger",
        "steps": steps,
        "batch_size": batch_size,
        "learn_rate": learn_rate,
        "precision": precision,
    }
    for run in json.loads(runs.read_text(encoding="utf8"))["runs"]:
        row = make_row(run, data, titles[run["start"]], setup)
        name = f"{data}-{run['start']}-n{run['n']}-s{run['seed']}.json"
        write_json(results / name, row)
        typer.echo(f"wrote {name}")


if __name__ == "__main__":
    typer.run(main)
