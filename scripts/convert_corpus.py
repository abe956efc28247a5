"""Convert the parts of a corpus as ``spacy hetner convert`` does, with the options of each."""

from pathlib import Path
from typing import Annotated

from _util import run
from corpora import get_corpus
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.corpora.convert import convert


def main(
    corpus: Annotated[str, Argument(help="Name of a corpus, see corpora.py")],
    data: Annotated[Path, Argument(help="Folder with its files, laid out as a mirror")],
    out: Annotated[Path, Argument(help="Folder for train.parquet, dev.parquet, test.parquet")],
    limit: Annotated[int, Option(help="Draw so many sentences of each part; 0: all")] = 0,
    seed: Annotated[int, Option(help="Seed of the draw")] = 0,
) -> None:
    """Convert all parts of a corpus."""
    chosen = get_corpus(corpus)
    for name, split in chosen.splits.items():
        msg.divider(f"{corpus} {name}")
        report = convert(
            [data / source.path for source in split.sources],
            out / f"{name}.parquet",
            format=split.format,
            lang=chosen.lang,
            limit=limit,
            seed=seed,
            **split.options,
        )
        print(report.to_text())


if __name__ == "__main__":
    run(main)
