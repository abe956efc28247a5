"""``spacy hetner project-entities``: gold entities as encoders see them, on a map."""

from pathlib import Path
from typing import Annotated, List, Optional

from typer import Argument, Option
from wasabi import msg

from ..corpora.records import SPANS_KEY
from ..evaluation.projection import METHODS, check_picture, project_entities, save_entity_map
from ..files import write_json
from .job import SeedOption


def project_entities_cli(
    stores: Annotated[
        List[Path], Argument(help="Annotated data: .spacy or .parquet files, or folders of them")
    ],
    encoders: Annotated[
        List[Path], Option("--encoder", "-e", help="Encoder folder; may be repeated, to compare")
    ],
    output: Annotated[Path, Option("--output", "-o", help="File to write: NAME.svg or NAME.png")],
    method: Annotated[
        str, Option("--method", "-m", help=f"To two dimensions by one of: {', '.join(METHODS)}")
    ] = "tsne",
    per_label: Annotated[
        int, Option("--per-label", "-n", help="Draw so many entities of each label at most")
    ] = 200,
    labels: Annotated[
        str, Option("--labels", "-l", help="Show these only, with commas between; default: all")
    ] = "",
    by_token: Annotated[
        bool, Option("--by-token", help="Tokenise each token on its own, as the config says")
    ] = False,
    seed: SeedOption = 0,
    spans_key: Annotated[
        str, Option("--spans-key", "-sk", help=".spacy: group of labelled spans")
    ] = SPANS_KEY,
    json: Annotated[
        Optional[Path],
        Option("--json", "-j", help="JSON file for points and silhouettes", dir_okay=False),
    ] = None,
) -> None:
    """
    Draw a map of gold entities: the vectors of their first tokens, a panel an encoder. Each has
    its silhouette, of the vectors themselves: from -1 to 1, the higher the better the labels are
    kept apart.
    """
    check_picture(output)
    found = project_entities(
        stores,
        encoders,
        method=method,
        per_label=per_label,
        labels=[label.strip() for label in labels.split(",") if label.strip()],
        by_token=by_token,
        seed=seed,
        spans_key=spans_key,
    )
    msg.info(f"{len(found.labels):,} entities of {len(set(found.labels)):,} labels")
    rows = [(panel.encoder, f"{panel.silhouette:.3f}") for panel in found.panels]
    msg.table(rows, header=("Encoder", "Silhouette"), divider=True, max_col=80, aligns=("l", "r"))
    save_entity_map(found, output)
    msg.good(f"Drew {output}")
    if json is not None:
        write_json(json, found.to_dict())
