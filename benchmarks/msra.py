"""Convert the public copies of MSRA to ``corpus/msra``, as the other corpora are by the project.

    python benchmarks/msra.py --data MIRROR --corpus corpus

One file (SophonPlus/ChineseNlpCorpus) has the training part and after it the test part, in
sentences that were cut at 100 characters. The training part is taken, but for 2,000 sentences that
are drawn for dev. The test part is a copy in whole sentences (v-mipeng/LexiconAugmentedNER).
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Iterable, List

import typer

from spacy_hetner.corpora.convert import convert
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.sample import nested_order
from spacy_hetner.corpora.stores import read_parquet, write_parquet

BOTH_PARTS, TEST = "msra/dh_msra.zip", "msra/test.char.bmes"
TRAIN_SENTENCES, DEV_SENTENCES = 50_658, 2_000
LABELS = {"NS": "LOC", "NT": "ORG", "NR": "PER"}


def read_records(path: Path, prefix: str, **options: Any) -> List[Record]:
    """The sentences of a file of columns, named by their places."""
    with TemporaryDirectory() as folder:
        store = Path(folder) / "all.parquet"
        convert([path], store, format="columns", lang="zh", **options)
        return [
            replace(record, id=f"{prefix}-{number}")
            for number, record in enumerate(read_parquet(store))
        ]


def main(
    data: Annotated[Path, typer.Option(exists=True, help="Local mirror of the public data")],
    corpus: Annotated[Path, typer.Option(help="Folder of the converted corpora")],
) -> None:
    """Write train.parquet, dev.parquet and test.parquet."""
    records = read_records(data / BOTH_PARTS, "msra-train", scheme="BIO", separator="tab")
    records = records[:TRAIN_SENTENCES]
    order = nested_order((record.id for record in records), seed=0)
    drawn = set(order[:DEV_SENTENCES].tolist())
    test = read_records(data / TEST, "msra-test", scheme="BMES", separator="space")

    def write(part: str, chosen: Iterable[Record]) -> None:
        count = write_parquet(chosen, corpus / "msra" / f"{part}.parquet")
        typer.echo(f"{part}: {count:,} sentences")

    write("train", (record for i, record in enumerate(records) if i not in drawn))
    write("dev", (record for i, record in enumerate(records) if i in drawn))
    write("test", map(rename_labels, test))


def rename_labels(record: Record) -> Record:
    """With the labels of the training part."""
    return replace(record, spans=[span._replace(label=LABELS[span.label]) for span in record.spans])


if __name__ == "__main__":
    typer.run(main)
