"""``spacy hetner annotate``: distant labels from a dictionary, or nouns as entities."""

from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Sequence

from typer import Argument, Context, Option
from wasabi import msg

from ..candidates.entities import ENTITY, NounEntities
from ..candidates.segmenters import SEGMENTERS
from ..corpora.distant import CONFLICTS, MATCHINGS, UNMATCHED, annotate, label_texts
from ..corpora.free_text import LAYOUTS, TextLayout
from ..engine.make import make_engine
from ..errors import Errors
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

OF_GAZETTEERS = (
    *("matching", "conflict", "unmatched", "matched_only"),
    *("non_entities", "max_region", "seed"),
)
OF_NOUNS = ("max_words", "min_chars", "min_nouns", "max_tokens", "segmenter")


def annotate_cli(
    context: Context,
    inputs: Annotated[
        List[Path], Argument(help="Texts (.xz, .bz2, .gz, .zip too), or Parquet files of records")
    ],
    output: Annotated[Path, Argument(help="Folder for the Parquet files of labelled sentences")],
    lang: Annotated[str, Option("--lang", "-l", help="Language: chooses the tokenizer")],
    gazetteer: Annotated[
        Optional[Path],
        Option("--gazetteer", "-g", help="Folder made by `spacy hetner gazetteer build`"),
    ] = None,
    nouns: Annotated[
        str,
        Option("--nouns", help=f"No gazetteer: nouns as {ENTITY}; one of {', '.join(SEGMENTERS)}"),
    ] = "",
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
        Option(
            "--matching",
            help=f"{', '.join(MATCHINGS)}: leftmost-longest; every entry; entries among the spans "
            "that records have",
        ),
    ] = "longest",
    conflict: Annotated[
        str, Option("--conflict", help=f"{' or '.join(CONFLICTS)} labels of a name, by priority")
    ] = "all",
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
    max_words: Annotated[int, Option("--max-words", help="Nouns: runs of so many, too")] = 1,
    min_chars: Annotated[int, Option("--min-chars", help="Nouns: the shortest")] = 2,
    min_nouns: Annotated[int, Option("--min-nouns", help="Nouns: fewest of a sentence")] = 1,
    max_tokens: Annotated[
        int, Option("--max-tokens", help="Nouns: longest sentence; 0: any length")
    ] = 250,
    segmenter: Annotated[str, Option("--segmenter", help="Nouns: a model other than its own")] = "",
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
    Label free text with a dictionary, or its nouns: sentences, their mentions, and what was dropped
    and why. A job that was cut off goes on where it was; the result is the same on one machine and
    on many.
    """
    reading: Dict[str, Any] = {
        "engine": make_engine(engine, workers=workers, address=address or None),
        "lang": lang,
        "per_character": per_character,
        "layout": TextLayout(layout, key, column),
        "sentences": sentences,
        "strict": strict,
        "resume": resume,
    }
    if (gazetteer is None) == (not nouns):
        raise ValueError(Errors.HE300.format(found="both are" if nouns else "none is"))
    if gazetteer is None:
        _refuse(context, OF_GAZETTEERS, "with --nouns", "with a gazetteer: --gazetteer FOLDER")
        labeller = NounEntities(
            nouns,
            max_words=max_words,
            min_chars=min_chars,
            model=segmenter,
            min_nouns=min_nouns,
            max_tokens=max_tokens,
        )
        counts = label_texts(inputs, output, labeller, **reading)
    else:
        _refuse(context, OF_NOUNS, "with --gazetteer", "nouns: --nouns lac")
        counts = annotate(
            inputs,
            output,
            gazetteer,
            matching=matching,
            conflict=conflict,
            unmatched=unmatched,
            matched_only=matched_only,
            non_entities=non_entities,
            max_region=max_region,
            seed=seed,
            **reading,
        )
    print(counts_table(counts, ("totals", "labels", "dropped", "places")))
    msg.good(f"Saved the labelled sentences to {output}")
    if report is not None:
        write_json(report, counts)


def _refuse(context: Context, names: Sequence[str], here: str, instead: str) -> None:
    """RAISES (ValueError): HE302 where the command was given any of some options."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [
        "--" + name.replace("_", "-")
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        raise ValueError(Errors.HE302.format(options=", ".join(given), here=here, instead=instead))
