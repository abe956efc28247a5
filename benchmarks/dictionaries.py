"""What dictionaries alone recognise: coverage, agreement and scores of plain matching.

    python benchmarks/dictionaries.py --data MIRROR

The dictionaries and corpora are public (the mirror's README says where from); a row a corpus goes
to benchmarks/results/dictionaries/.
"""

import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any, Dict, List, NamedTuple

import typer

from spacy_hetner.corpora.distant import DistantLabels, label_records
from spacy_hetner.corpora.readers import read_records
from spacy_hetner.corpora.records import Ledger, Record
from spacy_hetner.evaluation.agreement import TOTAL, compare_labels
from spacy_hetner.files import write_json
from spacy_hetner.gazetteers.build import build_gazetteer
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.source import Source
from spacy_hetner.types import LabelledSpan

RESULTS = Path(__file__).resolve().parent / "results" / "dictionaries"
WAINSHINE = {"skip": 3}  # two lines about the file and a blank one

NAMES = [
    ("PER", "zh_names/Ancient_Names_Corpus_25W.txt.xz", WAINSHINE),
    ("PER", "thuocl/THUOCL_lishimingren.txt", {"frequency_column": 2}),
    ("GPE", "thuocl/THUOCL_diming.txt", {"frequency_column": 2}),
    ("GPE", "zh_divisions/provinces.csv", {"text_column": "name"}),
    ("GPE", "zh_divisions/cities.csv", {"text_column": "name"}),
    ("GPE", "zh_divisions/areas.csv", {"text_column": "name"}),
    ("ORG", "zh_companies/Company-Shorter-Form_28W.txt.xz", WAINSHINE),
]
GOODS = [
    *(("HP", f"ecommerce/brand{number}.dic", {}) for number in range(1, 5)),
    *(("HC", f"ecommerce/product{number}.dic", {}) for number in range(1, 4)),
]
ENGLISH = [
    ("PER", "lexiconner/dictionary/person.txt", {}),
    ("ORG", "lexiconner/dictionary/organization.txt", {}),
    ("LOC", "lexiconner/dictionary/location.txt", {}),
    ("OTHER", "lexiconner/dictionary/misc.txt", {}),
    ("LOC", "world_cities/world-cities.csv", {"text_column": "name"}),
    ("PER", "smashew_names/first_names_all.txt", {}),
    ("ORG", "sp500/constituents.csv", {"text_column": "Security"}),
]


class Setup(NamedTuple):
    """A corpus, the dictionaries for it, and what its labels are called in them."""

    inputs: List[str]
    options: Dict[str, Any]
    dictionaries: List[Any]
    labels: Dict[str, str]
    min_length: int = 2


def _identity(*labels: str) -> Dict[str, str]:
    return {label: label for label in labels}


SETUPS = {
    # Names only: a dictionary says nothing of nominal mentions.
    "weibo": Setup(
        [f"weibo/weiboNER_2nd_conll.{split}" for split in ("train", "dev", "test")],
        {"format": "columns", "strip_token_digit": True},
        NAMES,
        {f"{label}.NAM": label for label in ("PER", "ORG", "LOC", "GPE")},
    ),
    "msra": Setup(
        ["msra/dh_msra.zip"], {"format": "columns"}, NAMES, _identity("PER", "ORG", "LOC")
    ),
    "ecommerce": Setup(
        ["ecommerce/test.txt.bieos"],
        {"format": "columns", "scheme": "BIOES", "separator": "tab"},
        GOODS,
        _identity("HP", "HC"),
        min_length=1,
    ),
    "twitter2015": Setup(
        ["twitter2015/test.txt"],
        {"format": "columns"},
        ENGLISH,
        _identity("PER", "ORG", "LOC", "OTHER"),
    ),
}


def build(setup: Setup, data: Path) -> Gazetteer:
    """The gazetteer of a corpus. Its labels are the corpus's: MSRA calls every place LOC."""
    known = set(setup.labels.values())
    sources = [
        Source(data / "gazetteers" / path, label=label if label in known else "LOC", **layout)
        for label, path, layout in setup.dictionaries
    ]
    return build_gazetteer(sources, conflict="first", min_length=setup.min_length)[0]


def measure(records: List[Record], gold: List[List[LabelledSpan]], gazetteer: Gazetteer) -> Any:
    """Coverage and agreement of leftmost-longest matching, and its strict scores."""
    settings = DistantLabels("", matched_only=False)
    counts: Any = defaultdict(Counter)
    start = time.process_time()
    found = [record.spans for record in label_records(records, gazetteer, settings, counts)]
    seconds = time.process_time() - start
    pairs = list(zip(gold, found, strict=True))
    right = sum(len(set(one) & set(other)) for one, other in pairs)
    predicted, total = sum(map(len, found)), sum(map(len, gold))
    precision, recall = right / max(predicted, 1), right / max(total, 1)
    return {
        "coverage": {
            name: {**rates._asdict(), "coverage": rates.coverage, "agreement": rates.agreement}
            for name, rates in compare_labels(pairs).items()
        },
        "p": precision,
        "r": recall,
        "f": 2 * precision * recall / max(precision + recall, 1e-9),
        "cpu_s": round(seconds, 2),
    }


def main(
    data: Annotated[Path, typer.Option(exists=True, help="Local mirror of the public data")],
    results: Annotated[Path, typer.Option(help="Folder for the rows")] = RESULTS,
) -> None:
    """Match the dictionaries in each corpus, print, and write one JSON row a corpus."""
    for name, setup in SETUPS.items():
        inputs = [data / path for path in setup.inputs]
        records = list(read_records(inputs, Ledger(), **setup.options))
        if setup.dictionaries is not ENGLISH:
            records = [Record(r.tokens, r.spans, [False] * len(r.tokens), r.id) for r in records]
        gold = [
            [
                LabelledSpan(s, e, setup.labels[label])
                for s, e, label in r.spans
                if label in setup.labels
            ]
            for r in records
        ]
        gazetteer = build(setup, data)
        row = {
            "data": name,
            "sentences": len(records),
            "entries": len(gazetteer),
            "dictionaries": [path for _, path, _ in setup.dictionaries],
            **measure(records, gold, gazetteer),
        }
        write_json(results / f"{name}.json", row)
        rates = row["coverage"][TOTAL]
        typer.echo(
            f"{name}: {len(gazetteer):,} entries, {rates['gold']:,} mentions, "
            f"coverage {rates['coverage']:.3f}, agreement {rates['agreement']:.3f}, "
            f"P {row['p']:.3f} R {row['r']:.3f} F {row['f']:.3f}, {row['cpu_s']} s"
        )


if __name__ == "__main__":
    typer.run(main)
