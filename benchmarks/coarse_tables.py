"""The part of docs/benchmarks.md on CoFEE, from its rows."""

import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Sequence

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import NO_ROWS, markdown_table  # noqa: E402
from plans import COARSE_QUERY_STARTS, COARSE_SEEDS, COARSE_TAGGER_STARTS  # noqa: E402
from tuned_tables import TITLES, Row, group_rows, machine_of, read_rows  # noqa: E402

SYSTEMS = {
    "matching": "gazetteer matching",
    "direct-tagger": "tagger, labels of the dictionaries",
    "direct": "query tagger, labels of the dictionaries",
    "cofee-FET-ESI": "CoFEE -FET -ESI",
    "cofee-FET": "CoFEE -FET",
    "cofee": "CoFEE",
    "cofee-tagger-FET-ESI": "CoFEE -FET -ESI, tagger",
    "cofee-tagger-FET": "CoFEE -FET, tagger",
    "cofee-tagger": "CoFEE, tagger",
}
PAPER = {
    "ecommerce": {
        "matching": 39.14,
        "direct": 32.2,
        "cofee-FET-ESI": 44.98,
        "cofee-FET": 47.17,
        "cofee": 51.70,
    },
    "twitter2015": {
        "matching": 26.30,
        "cofee-FET-ESI": 51.30,
        "cofee-FET": 53.07,
        "cofee": 54.56,
    },
}
"""F on test, with BERT-base, a Wikipedia and gazetteers that are not public."""

SETUP = (
    *("data", "encoder", "sentences", "names", "epochs", "steps", "delta", "clusters", "precision"),
    *("override", "hardware"),
)
"""What tells tables apart; of matching, the last of these say nothing."""
MATCHING_SETUP = ("data", "names")
PICTURES = {"delta": "threshold of picking", "names": "share of the names", "clusters": "clusters"}

COARSE = """\
## Without annotation

CoFEE's stages on dictionaries and raw texts, by
[`coarse_to_fine.py`](../benchmarks/coarse_to_fine.py); the pipeline is made of what they leave,
without training. Dev chooses among the rounds of a run; test is scored once. E-commerce: the texts
of the training part without their annotation, and nouns in the place of links, since there is no
Chinese dump at hand; its dictionaries were chosen by how they match dev. Twitter 2015: links
of a slice of English Wikipedia, and tweets in which names of the dictionaries stand; no dictionary
has names of OTHER, which is a seventh of the gold. Strict scores of flat entities in percent: mean
± sample standard deviation over the seeds. Minutes are those of training steps. *Paper* has
BERT-base, a whole Wikipedia and gazetteers of its own. A head has thirty times the learning rate of
its encoder: with the same rate for both, the tagger on the dictionaries' labels of E-commerce had F
30.5 on dev after three epochs, where it had 42.2 with that (seed 0).
"""

TUNED = """\
### With annotation on top

The same encoders and their heads, trained on the corpus by `python benchmarks/plans.py
coarse_to_fine`. Strict F in percent on test.
"""


KMEANS = """\
### Clusters

The clustering of fine types beside scikit-learn's KMeans on the same file of vectors, each in a
process of its own: [`kmeans.py`](../benchmarks/kmeans.py). Time is CPU time of one thread.
"""
KMEANS_GOALS = {"time_ratio": 0.2, "inertia_excess": 0.002, "memory_mb": 200}
"""Set before the first measurement."""


def coarse_section(results: Path, images: Path = ROOT / "docs" / "images") -> str:
    """All tables, from the folders coarse_to_fine, coarse_to_fine_tuned and kmeans."""
    weak = read_rows(results / "coarse_to_fine")
    tuned = read_rows(results / "coarse_to_fine_tuned")
    parts = [COARSE, *(_weak_tables(weak) or [NO_ROWS])]
    for name, title in PICTURES.items():
        if (images / f"coarse_to_fine_{name}.svg").is_file():
            parts.append(f"![F on dev over the {title}](images/coarse_to_fine_{name}.svg)\n")
    clusters = _kmeans_table(read_rows(results / "kmeans"))
    return "\n".join([*parts, TUNED, *(_tuned_tables(tuned) or [NO_ROWS]), KMEANS, clusters])


def _weak_tables(rows: Sequence[Row]) -> List[str]:
    """A table for each set-up that has several systems: those of the curves have one."""
    runs = [row for row in rows if row["system"] != "matching"]
    tables = []
    for group in group_rows(runs, SETUP).values():
        if len({row["system"] for row in group}) > 1:
            first = group[0]
            alike = [
                row
                for row in rows
                if row["system"] == "matching"
                and all(row[name] == first[name] for name in MATCHING_SETUP)
            ]
            tables.append(_weak_table([*alike[:1], *group]))
    return tables


def _weak_table(rows: Sequence[Row]) -> str:
    first = rows[-1]
    known, data = first["knowledge"], first["data"]
    names = ", ".join(f"{label} {count:,}" for label, count in known["names"].items())
    labels = ", ".join(f"{label} {count:,}" for label, count in known["distant"]["labels"].items())
    epochs = "/".join(map(str, first["epochs"]))
    head = (
        f"{TITLES[data]}, `{first['encoder']}`, {first['precision']}, {epochs} epochs, threshold "
        f"{first['delta']:g}, {first['clusters']} clusters; {first['hardware']}. Names: {names}. "
        f"Entities: {known['entities']['sentences']:,} sentences; labels: "
        f"{known['distant']['sentences']:,} sentences, {labels}.\n"
    )
    by_system: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        by_system[row["system"]].append(row)
    cells = [
        [
            title,
            str(len(found)),
            _spread([row["scores"]["dev"]["f"] for row in found]),
            *(_spread([row["scores"]["test"][name] for row in found]) for name in "prf"),
            f"{PAPER[data][system]:.1f}" if system in PAPER[data] else "",
            f"{statistics.mean(row['training_seconds'] for row in found) / 60:,.0f}",
        ]
        for system, title in SYSTEMS.items()
        if (found := by_system.get(system))
    ]
    header = ["", "seeds", "dev F", "P", "R", "F", "paper F", "minutes"]
    missing = [f"`{title}`" for system, title in SYSTEMS.items() if system not in by_system]
    told = f"\nMissing: {', '.join(missing)}.\n" if missing else ""
    return f"{head}\n{markdown_table(header, cells)}{told}"


def _tuned_tables(rows: Sequence[Row]) -> List[str]:
    setup = ("data", "split", "train_sentences", "epochs", "precision", "hardware", "versions")
    tables = []
    for group in group_rows(rows, setup).values():
        first = group[0]
        head = (
            f"{TITLES[first['data']]}, {first['train_sentences']:,} sentences, {first['epochs']} "
            f"epochs, {first['precision']}; {machine_of(first)}.\n"
        )
        scores: Dict[Any, List[float]] = defaultdict(list)
        for row in group:
            scores[row["system"], row["tag"]].append(row["scores"]["spans_entities_f"])
        lines = [
            [system, start or "no stage", str(len(found)), _spread(found)]
            for system, starts in (
                ("mrc_tagger", COARSE_QUERY_STARTS),
                ("tagger", COARSE_TAGGER_STARTS),
            )
            for start in starts
            if (found := scores.get((system, start or "no stage")))
        ]
        seeds = COARSE_SEEDS[first["data"]]
        lacking = [f"{system} {start}" for system, start, count, _ in lines if int(count) < seeds]
        told = f"\nFewer than {seeds} seeds: {', '.join(lacking)}.\n" if lacking else ""
        tables.append(f"{head}\n{markdown_table(['', 'start', 'seeds', 'F'], lines)}{told}")
    return tables


def _kmeans_table(rows: Sequence[Row]) -> str:
    time_goal, inertia_goal, memory_goal = KMEANS_GOALS.values()
    lines = [
        [
            f"{row['vectors']:,} × {row['width']}, K = {row['clusters']}; {row['hardware']}",
            f"{row['time_ratio']:.3f} (goal ≤ {time_goal})",
            f"{100 * row['inertia_excess']:+.2f} % (goal ≤ {100 * inertia_goal} %)",
            f"{row['memory_beyond_data_mb']['ours']:,} (goal ≤ {memory_goal})",
            f"{row['memory_beyond_data_mb']['sklearn']:,}",
            str(row["rounds"]),
        ]
        for row in rows
    ]
    head = ["", "time, ours ÷ KMeans", "inertia", "MB beyond the data", "KMeans, MB", "rounds"]
    return markdown_table(head, lines) if rows else NO_ROWS


def _spread(values: Sequence[float]) -> str:
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean
