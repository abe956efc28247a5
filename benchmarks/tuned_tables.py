"""A tagger fine-tuned over several encoders: tables of its F, data set by data set, and gains."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import markdown_table  # noqa: E402
from plans import ADAPTED_ENCODERS, PRETRAINED_ENCODERS  # noqa: E402

Row = Dict[str, Any]

TITLES = {
    "crossner_ai": "AI",
    "crossner_politics": "politics",
    "crossner_music": "music",
    "crossner_literature": "literature",
    "crossner_science": "science",
    "twitter2015": "Twitter 2015",
    "btc": "BTC",
    "re3d": "re3d",
    "bionlp13cg": "BioNLP13CG",
    "weibo": "Weibo",
    "resume": "Resume",
    "ecommerce": "E-commerce",
    "msra": "MSRA",
    "weibo_names": "Weibo, names",
}
ENCODERS = (*PRETRAINED_ENCODERS, *ADAPTED_ENCODERS)
"""In the order of a table."""

# What tells the fine-tuning tables apart; what the columns, and what the lines of one table.
TABLE = ("system", "split", "precision", "hardware", "versions")
COLUMN = ("data", "train_sentences", "epochs", "batch_size")
LINE = ("encoder", "tag", "learn_rate", "override")


def read_rows(folder: Path) -> List[Row]:
    """The JSON rows of a folder, in the order of their names; none if there is no folder."""
    return [json.loads(path.read_text(encoding="utf8")) for path in sorted(folder.glob("*.json"))]


Column = Tuple[str, int, int, int]
"""Data set, training sentences, epochs, batch size."""


class Line(NamedTuple):
    """Runs that differ in data set and seed only: their F by column and seed."""

    encoder: str
    tag: str
    learn_rate: float
    override: Tuple[str, ...]
    scores: Dict[Column, Dict[int, float]]

    @property
    def settings(self) -> Tuple[str, float, Tuple[str, ...]]:
        """What two lines must share to be compared."""
        return self.tag, self.learn_rate, self.override


class Comparison(NamedTuple):
    """Two lines over what both have: their averages over columns, of means over seeds."""

    average: float
    before: float
    columns: int
    better: int
    pairs: int


def read_lines(rows: Sequence[Row]) -> List[Line]:
    """The lines of one table, in its order.

    RAISES (ValueError): two rows of one run with the same seed.
    """
    lines = []
    for group in group_rows(rows, LINE).values():
        scores: Dict[Column, Dict[int, float]] = defaultdict(dict)
        for row in group:
            column: Column = tuple(row[name] for name in COLUMN)  # type: ignore[assignment]
            if row["seed"] in scores[column]:
                run = {name: row[name] for name in (*LINE, *COLUMN, "seed")}
                raise ValueError(f"Two rows with the same seed of one run: {run}")
            found = row.get("fitted_scores") or row["scores"]
            scores[column][row["seed"]] = found["spans_entities_f"]
        first = group[0]
        override = tuple(first["override"])
        settings = first["tag"], first["learn_rate"], override
        lines.append(Line(first["encoder"], *settings, dict(scores)))
    return sorted(lines, key=_place)


def _place(line: Line) -> Tuple[Any, ...]:
    order = ENCODERS.index(line.encoder) if line.encoder in ENCODERS else len(ENCODERS)
    return *line.settings, order, line.encoder


def tuned_table(first: Row, lines: Sequence[Line], parents: Mapping[str, str]) -> str:
    """F by encoder and data set, and beside it what an encoder gained over another.

    first (Row): Any row of the table, which names its setup.
    parents (Mapping[str, str]): The encoder that each is compared to, if any.
    """
    columns = sorted({column for line in lines for column in line.scores}, key=_column_place)
    setups = [
        f"{title} {column[1]:,}/{column[2]}/{column[3]}"
        for title, column in zip(column_titles(columns), columns, strict=True)
    ]
    head = (
        f"`{first['system']}`, {first['split']} part, {first['precision']}; {machine_of(first)}. "
        f"Training sentences/epochs/sentences a batch: {', '.join(setups)}.\n"
    )
    cells = []
    for line in lines:
        compared = _compare_to_parent(line, lines, parents)
        cells.append(
            [
                _line_title(line, lines),
                *(_cell(line.scores.get(column, {})) for column in columns),
                *(_comparison_cells(compared) if compared else _own_average(line)),
            ]
        )
    header = ["", *column_titles(columns), "average", "before", "gain", "of", "better in"]
    return f"{head}\n{markdown_table(header, cells)}"


def _column_place(column: Column) -> Tuple[Any, ...]:
    titles = list(TITLES)
    order = titles.index(column[0]) if column[0] in titles else len(titles)
    return (order, *column)


def column_titles(columns: Sequence[Column]) -> List[str]:
    """The data sets, and of columns of one data set what tells them apart."""
    titles = []
    for column in columns:
        others = [other for other in columns if other[0] == column[0]]
        units = ("sentences", "epochs", "a batch")
        notes = [
            f"{column[i]:,} {unit}"
            for i, unit in enumerate(units, start=1)
            if len({other[i] for other in others}) > 1
        ]
        titles.append(", ".join([TITLES.get(column[0], column[0]), *notes]))
    return titles


def _line_title(line: Line, lines: Sequence[Line]) -> str:
    notes = [f"`{line.encoder}`", *([line.tag] if line.tag else [])]
    notes += [f"`{item}`" for item in line.override]
    if len({other.learn_rate for other in lines}) > 1:
        notes.append(f"learning rate {line.learn_rate:g}")
    return ", ".join(notes)


def _cell(scores: Mapping[int, float]) -> str:
    if not scores:
        return ""
    values = list(scores.values())
    sd = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{sd} ({len(values)})"


def _own_average(line: Line) -> List[str]:
    average = statistics.mean(statistics.mean(seeds.values()) for seeds in line.scores.values())
    return [f"{100 * average:.1f}", "", "", str(len(line.scores)), ""]


def _comparison_cells(compared: Comparison) -> List[str]:
    return [
        f"**{100 * compared.average:.1f}**",
        f"{100 * compared.before:.1f}",
        f"{100 * (compared.average - compared.before):+.1f}",
        str(compared.columns),
        f"{compared.better}/{compared.pairs}",
    ]


def _compare_to_parent(
    line: Line, lines: Sequence[Line], parents: Mapping[str, str]
) -> Optional[Comparison]:
    parent = parents.get(line.encoder)
    for other in lines:
        if other.encoder == parent and other.settings == line.settings:
            return _compare(line, other)
    return None


def _compare(line: Line, parent: Line) -> Optional[Comparison]:
    shared = shared_seeds([line, parent])
    if not shared:
        return None
    pairs = [
        (line.scores[column][seed], parent.scores[column][seed])
        for column, seeds in shared.items()
        for seed in seeds
    ]
    return Comparison(
        average_over(line, shared),
        average_over(parent, shared),
        len(shared),
        sum(ours > theirs for ours, theirs in pairs),
        len(pairs),
    )


def shared_seeds(lines: Sequence[Line]) -> Dict[Column, List[int]]:
    """The columns, and the seeds of each, that all of the lines have."""
    found = {
        column: sorted(set.intersection(*(set(line.scores.get(column, ())) for line in lines)))
        for column in sorted(lines[0].scores, key=_column_place)
    }
    return {column: seeds for column, seeds in found.items() if seeds}


def average_over(line: Line, shared: Mapping[Column, Sequence[int]]) -> float:
    """The mean over columns of the means over their seeds."""
    return statistics.mean(
        statistics.mean(line.scores[column][seed] for seed in seeds)
        for column, seeds in shared.items()
    )


def name_shared(shared: Mapping[Column, Sequence[int]]) -> str:
    """The columns and the seeds of each, as text."""
    titles = zip(column_titles(list(shared)), shared.values(), strict=True)
    return ", ".join(f"{title} (seeds {_list(seeds)})" for title, seeds in titles)


def missing_runs(
    rows: Sequence[Row], encoders: Sequence[str], seeds: Mapping[str, int], split: str
) -> str:
    """A paragraph that names the runs of a plan which have no row.

    seeds (Mapping[str, int]): How many each data set has.
    """
    have = {
        (row["encoder"], row["data"], row["seed"])
        for row in rows
        if row["split"] == split and not row["tag"] and not row["override"]
    }
    gaps = []
    for encoder in encoders:
        lacking = {
            data: [seed for seed in range(count) if (encoder, data, seed) not in have]
            for data, count in seeds.items()
        }
        told = [
            TITLES[data] + ("" if len(gap) == seeds[data] else f" ({_list(gap)})")
            for data, gap in lacking.items()
            if gap
        ]
        whole = all(len(lacking[data]) == seeds[data] for data in lacking)
        if told:
            gaps.append(f"`{encoder}`" + (" on all" if whole else f" on {', '.join(told)}"))
    return f"Missing, seeds in brackets: {'; '.join(gaps)}.\n" if gaps else ""


def _list(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def group_rows(rows: Iterable[Row], names: Sequence[str]) -> Dict[str, List[Row]]:
    """Rows that agree in some settings, in order of first appearance."""
    groups: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        groups[json.dumps([row[name] for name in names], sort_keys=True)].append(row)
    return dict(groups)


def machine_of(row: Row) -> str:
    """Hardware and versions of a row."""
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return f"{row['hardware']}; {versions}"
