"""``spacy hetner annotate``: distant labels from a dictionary."""

from pathlib import Path
from typing import Annotated, List, Optional

from typer import Argument, Option
from wasabi import msg

from ..corpora.distant import MATCHINGS, UNMATCHED, annotate
from ..corpora.free_text import LAYOUTS, TextLayout
from ..engine.make import make_engine
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


def annotate_cli(
    inputs: Annotated[
        List[Path], Argument(help="Texts (.xz, .bz2, .gz, .zip too), or Parquet files of records")
    ],
    output: Annotated[Path, Argument(help="Folder for the Parquet files of labelled sentences")],
    gazetteer: Annotated[
        Path, Option("--gazetteer", "-g", help="Folder made by `spacy hetner gazetteer build`")
    ],
    lang: Annotated[str, Option("--lang", "-l", help="Language: chooses the tokenizer")],
    layout: Annotated[
        str, Option("--layout", help=f"Texts: one of {', '.join(LAYOUTS)}")
    ] = "lines",
    key: Annotated[
        str, Option("--key", help="jsonl, json: the key that the texts stand under")
    ] = "",
    column: Annotated[
        int, Option("--column", help="lines: column between tabs, from 1; 0: all")
    ] = 0,
    sentences: Annotated[
        bool, Option("--sentences/--texts", help="Cut texts into sentences, or a record a text")
    ] = True,
    per_character: Annotated[
        bool, Option("--per-character", help="zh: Latin letters and digits one by one")
    ] = False,
    matching: Annotated[
        str,
        Option("--matching", help=f"{' or '.join(MATCHINGS)}: leftmost-longest, or every entry"),
    ] = "longest",
    unmatched: Annotated[
        str, Option("--unmatched", help=f"Tokens in no mention are {' or '.join(UNMATCHED)}")
    ] = "outside",
    matched_only: Annotated[
        bool, Option("--matched-only/--all", help="Leave out sentences without a mention")
    ] = True,
    non_entities: Annotated[
        float, Option("--non-entities", help="Sampled spans of no mention, for each mention")
    ] = 0.0,
    max_region: Annotated[int, Option("--max-region", help="Their greatest length in tokens")] = 10,
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
    Label free text with a dictionary: sentences, their mentions, and what was dropped and why. A
    job that was cut off goes on where it was; the result is the same on one machine and on many.
    """
    counts = annotate(
        inputs,
        output,
        gazetteer,
        make_engine(engine, workers=workers, address=address or None),
        lang=lang,
        per_character=per_character,
        layout=TextLayout(layout, key, column),
        sentences=sentences,
        strict=strict,
        resume=resume,
        matching=matching,
        unmatched=unmatched,
        matched_only=matched_only,
        non_entities=non_entities,
        max_region=max_region,
        seed=seed,
    )
    print(counts_table(counts, ("totals", "labels", "dropped", "places")))
    msg.good(f"Saved the labelled sentences to {output}")
    if report is not None:
        write_json(report, counts)
