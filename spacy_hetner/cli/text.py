"""``spacy hetner text``: raw texts to a store of records to pre-train on."""

from pathlib import Path
from typing import Annotated, List, Optional

from typer import Argument, Option
from wasabi import msg, table

from ..corpora.text_store import collect_texts
from ..engine.make import make_engine
from ..engine.task import Counts
from ..files import write_json
from .job import (
    AddressOption,
    EngineOption,
    ResumeOption,
    SeedOption,
    StrictOption,
    WorkersOption,
    counts_table,
)


def text_cli(
    sources: Annotated[
        List[str],
        Argument(
            help="PATH (a text a line, or Parquet files of records), PATH:KEY (JSON), PATH:COLUMN; "
            "files or folders, .xz, .bz2, .gz, .zip too"
        ),
    ],
    output: Annotated[Path, Argument(help="Folder for the parts train and dev")],
    lang: Annotated[str, Option("--lang", "-l", help="Language: chooses the tokenizer")],
    per_character: Annotated[
        bool, Option("--per-character", help="zh: Latin letters and digits one by one")
    ] = False,
    sentences: Annotated[
        bool, Option("--sentences/--texts", help="Cut texts into sentences, or a record a text")
    ] = False,
    exclude: Annotated[
        Optional[List[str]],
        Option("--exclude", "-x", help="Test set, named as a source is; may be repeated"),
    ] = None,
    overlap: Annotated[
        int, Option("--overlap", help="Characters in a row that no text may share with a test set")
    ] = 20,
    dev: Annotated[
        float, Option("--dev", help="Share of the texts for validation; 0: none")
    ] = 0.01,
    seed: SeedOption = 0,
    engine: EngineOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = "",
    resume: ResumeOption = True,
    strict: StrictOption = False,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the counts", dir_okay=False)
    ] = None,
) -> None:
    """
    Collect raw texts to pre-train on: each text once, and none that a test set has. A job that was
    cut off goes on where it was; the result is the same on one machine and on many.
    """
    counts = collect_texts(
        sources,
        output,
        make_engine(engine, workers=workers, address=address or None),
        lang=lang,
        per_character=per_character,
        sentences=sentences,
        exclude=exclude or (),
        overlap=overlap,
        dev=dev,
        seed=seed,
        strict=strict,
        resume=resume,
    )
    print(sources_table(counts))
    print(counts_table(counts, ("totals", "dropped", "places")))
    msg.good(f"Saved the records to {output}")
    if report is not None:
        write_json(report, counts)


def sources_table(counts: Counts) -> str:
    """What was read and kept of each source, as a table."""
    columns = ("texts read", "texts kept", "characters read", "characters kept")
    rows = [
        (source, *(f"{counts[column][source]:,}" for column in columns))
        for source in counts[columns[0]]
    ]
    return table(rows, header=("", *columns), aligns=("l", "r", "r", "r", "r"))
