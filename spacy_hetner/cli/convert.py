"""``spacy hetner convert``: corpus files of any known format into one store of records."""

from pathlib import Path
from typing import Annotated, Any, List, Optional

from typer import Argument, Option
from wasabi import msg

from ..corpora.convert import convert
from ..corpora.readers import FORMATS
from ..files import write_json
from ..labels.codecs import DECODINGS, SCHEMES

_FORMATS = ", ".join(FORMATS)
_TOKENS = "Formats with columns: "
_TEXTS = "Formats with text: "


def convert_cli(
    inputs: Annotated[
        List[Path], Argument(help="Corpus files, or folders of them; .xz, .bz2, .gz, .zip too")
    ],
    output: Annotated[Path, Argument(help="File to write: NAME.parquet or NAME.spacy (DocBin)")],
    format: Annotated[str, Option("--format", "-f", help=f"One of: {_FORMATS}")],
    lang: Annotated[
        Optional[str],
        Option("--lang", "-l", help="Language: chooses the tokenizer, and blanks between tokens"),
    ] = None,
    spaces: Annotated[
        Optional[bool],
        Option(
            "--spaces/--no-spaces",
            help="Formats with columns or tokens: blanks between them; default: by the language",
        ),
    ] = None,
    scheme: Annotated[
        Optional[str], Option("--scheme", help=f"{_TOKENS}{', '.join(SCHEMES)}; default: BIO")
    ] = None,
    decoding: Annotated[
        Optional[str],
        Option("--decoding", help=f"{_TOKENS}{' or '.join(DECODINGS)}; strict drops bad tags"),
    ] = None,
    separator: Annotated[
        Optional[str],
        Option("--separator", help=f"{_TOKENS}tab, space or any text; default: found out"),
    ] = None,
    token_column: Annotated[
        Optional[int], Option("--token-column", help="columns: counted from 1; default: 1")
    ] = None,
    tag_column: Annotated[
        Optional[int], Option("--tag-column", help="columns: counted from 1; default: -1, the last")
    ] = None,
    strip_token_digit: Annotated[
        bool, Option("--strip-token-digit", help="columns: take the last digit off tokens (Weibo)")
    ] = False,
    unknown: Annotated[
        Optional[str], Option("--unknown", help="columns: tag of tokens of which nothing is known")
    ] = None,
    comments: Annotated[
        Optional[List[str]],
        Option("--comment", help=f"{_TOKENS}leave out lines that begin so; may be repeated"),
    ] = None,
    unit: Annotated[
        Optional[str], Option("--unit", help="brat: a record a document (default) or a line")
    ] = None,
    discontinuous: Annotated[
        Optional[str],
        Option("--discontinuous", help="brat: drop spans in pieces (default), or take the hull"),
    ] = None,
    outside: Annotated[
        Optional[str], Option("--outside", help="chunk_lines: label of what is no entity")
    ] = None,
    per_character: Annotated[
        bool, Option("--per-character", help=f"{_TEXTS}zh: Latin letters and digits one by one")
    ] = False,
    encoding: Annotated[
        Optional[str], Option("--encoding", help="Encoding of the input; default: utf-8")
    ] = None,
    limit: Annotated[
        int, Option("--limit", "-n", help="Draw so many sentences at random; 0: all")
    ] = 0,
    seed: Annotated[int, Option("--seed", "-s", help="Seed of the draw")] = 0,
    strict: Annotated[
        bool, Option("--strict", help="Stop at the first thing that cannot be represented")
    ] = False,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the report", dir_okay=False)
    ] = None,
) -> None:
    """
    Convert annotated corpora to Parquet or DocBin. All entities are kept, nested ones too; what
    cannot be represented is counted by its cause and told at the end.
    """
    options: Any = {
        "scheme": scheme,
        "decoding": decoding,
        "separator": separator,
        "token_column": token_column,
        "tag_column": tag_column,
        "strip_token_digit": strip_token_digit or None,
        "unknown": unknown,
        "comments": comments or None,
        "unit": unit,
        "discontinuous": discontinuous,
        "outside": outside,
        "per_character": per_character or None,
        "encoding": encoding,
    }
    result = convert(
        inputs,
        output,
        format=format,
        lang=lang,
        spaces=spaces,
        limit=limit,
        seed=seed,
        strict=strict,
        **{name: value for name, value in options.items() if value is not None},
    )
    print(result.to_text())
    msg.good(f"Saved {result.sentences:,} sentences to {output}")
    if report is not None:
        write_json(report, result.to_dict())
