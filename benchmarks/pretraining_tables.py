"""The part of docs/benchmarks.md on pre-training, from its rows."""

import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import NO_ROWS, markdown_table  # noqa: E402
from plans import PRETRAINED_ENCODERS, PRETRAINED_SEEDS  # noqa: E402

Row = Dict[str, Any]

RATIO_GOAL = 0.95
"""Of the trainer's pieces a second to a bare loop's, set before the first measurement."""

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
}
CURVE_POOLS = ("n1000", "n3000", "n10000", "all")
PAPER_SENTENCES = 16_300_000

# What tells the fine-tuning tables apart; what the columns, and what the lines of one table.
TABLE = ("system", "split", "precision", "hardware", "versions")
COLUMN = ("data", "train_sentences", "epochs", "batch_size")
LINE = ("encoder", "tag", "learn_rate", "override")

PRETRAINING = """\
## Pre-training

NER-BERT's objective on a small slice: sentences of English Wikipedia whose links have a DBpedia
type (58 categories), and LitBank's, by [`pretrain.py`](../benchmarks/pretrain.py). The pools of
1,000, 3,000 and 10,000 are nested draws from both, seven of ten sentences LitBank's; `all` adds the
rest, and as many sentences again whose links are entities without a type; `wiki3k` has Wikipedia's
typed sentences alone, `wiki3k-4types` the same with person, location, organization and ENTITY in
the place of 58 categories. The paper has BERT-base and 16.3 million sentences; its average over its
data sets, fine-tuned on the target alone, rises from 70.19 to 75.06.
"""

RUNS = """\
### Runs

Dev is a tenth of the Wikipedia sentences, and for the mixed pools 3 % of LitBank's too: its scores
tell of one pool, and do not compare pools of other labels. P, R and F are strict and in percent, at
the best step. Pieces a second are those of steps, on a machine that did other things too.
"""

TUNED = """\
### Fine-tuned

The CRF tagger of this package over each encoder, trained on the target alone by
`python benchmarks/plans.py pretrained`. Cells are strict F in percent: mean ± sample standard
deviation (seeds). *Average* is over data sets, *before* that of the encoder it was pre-trained
from, both over the data sets and seeds that both have: *of* says over how many data sets, *better
in* in how many of the pairs of runs pre-training was ahead.
"""

CURVE = """\
### Over the number of sentences
"""

SPEED = """\
### Speed of the trainer

The trainer beside a bare loop of torch that has the same batches ready in memory, step by step in
turns: [`pretrain_speed.py`](../benchmarks/pretrain_speed.py). Both compute the same losses. Pieces
are without padding. Opening an epoch, which is to plan it and to read its first instances, is not
in the rates. Memory is the peak of the process, before the bare loop's model is there and after.
"""


def pretraining_section(results: Path) -> str:
    """All tables, from the folders pretraining, pretrained and pretrain_speed."""
    runs = _rows(results / "pretraining")
    tuned = _rows(results / "pretrained")
    return "\n".join(
        [
            PRETRAINING,
            _overlap(results / "pretraining_overlap" / "overlap.json"),
            _runs(runs),
            _tuned(tuned, runs),
            _speed(_rows(results / "pretrain_speed")),
        ]
    )


def _rows(folder: Path) -> List[Row]:
    return [json.loads(path.read_text(encoding="utf8")) for path in sorted(folder.glob("*.json"))]


def _overlap(path: Path) -> str:
    """What of the test parts was read before."""
    if not path.exists():
        return "Whether test sentences are in the pools was not looked for yet.\n"
    found = json.loads(path.read_text(encoding="utf8"))
    told = {
        pool: ", ".join(
            f"{count} of {found['sentences'][data]:,} of {TITLES.get(data, data)}"
            for data, count in counts.items()
        )
        for pool, counts in found["shared"].items()
    }
    parts = "; ".join(f"`{pool}` {text or 'none'}" for pool, text in told.items())
    return (
        "CrossNER is of Wikipedia too, so some of its sentences were read before, with other "
        f"labels. Test sentences that share {found['words']} words in a row with a sentence of the "
        f"pool: {parts}.\n"
    )


def _runs(rows: Sequence[Row]) -> str:
    if not rows:
        return "\n".join([RUNS, NO_ROWS])
    parts = [RUNS]
    for group in _group(rows, ("encoder", "hardware", "versions")).values():
        first = group[0]
        parts.append(f"From `{first['encoder']}`; {_machine(first)}.\n")
        lines = [
            [
                f"`{row['name']}`",
                f"{row['sentences']:,}",
                f"{row['tokens']:,}",
                f"{row['labels']:,}",
                f"{row['epochs']:g}",
                f"{row['steps']:,}",
                f"{row['dev_sentences']:,}",
                *(f"{100 * row['best'][name]:.1f}" for name in "prf"),
                row["settings"]["precision"],
                f"{row['pieces_per_s']:,.0f}",
                f"{row['seconds'] / 60:.0f}",
                f"{row['peak_memory_mb']:,}",
            ]
            for row in sorted(group, key=lambda row: (row["sentences"], row["name"]))
        ]
        head = ["", "sentences", "tokens", "labels", "epochs", "steps", "dev sentences"]
        measured = ["P", "R", "F", "precision", "pieces/s", "minutes", "peak MB"]
        parts.append(markdown_table([*head, *measured], lines))
    return "\n".join(parts)


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


def _tuned(rows: Sequence[Row], runs: Sequence[Row]) -> str:
    parents = {run["name"]: run["encoder"] for run in runs}
    parts = [TUNED]
    curves = []
    for group in _group(rows, TABLE).values():
        lines = _lines(group)
        parts.append(_tuned_table(group[0], lines, parents))
        if group[0]["split"] == "test":
            curves += [curve for curve in _curves(lines, runs) if curve]
    parts.append(_missing(rows) if rows else NO_ROWS)
    return "\n".join([*parts, CURVE, *(curves or [NO_ROWS])])


def _lines(rows: Sequence[Row]) -> List[Line]:
    """RAISES (ValueError): two rows of one run with the same seed."""
    lines = []
    for group in _group(rows, LINE).values():
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
    known = PRETRAINED_ENCODERS
    order = known.index(line.encoder) if line.encoder in known else len(known)
    return *line.settings, order, line.encoder


def _tuned_table(first: Row, lines: Sequence[Line], parents: Mapping[str, str]) -> str:
    columns = sorted({column for line in lines for column in line.scores}, key=_column_place)
    setups = [
        f"{title} {column[1]:,}/{column[2]}/{column[3]}"
        for title, column in zip(_column_titles(columns), columns, strict=True)
    ]
    head = (
        f"`{first['system']}`, {first['split']} part, {first['precision']}; {_machine(first)}. "
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
    header = ["", *_column_titles(columns), "average", "before", "gain", "of", "better in"]
    return f"{head}\n{markdown_table(header, cells)}"


def _column_place(column: Column) -> Tuple[Any, ...]:
    titles = list(TITLES)
    order = titles.index(column[0]) if column[0] in titles else len(titles)
    return (order, *column)


def _column_titles(columns: Sequence[Column]) -> List[str]:
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
    shared = _shared([line, parent])
    if not shared:
        return None
    pairs = [
        (line.scores[column][seed], parent.scores[column][seed])
        for column, seeds in shared.items()
        for seed in seeds
    ]
    return Comparison(
        _average(line, shared),
        _average(parent, shared),
        len(shared),
        sum(ours > theirs for ours, theirs in pairs),
        len(pairs),
    )


def _shared(lines: Sequence[Line]) -> Dict[Column, List[int]]:
    """The columns, and the seeds of each, that all of the lines have."""
    found = {
        column: sorted(set.intersection(*(set(line.scores.get(column, ())) for line in lines)))
        for column in sorted(lines[0].scores, key=_column_place)
    }
    return {column: seeds for column, seeds in found.items() if seeds}


def _average(line: Line, shared: Mapping[Column, Sequence[int]]) -> float:
    return statistics.mean(
        statistics.mean(line.scores[column][seed] for seed in seeds)
        for column, seeds in shared.items()
    )


def _curves(lines: Sequence[Line], runs: Sequence[Row]) -> List[str]:
    """A curve for each encoder that pools were read by, and each setting."""
    pools = {run["name"]: run for run in runs if run["pool"] in CURVE_POOLS}
    groups: Dict[Tuple[Any, ...], List[Line]] = defaultdict(list)
    for line in lines:
        if line.encoder in pools:
            key = (pools[line.encoder]["encoder"], *line.settings)
            groups[key].append(line)
    curves = []
    for (parent, *settings), members in groups.items():
        starts = [
            line for line in lines if line.encoder == parent and line.settings == tuple(settings)
        ]
        sizes = {line.encoder: pools[line.encoder]["sentences"] for line in members}
        members.sort(key=lambda line: sizes[line.encoder])
        if starts and len(members) > 1:
            curves.append(_curve(starts[0], members, sizes))
    return curves


def _curve(start: Line, members: Sequence[Line], sizes: Mapping[str, int]) -> str:
    shared = _shared([start, *members])
    if not shared:
        return ""
    before = _average(start, shared)
    averages = [_average(line, shared) for line in members]
    cells = [[f"`{start.encoder}`", "0", f"{100 * before:.1f}", ""]]
    cells += [
        [
            f"`{line.encoder}`",
            f"{sizes[line.encoder]:,}",
            f"{100 * average:.1f}",
            f"{100 * (average - before):+.1f}",
        ]
        for line, average in zip(members, averages, strict=True)
    ]
    over = ", ".join(
        f"{title} (seeds {_seeds(seeds)})"
        for title, seeds in zip(_column_titles(list(shared)), shared.values(), strict=True)
    )
    counts = [sizes[line.encoder] for line in members]
    return "\n".join(
        [
            f"Average F over what all of these have: {over}.\n",
            markdown_table(["", "sentences", "average", "gain"], cells),
            _fit(counts, averages, before),
        ]
    )


def _fit(counts: Sequence[int], averages: Sequence[float], before: float) -> str:
    """What a straight line through the curve says; at least three points."""
    if len(set(counts)) < 3:
        return "Fewer than three sizes: no line is drawn through them.\n"
    decades = [math.log10(count) for count in counts]
    slope, intercept = statistics.linear_regression(decades, averages)
    off = max(abs(intercept + slope * x - y) for x, y in zip(decades, averages, strict=True))
    reached = intercept + slope * math.log10(PAPER_SENTENCES)
    beyond = math.log10(PAPER_SENTENCES) - max(decades)
    return (
        f"The least-squares line of F against log10 of the sentences, through {len(counts)} "
        f"points, rises by {100 * slope:.1f} for each factor of ten and misses no point by more "
        f"than {100 * off:.1f}. Drawn out by {beyond:.1f} further factors of ten to the paper's "
        f"16.3 million sentences it is at {100 * reached:.1f}, {100 * (reached - before):+.1f} "
        "against no pre-training: an extrapolation far beyond the data, from pools of other "
        "mixture and other numbers of categories than the paper's, and no measurement.\n"
    )


def _seeds(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _missing(rows: Sequence[Row]) -> str:
    """A paragraph that names the runs of the plan which have no row."""
    have = {
        (row["encoder"], row["data"], row["seed"])
        for row in rows
        if row["split"] == "test" and not row["tag"] and not row["override"]
    }
    gaps = []
    for encoder in PRETRAINED_ENCODERS:
        lacking = {
            data: [seed for seed in range(seeds) if (encoder, data, seed) not in have]
            for data, seeds in PRETRAINED_SEEDS.items()
        }
        told = [
            TITLES[data] + ("" if len(seeds) == PRETRAINED_SEEDS[data] else f" ({_seeds(seeds)})")
            for data, seeds in lacking.items()
            if seeds
        ]
        whole = all(len(lacking[data]) == PRETRAINED_SEEDS[data] for data in lacking)
        if told:
            gaps.append(f"`{encoder}`" + (" on all" if whole else f" on {', '.join(told)}"))
    return f"Missing, seeds in brackets: {'; '.join(gaps)}.\n" if gaps else ""


def _speed(rows: Sequence[Row]) -> str:
    if not rows:
        return "\n".join([SPEED, NO_ROWS])
    lines = [
        [
            f"`{row['encoder']}`, {row['precision']}; {_machine(row)}",
            f"{row['ours_pieces_per_s']:,.0f}",
            f"{row['bare_pieces_per_s']:,.0f}",
            f"{row['ratio']:.3f} (goal ≥ {RATIO_GOAL})",
            f"{min(row['ratios']):.2f}-{max(row['ratios']):.2f}, {row['rounds']}",
            f"{1000 * row['opening_s']:.0f} ms, {100 * row['opening_share']:.1f} %",
            f"{100 * row['padded_share']:.1f} %",
            f"{row['loss_difference']:.0e}",
            " / ".join(f"{row['peak_memory_mb'][name]:,}" for name in ("ours alone", "both")),
        ]
        for row in rows
    ]
    head = ["", "ours, pieces/s", "bare, pieces/s", "ratio", "over rounds", "opening an epoch"]
    table = markdown_table([*head, "padding", "losses differ by", "peak MB"], lines)
    return "\n".join([SPEED, table])


def _group(rows: Iterable[Row], names: Sequence[str]) -> Dict[str, List[Row]]:
    """Rows that agree in some settings, in order of first appearance."""
    groups: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        groups[json.dumps([row[name] for name in names], sort_keys=True)].append(row)
    return dict(groups)


def _machine(row: Row) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    return f"{row['hardware']}; {versions}"
