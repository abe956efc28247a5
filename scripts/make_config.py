"""Fill in a training config: corpus, encoder, and a schedule as long as the training."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Dict, Literal

import pyarrow.parquet
import torch
from _util import run
from corpora import Corpus, get_corpus
from spacy.util import load_config
from thinc.api import Config
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.encoders.folder import check_encoder_folder
from spacy_hetner.encoders.module import supports_bf16
from spacy_hetner.files import replacing

Precision = Literal["fp32", "bf16", "auto"]

WARMUP = 0.1
"""Share of the steps in which the learning rate rises."""


def precision_for(wanted: Precision, device: str = "cpu") -> str:
    """The precision to compute in; "auto" is bf16 where that is faster than fp32."""
    if wanted != "auto":
        return wanted
    return "bf16" if supports_bf16(torch.device(device)) else "fp32"


def precisions(config: Config, precision: str) -> Dict[str, str]:
    """The precision of all encoders that a config has, each of a component, by dotted names."""
    return {
        f"components.{name}.model.precision": precision
        for name, component in config["components"].items()
        if "precision" in component.get("model", {})
    }


def fill_config(
    config: Config, corpus: Corpus, folder: Path, encoder: Path, epochs: int, **settings: Any
) -> Config:
    """The config with a corpus's own settings, its files, the encoder and the length of training.

    Settings of components that the config does not have are left out.

    folder (Path): Holds train.parquet and dev.parquet.
    encoder (Path): An encoder folder.
    epochs (int): Passes over the training data, with an evaluation after each.
    settings: Dotted names and values that come on top.

    Raises ValueError for a folder that is no encoder (HE020-HE023).
    """
    hidden = json.loads((check_encoder_folder(encoder) / "config.json").read_text(encoding="utf8"))
    sentences = pyarrow.parquet.read_metadata(folder / "train.parquet").num_rows
    epoch = math.ceil(sentences / config["training"]["batcher"]["size"])
    steps = epochs * epoch
    values: Dict[str, Any] = {}
    if corpus.lang != config["nlp"]["lang"]:
        # The tokenizer of a config is for its own language, and goes with all its settings.
        values["nlp.tokenizer"] = {"@tokenizers": "spacy.Tokenizer.v1"}
    values |= {
        "nlp.lang": corpus.lang,
        "paths.encoder": str(encoder),
        "paths.train": str(folder / "train.parquet"),
        "paths.dev": str(folder / "dev.parquet"),
        # spaCy scores at multiples of eval_frequency: so the last step is scored too.
        "training.max_epochs": 0,
        "training.max_steps": steps,
        "training.eval_frequency": epoch,
        "training.optimizer.learn_rate.total_steps": steps,
        "training.optimizer.learn_rate.warmup_steps": max(1, round(WARMUP * steps)),
        **corpus.settings,
        **settings,
    }
    if "transformer" in config["components"]:
        values["components.tok2vec.model.width"] = hidden["hidden_size"]
    filled = config.copy()
    fill_in(filled, applicable(config, values))
    return filled


def applicable(config: Config, values: Dict[str, Any]) -> Dict[str, Any]:
    """Those of the settings that are of no component, or of one that the config has."""
    known = [("components", name) for name in config["components"]]
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("components.") or tuple(name.split(".")[:2]) in known
    }


def fill_in(config: Config, values: Dict[str, Any]) -> None:
    """Set values by their dotted names, in sections that are made where they are missing."""
    for name, value in values.items():
        *sections, last = name.split(".")
        node: Any = config
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value


def main(
    base: Annotated[Path, Argument(help="The config to fill in", exists=True)],
    corpus: Annotated[str, Argument(help="Name of a corpus, see corpora.py")],
    folder: Annotated[Path, Argument(help="Its train.parquet and dev.parquet", exists=True)],
    encoder: Annotated[Path, Argument(help="Encoder folder")],
    out: Annotated[Path, Argument(help="Config to write")],
    epochs: Annotated[int, Option(min=1, help="Passes over the training data")] = 5,
    seed: Annotated[int, Option(min=0)] = 0,
    precision: Annotated[Precision, Option(help="auto: bf16 where the processor has it")] = "fp32",
) -> None:
    """Fill in a training config."""
    chosen = precision_for(precision)
    template = load_config(base, interpolate=False)
    config = fill_config(
        template,
        get_corpus(corpus),
        folder,
        encoder,
        epochs,
        **{"system.seed": seed, **precisions(template, chosen)},
    )
    with replacing(out) as partial:
        partial.write_text(config.to_str(interpolate=False), encoding="utf8")
    steps = config["training"]["max_steps"]
    msg.good(f"Wrote {out}: {epochs} epochs, {steps} steps, {chosen}")


if __name__ == "__main__":
    run(main)
