"""``spacy hetner gazetteer``: build a gazetteer, say what is in one, write its names as records."""

from pathlib import Path
from typing import Annotated, List, Optional

from typer import Argument, Option, Typer
from wasabi import msg

from ..corpora.mentions import AMBIGUOUS, write_mentions
from ..files import write_json
from ..gazetteers.build import build_gazetteer
from ..gazetteers.conflicts import CONFLICTS
from ..gazetteers.gazetteer import Gazetteer
from ..gazetteers.normalize import STEPS
from ..gazetteers.source import Source, parse_source, read_source_list
from ..gazetteers.statistics import GazetteerStatistics
from .job import SeedOption, StrictOption, counts_table

gazetteer_app = Typer(
    name="gazetteer", help="Dictionaries of names and their labels", no_args_is_help=True
)


@gazetteer_app.command("build")
def build_cli(
    out: Annotated[Path, Option("--out", "-o", help="Folder to write", file_okay=False)],
    dictionaries: Annotated[
        Optional[List[str]],
        Argument(
            metavar="[LABEL=]FILE...",
            help="Files or folders of lines, .csv, .tsv or .json; .xz, .bz2, .gz, .zip too",
        ),
    ] = None,
    label: Annotated[
        str, Option("--label", "-l", help="Label of files that are given without one")
    ] = "",
    sources: Annotated[
        Optional[Path],
        Option("--sources", "-s", help="JSON list of dictionaries, each with a layout of its own"),
    ] = None,
    text_column: Annotated[
        str, Option("--text-column", help="Number from 1, or name in the header; default: 1")
    ] = "",
    label_column: Annotated[str, Option("--label-column", help="Column of labels")] = "",
    frequency_column: Annotated[
        str, Option("--frequency-column", help="Column that says how often a name was seen")
    ] = "",
    separator: Annotated[
        str, Option("--separator", help="Between columns; default: a comma in .csv, else a tab")
    ] = "",
    header: Annotated[
        Optional[bool],
        Option("--header/--no-header", help="First row names the columns; default: in .csv"),
    ] = None,
    skip: Annotated[int, Option("--skip", help="Lines to leave out at the beginning")] = 0,
    encoding: Annotated[str, Option("--encoding", help="Encoding of the files")] = "utf-8",
    conflict: Annotated[
        str,
        Option("--conflict", "-c", help=f"Names with several labels: {', '.join(CONFLICTS)}"),
    ] = "all",
    priority: Annotated[
        Optional[List[str]],
        Option("--priority", "-p", help="Label that wins over later ones; may be repeated"),
    ] = None,
    normalize: Annotated[
        Optional[List[str]],
        Option("--normalize", "-n", help=f"One of {', '.join(STEPS)}; may be repeated"),
    ] = None,
    min_length: Annotated[int, Option("--min-length", help="Shortest name, in characters")] = 1,
    max_length: Annotated[int, Option("--max-length", help="Longest name; 0: no limit")] = 200,
    min_frequency: Annotated[
        float, Option("--min-frequency", help="Leave out names that were seen less often")
    ] = 0,
    strict: Annotated[
        bool, Option("--strict", help="Stop at the first thing that is no entry")
    ] = False,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the report", dir_okay=False)
    ] = None,
) -> None:
    """
    Build a gazetteer from dictionaries. What is no entry is counted by its cause and told at the
    end, with the place of the first.
    """
    found = [
        parse_source(
            dictionary,
            label,
            text_column=text_column,
            label_column=label_column,
            frequency_column=frequency_column,
            separator=separator,
            header=header,
            skip=skip,
            encoding=encoding,
        )
        for dictionary in dictionaries or []
    ]
    if sources is not None:
        found += read_source_list(sources)
    gazetteer, result = build_gazetteer(
        found,
        conflict=conflict,
        priority=priority or [],
        normalize=normalize or [],
        min_length=min_length,
        max_length=max_length,
        min_frequency=min_frequency,
        strict=strict,
        progress=True,
    )
    gazetteer.to_disk(out)
    print(result.to_text())
    msg.good(f"Saved {len(gazetteer):,} entries to {out}")
    if report is not None:
        write_json(report, result.to_dict())


@gazetteer_app.command("stats")
def stats_cli(
    folder: Annotated[Path, Argument(help="Folder of a gazetteer, as build wrote it")],
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the counts", dir_okay=False)
    ] = None,
) -> None:
    """Count a gazetteer's entries, labels, ambiguous names and lengths."""
    statistics = GazetteerStatistics.of(Gazetteer.from_disk(folder))
    print(statistics.to_text())
    if report is not None:
        write_json(report, statistics.to_dict())


@gazetteer_app.command("mentions")
def mentions_cli(
    gazetteer: Annotated[Path, Argument(help="Folder of a gazetteer, as build wrote it")],
    output: Annotated[
        Path, Argument(help="Folder for train.parquet and dev.parquet", file_okay=False)
    ],
    lang: Annotated[str, Option("--lang", "-l", help="Language: chooses the tokenizer")],
    common: Annotated[
        Optional[List[Path]],
        Option("--common", "-c", help="List of common words, or a folder; may be repeated"),
    ] = None,
    text_column: Annotated[
        str, Option("--text-column", help="Of the words: number from 1, or name; default: 1")
    ] = "",
    separator: Annotated[
        str, Option("--separator", help="Between columns; default: a comma in .csv, else a tab")
    ] = "",
    encoding: Annotated[str, Option("--encoding", help="Encoding of the words")] = "utf-8",
    per_character: Annotated[
        bool, Option("--per-character", help="zh: Latin letters and digits one by one")
    ] = False,
    ambiguous: Annotated[
        str, Option("--ambiguous", "-a", help=f"Names of several labels: {', '.join(AMBIGUOUS)}")
    ] = "drop",
    o_ratio: Annotated[
        float,
        Option("--o-ratio", help="So many times as many words as a label has names; 0: none"),
    ] = 1.0,
    dev: Annotated[
        float, Option("--dev", help="Share of the records for validation; 0: none")
    ] = 0.02,
    seed: SeedOption = 0,
    strict: StrictOption = False,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the counts", dir_okay=False)
    ] = None,
) -> None:
    """
    Write the names of a gazetteer as records, and common words that are none of them, to teach an
    encoder what names look like (spacy_hetner.MentionTyping.v1).
    """
    words = [
        Source(path, text_column=text_column, separator=separator, encoding=encoding)
        for path in common or []
    ]
    counts = write_mentions(
        gazetteer,
        output,
        words,
        lang=lang,
        per_character=per_character,
        ambiguous=ambiguous,
        o_ratio=o_ratio,
        dev=dev,
        seed=seed,
        strict=strict,
    )
    print(counts_table(counts, ("totals", "labels", "dropped", "places")))
    msg.good(f"Saved the mentions to {output}")
    if report is not None:
        write_json(report, counts)
