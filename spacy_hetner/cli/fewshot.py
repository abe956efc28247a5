"""``spacy hetner fewshot``: how well a config does with few sentences, as a table and a curve."""

from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List, Optional

from spacy.cli._util import import_code, parse_config_overrides
from spacy.util import load_config
from typer import Argument, Context, Option
from wasabi import msg

from ..corpora.records import SPANS_KEY
from ..errors import Errors
from ..evaluation.curves import SUFFIXES, save_curves, save_table, summarize, to_markdown
from ..evaluation.fewshot import PERCENTS, FewShot
from ..files import write_json

RUNS = "runs.json"
"""All runs of one command, each with the name of what it started from."""


def fewshot_cli(
    ctx: Context,
    config_path: Annotated[
        Path, Argument(help="Config of spacy train", exists=True, dir_okay=False)
    ],
    train: Annotated[Path, Option("--train", help="Store to draw samples from", exists=True)],
    dev: Annotated[Path, Option("--dev", help="Store to choose the best step by", exists=True)],
    test: Annotated[
        Path, Option("--test", help="File to score on: .parquet or .spacy", exists=True)
    ],
    output: Annotated[Path, Option("--output", "-o", help="Folder of rows, table and curve")],
    percents: Annotated[
        Optional[str],
        Option(
            "--percent",
            help="Shares of the training sentences, with commas between; default, where no counts "
            f"are given: {','.join(map(str, PERCENTS))}",
        ),
    ] = None,
    counts: Annotated[
        Optional[str], Option("--count", help="Numbers of sentences, with commas between")
    ] = None,
    seeds: Annotated[
        str, Option("--seeds", help="Of samples and training, with commas between")
    ] = "0,1,2",
    encoders: Annotated[
        Optional[List[str]],
        Option(
            "--encoder",
            "-e",
            help="NAME=FOLDER for the config's paths.encoder; may be repeated, to compare",
        ),
    ] = None,
    sources: Annotated[
        Optional[List[str]],
        Option(
            "--source",
            help="NAME=PIPELINE for the config's paths.source; may be repeated, to compare",
        ),
    ] = None,
    spans_key: Annotated[
        str, Option("--spans-key", "-sk", help="Group of labelled spans to score")
    ] = SPANS_KEY,
    code: Annotated[
        Optional[Path], Option("--code", "-c", help="Python file with registered functions")
    ] = None,
    gpu_id: Annotated[int, Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """
    Train a config on nested samples of several sizes and score each on the test set: strict F, P
    and R, mean and standard deviation over the seeds. Values of the config are replaced as in
    `spacy train`: `--training.max_steps 500`. Rows that are there already are kept, so the same
    command goes on where it was cut off.
    """
    overrides = parse_config_overrides(ctx.args)
    import_code(code)
    plan = FewShot(
        load_config(config_path, overrides, interpolate=False),
        train,
        dev,
        test,
        encoders=_named_folders("--encoder", encoders or []),
        sources=_named_folders("--source", sources or []),
        spans_key=spans_key,
        gpu_id=gpu_id,
        code=code,
    )
    if percents is None and counts is None:
        percents = ",".join(map(str, PERCENTS))
    rows = plan.run(
        output,
        percents=_numbers("--percent", percents, float),
        counts=_numbers("--count", counts, int),
        seeds=_numbers("--seeds", seeds, int),
        tell=msg.text,
    )
    write_json(output / RUNS, {"runs": rows})
    points = summarize(rows)
    save_table(points, output / "table.md")
    print(f"\n{to_markdown(points)}")
    for suffix in SUFFIXES:
        save_curves(points, output / f"curve{suffix}")
    msg.good(f"Saved {len(rows)} rows, their table and curve to {output}")


def _numbers(option: str, text: Optional[str], kind: Callable[[str], Any]) -> List[Any]:
    """Those of an option, at least one; none of an option that was not given."""
    if text is None:
        return []
    expected = "numbers with commas between, such as 10,25,40"
    told = Errors.HE222.format(option=option, expected=expected, value=text)
    try:
        numbers = [kind(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(told) from error
    if not numbers:
        raise ValueError(told)
    return numbers


def _named_folders(option: str, pairs: List[str]) -> Dict[str, Path]:
    named: Dict[str, Path] = {}
    for pair in pairs:
        name, _, folder = pair.rpartition("=")
        name = name or Path(folder).name
        if name in named:
            expected = "a name of its own each time, as NAME=FOLDER"
            raise ValueError(Errors.HE222.format(option=option, expected=expected, value=pair))
        named[name] = Path(folder)
    return named
