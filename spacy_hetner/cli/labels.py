"""``spacy hetner labels``: the labels of one corpus or of several, as a file for training."""

import json
from pathlib import Path
from typing import Annotated, List

from typer import Argument, Option
from wasabi import msg, table

from ..corpora.stored_labels import count_stored_labels
from ..files import replacing


def labels_cli(
    stores: Annotated[
        List[Path], Argument(help="Annotated data: .parquet or .spacy files, or folders of them")
    ],
    output: Annotated[
        Path, Option("--output", "-o", help="JSON file for the list of labels", dir_okay=False)
    ],
    spans_key: Annotated[
        str, Option("--spans-key", "-sk", help="Group of labelled spans in .spacy files")
    ] = "entities",
) -> None:
    """
    Write all labels of some corpora as a list that a config can name, in
    [initialize.components.NAME.labels] with the reader spacy.read_labels.v1. So a pipeline can be
    trained on one corpus with the labels of another one too, and then go on with that.
    """
    counts = count_stored_labels(stores, spans_key=spans_key)
    with replacing(output) as partial:
        text = json.dumps(list(counts), indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf8", newline="\n")
    print(table([(label, f"{count:,}") for label, count in counts.items()], aligns=("l", "r")))
    msg.good(f"Saved {len(counts)} labels to {output}")
