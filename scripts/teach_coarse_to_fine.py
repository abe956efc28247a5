"""Take an encoder through CoFEE's stages, and put it where the other steps look for encoders.

A chain that was cut off goes on; one with other settings or data begins anew.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Dict, Literal

from _util import run
from make_config import Precision, fill_in, precision_for
from pretrain_encoder import choose_device, run_anyhow
from spacy.util import load_config
from thinc.api import Config
from typer import Argument, Option

from spacy_hetner.engine.make import make_engine
from spacy_hetner.pretraining.coarse_settings import STAGES
from spacy_hetner.pretraining.coarse_to_fine import coarse_to_fine
from spacy_hetner.pretraining.train import Outcome

UNSPACED = ("zh", "ja")


def chain_config(base: Path, values: Dict[str, Any]) -> Config:
    """The config of a chain with values by their dotted names."""
    config = load_config(base, interpolate=False)
    fill_in(config, values)
    return config.interpolate()


def main(
    base: Annotated[Path, Argument(help="A config with [coarse_to_fine]", exists=True)],
    encoder: Annotated[Path, Argument(help="Encoder folder to start from")],
    entities: Annotated[Path, Argument(help="Records of entities without types", exists=True)],
    distant: Annotated[Path, Argument(help="Records of labels of a dictionary", exists=True)],
    folder: Annotated[Path, Argument(help="Folder of the chain")],
    out: Annotated[Path, Argument(help="Encoder folder to write")],
    lang: Annotated[str, Option(help="Of the texts: Chinese and Japanese are read by the token")],
    dev: Annotated[str, Option(help="Annotated records to choose by; empty: none")] = "",
    backbone: Annotated[Literal["query", "tagger"], Option(help="What the encoder ends in")] = (
        "query"
    ),
    queries: Annotated[str, Option(help="Name or file; empty: the words of the labels")] = "",
    clusters: Annotated[int, Option(min=1, help="Of the last stage, at most")] = 23,
    learn_rate: Annotated[float, Option(help="The highest, of all stages")] = 0.00003,
    epochs: Annotated[int, Option(min=1, help="Of each stage, at most")] = 5,
    steps: Annotated[int, Option(help="Of each run, at most; 0: any")] = 0,
    seed: Annotated[int, Option(min=0)] = 0,
    precision: Annotated[Precision, Option(help="auto: bf16 where the processor has it")] = "fp32",
    engine: Annotated[str, Option(help="What picks labels: local or ray")] = "local",
    workers: Annotated[int, Option(min=1, help="Processes of the engine")] = 1,
    gpu_id: Annotated[int, Option(help="-1 for the CPU")] = -1,
) -> None:
    """Take an encoder through the stages."""
    paths = {"encoder": encoder, "entities": entities, "distant": distant}
    config = chain_config(
        base,
        {
            **{f"paths.{name}": str(path) for name, path in paths.items()},
            "paths.dev": dev or None,
            "coarse_to_fine.by_token": lang in UNSPACED,
            "coarse_to_fine.backbone": backbone,
            "coarse_to_fine.queries": queries or None,
            "coarse_to_fine.clusters": clusters,
            **{f"coarse_to_fine.{stage}.learn_rate": learn_rate for stage in STAGES},
            **{f"coarse_to_fine.{stage}.epochs": epochs for stage in STAGES},
            "pretraining.max_steps": steps,
            "pretraining.seed": seed,
            "pretraining.precision": precision_for(precision, choose_device(gpu_id)),
        },
    )

    def start(resume: bool) -> Outcome:
        return coarse_to_fine(
            config,
            folder,
            engine=make_engine(engine, workers=workers),
            resume=resume,
            cpu=gpu_id < 0,
            interactive=sys.stderr.isatty(),
        )

    run_anyhow(start, folder, out)


if __name__ == "__main__":
    run(main)
