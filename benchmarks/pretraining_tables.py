"""The part of docs/benchmarks.md on pre-training, from its rows."""

import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import NO_ROWS, markdown_table  # noqa: E402
from plans import PRETRAINED_ENCODERS, PRETRAINED_SEEDS  # noqa: E402
from tuned_tables import (  # noqa: E402
    TABLE,
    TITLES,
    Line,
    Row,
    average_over,
    group_rows,
    machine_of,
    missing_runs,
    name_shared,
    read_lines,
    read_rows,
    shared_seeds,
    tuned_table,
)

from spacy_hetner.evaluation.curves import Point, summarize  # noqa: E402

RATIO_GOAL = 0.95
"""Of the trainer's pieces a second to a bare loop's, set before the first measurement."""

CURVE_POOLS = ("n1000", "n3000", "n10000", "all")
PAPER_SENTENCES = 16_300_000

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

FEWSHOT = """\
### Few sentences

`spacy hetner fewshot`: the CRF tagger on nested samples, all of them trained for the same number of
steps, the best one by dev; strict F on the whole test part in percent, mean ± sample standard
deviation (seeds). *from ..., then the target* is the paper's source and target: a tagger that was
trained on another corpus goes on with this one.
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
    runs = read_rows(results / "pretraining")
    tuned = read_rows(results / "pretrained")
    return "\n".join(
        [
            PRETRAINING,
            _overlap(results / "pretraining_overlap" / "overlap.json"),
            _runs(runs),
            _tuned(tuned, runs),
            _few_shot(read_rows(results / "fewshot")),
            _speed(read_rows(results / "pretrain_speed")),
        ]
    )


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
    for group in group_rows(rows, ("encoder", "hardware", "versions")).values():
        first = group[0]
        parts.append(f"From `{first['encoder']}`; {machine_of(first)}.\n")
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


def _tuned(rows: Sequence[Row], runs: Sequence[Row]) -> str:
    parents = {run["name"]: run["encoder"] for run in runs}
    parts = [TUNED]
    curves = []
    for group in group_rows(rows, TABLE).values():
        lines = read_lines(group)
        parts.append(tuned_table(group[0], lines, parents))
        if group[0]["split"] == "test":
            curves += [curve for curve in _curves(lines, runs) if curve]
    plan = PRETRAINED_ENCODERS, PRETRAINED_SEEDS
    parts.append(missing_runs(rows, *plan, split="test") if rows else NO_ROWS)
    return "\n".join([*parts, CURVE, *(curves or [NO_ROWS])])


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
    shared = shared_seeds([start, *members])
    if not shared:
        return ""
    before = average_over(start, shared)
    averages = [average_over(line, shared) for line in members]
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
    counts = [sizes[line.encoder] for line in members]
    return "\n".join(
        [
            f"Average F over what all of these have: {name_shared(shared)}.\n",
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


def _few_shot(rows: Sequence[Row]) -> str:
    """A table a data set: a line for each start, a column for each size."""
    parts = [FEWSHOT]
    setup = ("data", "system", "steps", "batch_size", "learn_rate", "precision", "device")
    for group in group_rows(rows, (*setup, "versions")).values():
        first = group[0]
        parts.append(
            f"{TITLES.get(first['data'], first['data'])}, {first['total']:,} sentences to draw "
            f"from, {first['steps']} steps of {first['batch_size']} sentences, rate "
            f"{first['learn_rate']:g}, {first['precision']}; {first['device']}.\n"
        )
        points = {(point.start, point.n): point for point in summarize(group)}
        sizes = sorted({n for _, n in points})
        lines = [
            [start, *(_cell(points.get((start, n))) for n in sizes)]
            for start in dict.fromkeys(row["start"] for row in group)
        ]
        parts.append(markdown_table(["start", *(f"{n} sentences" for n in sizes)], lines))
    return "\n".join(parts if rows else [FEWSHOT, NO_ROWS])


def _cell(point: Optional[Point]) -> str:
    return "" if point is None else f"{point.f} ({point.runs})"


def _speed(rows: Sequence[Row]) -> str:
    if not rows:
        return "\n".join([SPEED, NO_ROWS])
    lines = [
        [
            f"`{row['encoder']}`, {row['precision']}; {machine_of(row)}",
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
