"""Make a pipeline of what a stage of pre-training left in an encoder folder, without training.

The folder's head says which component goes on with it: under queries ``hetner_mrc_tagger``, else
``hetner_tagger``. Behind it comes a resolver.
"""

from pathlib import Path
from typing import Annotated, Any, Dict

from _util import run
from corpora import ROOT
from make_config import Precision, fill_in, precision_for, precisions
from spacy.language import Language
from spacy.util import load_config, load_model_from_config
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.encoders.heads import TaughtHead, read_head
from spacy_hetner.files import replacing_folder

CONFIGS = {"query": "mrc_tagger.cfg", "tagger": "tagger.cfg"}
"""The config of the component for a head, by what the head is of."""


def taught_settings(taught: TaughtHead, encoder: Path) -> Dict[str, Any]:
    """What the config of a head's component needs, so that it says what the stage's model said.

    RETURNS (Dict[str, Any]): Dotted names and values, also for a config to train on from there.
    """
    if taught.record["backbone"] == "query":
        return {
            "components.tagger.queries": None,  # those that it was taught with
            "components.tagger.model.by_token": taught.record["by_token"],
        }
    return {
        "components.transformer.model.pooling": taught.record["pooling"],
        "components.transformer.model.by_token": taught.record["by_token"],
        "components.tok2vec.model.width": taught.weights["tags.weight"].shape[1],
        "components.tok2vec.model.standardized": False,
        "components.tagger.scheme": taught.record["scheme"],
        "components.tagger.legal_only": False,
        "components.tagger.model.crf": False,
        "initialize.components.tagger.head": str(encoder),
    }


def assemble(encoder: Path, lang: str, precision: str = "fp32") -> Language:
    """The pipeline of an encoder folder, as its head was taught.

    Raises ValueError for a folder without such a head (HE298), and as the components do.
    """
    taught = read_head(encoder, *CONFIGS)
    config = load_config(ROOT / "configs" / CONFIGS[taught.record["backbone"]], interpolate=False)
    values = {
        "paths.encoder": str(encoder),
        **precisions(config, precision),
        **taught_settings(taught, encoder),
    }
    if lang != config["nlp"]["lang"]:
        values |= {"nlp.lang": lang, "nlp.tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}
    fill_in(config, values)
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize()
    return nlp


def main(
    encoder: Annotated[Path, Argument(help="Encoder folder with a head", exists=True)],
    out: Annotated[Path, Argument(help="Folder for the pipeline")],
    lang: Annotated[str, Option(help="Language of the texts")],
    precision: Annotated[Precision, Option(help="auto: bf16 where the processor has it")] = "fp32",
) -> None:
    """Make a pipeline of an encoder folder and its head."""
    nlp = assemble(encoder, lang, precision_for(precision))
    with replacing_folder(out) as folder:
        nlp.to_disk(folder)
    labels = ", ".join(nlp.pipe_labels["tagger"])
    msg.good(f"Wrote {out}, a pipeline for {labels} ({', '.join(nlp.pipe_names)})")


if __name__ == "__main__":
    run(main)
