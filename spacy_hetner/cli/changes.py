"""``spacy hetner changes``: what changed in the labels of a corpus."""

from pathlib import Path
from typing import Annotated, Optional

from typer import Argument, Option
from wasabi import msg

from ..corpora.changes import compare_stores, write_changes
from ..files import replacing, write_json
from .job import SeedOption


def changes_cli(
    old: Annotated[
        Path, Argument(help="Parquet store of records: a file or a folder", exists=True)
    ],
    new: Annotated[Path, Argument(help="One of the same records, in the same order", exists=True)],
    output: Annotated[
        Optional[Path], Option("--output", "-o", help="Markdown file for what is told")
    ] = None,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the same", dir_okay=False)
    ] = None,
    examples: Annotated[
        int, Option("--examples", "-n", help="So many of each kind of change and label", min=0)
    ] = 5,
    seed: SeedOption = 0,
) -> None:
    """
    Tell what changed in the labels of the same sentences, from one store to the next: spans that
    were added, dropped or given another label, by label, with examples.
    """
    changes = compare_stores([old], [new], examples=examples, seed=seed)
    told = write_changes(changes)
    print(told)
    if output is not None:
        with replacing(output) as partial:
            partial.write_text(told, encoding="utf8", newline="\n")
        msg.good(f"Saved the changes to {output}")
    if report is not None:
        write_json(report, changes)
