"""``spacy hetner attention``: what a Classification Attention tagger looks at, as a heat map."""

from pathlib import Path
from typing import Annotated, Optional

from typer import Argument, Option
from wasabi import msg

from ..evaluation.evaluate import load_pipeline
from ..evaluation.heatmap import read_heat_map, save_heat_map


def attention_cli(
    model: Annotated[str, Argument(help="Pipeline: a folder or the name of an installed one")],
    text: Annotated[str, Argument(help="A sentence")],
    out: Annotated[Path, Option("--out", "-o", help="File to write: NAME.html or NAME.png")],
    component: Annotated[
        Optional[str], Option("--component", "-c", help="Default: the first that attends")
    ] = None,
) -> None:
    """
    Draw a heat map of a text: a row a class, a column a token with its predicted tag. The darker
    a cell, the more the class attends to the token.
    """
    save_heat_map(read_heat_map(load_pipeline(model), text, component), out)
    msg.good(f"Drew {out}")
