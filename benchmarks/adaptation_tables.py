"""The part of docs/benchmarks.md on adaptation to Chinese text, from its rows."""

import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import NO_ROWS, markdown_table  # noqa: E402
from plans import ADAPTED_ENCODERS, ADAPTED_SEEDS, CHINESE_ENCODER  # noqa: E402
from tuned_tables import (  # noqa: E402
    TABLE,
    Line,
    Row,
    average_over,
    column_titles,
    group_rows,
    machine_of,
    missing_runs,
    name_shared,
    read_lines,
    read_rows,
    shared_seeds,
    tuned_table,
)

SCORES = ("similarity", "error", "accuracy", "perplexity")
LENGTH = ("max_steps", "max_epochs")
"""Settings in which the runs of one curve differ."""

ADAPTATION = f"""\
## Adaptation to Chinese text

`{CHINESE_ENCODER}` was trained with pieces of several characters, and is used with single ones.
Here it is taught on raw text by [`adapt.py`](../benchmarks/adapt.py): `aligned` to the vectors of
`me5-small`, which has the full vocabulary, `mlm` to guess hidden words, or one after the other.
Names tell how many millions of characters were read. White space is not counted, and what was read
again in a second epoch is counted again. By its scores on dev, `me5-aligned-2m` is what later
Chinese tables start from.
"""

RUNS = """\
### What was read

Similarity (mean cosine) and error (mean relative squared error) are those of blocks of pieces,
accuracy and perplexity those of hidden pieces, on a hundredth of the texts, at the best step. They
compare runs of one objective with the same settings only. Characters a second are those of steps,
on a machine that did other things too.
"""

TUNED = f"""\
### Taggers over adapted encoders

The CRF tagger of this package over each encoder, by `python benchmarks/plans.py adapted`, on the
dev parts, since the encoder of other tables is chosen by them. Cells are strict F in percent: mean
± sample standard deviation (seeds). *Average* is over data sets, *before* that of
`{CHINESE_ENCODER}`, both over the data sets and seeds that both have: *of* says over how many data
sets, *better in* in how many of the pairs of runs adaptation was ahead.

The bar that was set beforehand, ten points on Weibo, is missed. What was tried next needs no
adaptation: `pieces+characters` reads pieces of the full vocabulary, gives every character the
vector of its piece, and joins an embedding of the character itself to it, with an encoder that has
nearly four times the weights.
"""

CURVE = """\
### Over the characters read

Each line is a run of its own, with a learning rate that falls to zero at its end. *Gain* is over no
adaptation, *a doubling* the gain over the line above for each doubling of the characters.
"""


def adaptation_section(results: Path) -> str:
    """All tables, from the folders adaptation and adapted."""
    runs = read_rows(results / "adaptation")
    tuned = read_rows(results / "adapted")
    return "\n".join([ADAPTATION, _runs(runs), _tuned(tuned), _curves(tuned, runs)])


def _runs(rows: Sequence[Row]) -> str:
    parts = [RUNS] if rows else [RUNS, NO_ROWS]
    for by_text in group_rows(rows, ("text",)).values():
        parts.append(_text(by_text[0]["text"]))
        for group in group_rows(by_text, ("hardware", "versions")).values():
            parts.append(f"{machine_of(group[0])}.\n")
            parts.append(_run_table(group))
    made = {CHINESE_ENCODER, *(row["name"] for row in rows)}
    lacking = [f"`{name}`" for name in ADAPTED_ENCODERS if name not in made]
    if lacking:
        parts.append(f"Missing: {', '.join(lacking)}.\n")
    return "\n".join(parts)


def _text(text: Mapping[str, Any]) -> str:
    sources = text["sources"]
    read, kept = (
        sum(source[column]["characters"] for source in sources) for column in ("read", "kept")
    )
    told = ", ".join(f"`{s['name']}` {s['kept']['characters']:,}" for s in sources)
    dropped = "; ".join(f"{cause} {count:,}" for cause, count in text["dropped"].items())
    return (
        f"Texts of {kept:,} characters for training, of {read:,} that were read: {told}. Held "
        f"against {len(text['excluded'])} dev and test sets. Texts that were dropped: "
        f"{dropped or 'none'}.\n"
    )


def _run_table(rows: Sequence[Row]) -> str:
    scores = [name for name in SCORES if any(name in row["best"] for row in rows)]
    head = ["", "from", "learning rate", "characters", "epochs", "steps", *scores]
    measured = ["precision", "characters/s", "minutes", "peak MB"]
    lines = [
        [
            f"`{row['name']}`",
            f"`{row['encoder']}`",
            f"{row['settings']['optimizer']['learn_rate']:g}",
            f"{row['characters']:,}",
            f"{row['epochs']:.2f}",
            f"{row['steps']:,}",
            *(f"{row['best'][name]:.4g}" if name in row["best"] else "" for name in scores),
            row["settings"]["precision"],
            f"{row['characters_per_s']:,.0f}",
            f"{row['seconds'] / 60:.0f}",
            f"{row['peak_memory_mb']:,}",
        ]
        for row in sorted(rows, key=_run_place)
    ]
    return markdown_table([*head, *measured], lines)


def _run_place(row: Row) -> Tuple[Any, ...]:
    return len(row["taught"]), row["taught"][::-1], row["characters_in_all"], row["name"]


def _tuned(rows: Sequence[Row]) -> str:
    parents = {row["encoder"]: CHINESE_ENCODER for row in rows if row["encoder"] != CHINESE_ENCODER}
    tables = [
        tuned_table(group[0], read_lines(group), parents)
        for group in group_rows(rows, TABLE).values()
    ]
    missing = missing_runs(rows, ADAPTED_ENCODERS, ADAPTED_SEEDS, split="dev")
    return "\n".join([TUNED, *(tables or [NO_ROWS]), missing])


def _curves(rows: Sequence[Row], runs: Sequence[Row]) -> str:
    """A curve for each thing that was taught in several lengths."""
    by_name = {run["name"]: run for run in runs}
    curves = []
    for group in group_rows(rows, TABLE).values():
        lines = read_lines(group)
        for start in lines:
            if start.encoder == CHINESE_ENCODER:
                alike = [line for line in lines if line.settings == start.settings]
                curves += [_curve(start, some, by_name) for some in _series(alike, by_name)]
    return "\n".join([CURVE, *(list(filter(None, curves)) or [NO_ROWS])])


def _series(lines: Sequence[Line], runs: Mapping[str, Row]) -> List[List[Line]]:
    """Lines whose encoders were taught alike but for the length, by that; more than one each."""
    series: Dict[str, List[Line]] = defaultdict(list)
    for line in lines:
        if line.encoder in runs:
            series[_lesson(runs[line.encoder])].append(line)
    return [
        sorted(members, key=lambda line: runs[line.encoder]["characters_in_all"])
        for members in series.values()
        if len(members) > 1
    ]


def _lesson(run: Row) -> str:
    """What was taught, and how."""
    settings = {name: value for name, value in run["settings"].items() if name not in LENGTH}
    return json.dumps([run["taught"], settings, run["text"]], sort_keys=True)


def _curve(start: Line, members: Sequence[Line], runs: Mapping[str, Row]) -> str:
    lines = [start, *members]
    shared = shared_seeds(lines)
    if not shared:
        return ""
    taught = ", then ".join(runs[members[0].encoder]["taught"])
    counts = [0, *(runs[line.encoder]["characters_in_all"] for line in members)]
    averages = [average_over(line, shared) for line in lines]
    cells = []
    for place, (line, count, average) in enumerate(zip(lines, counts, averages, strict=True)):
        doublings = math.log2(count / counts[place - 1]) if place > 1 else 0.0
        slope = (average - averages[place - 1]) / doublings if doublings else None
        cells.append(
            [
                f"`{line.encoder}`",
                f"{count:,}",
                *(
                    f"{100 * statistics.mean(line.scores[column][seed] for seed in seeds):.1f}"
                    for column, seeds in shared.items()
                ),
                f"{100 * average:.1f}",
                f"{100 * (average - averages[0]):+.1f}" if place else "",
                "" if slope is None else f"{100 * slope:+.1f}",
            ]
        )
    head = ["", "characters", *column_titles(list(shared)), "average", "gain", "a doubling"]
    return "\n".join(
        [
            f"`{taught}`; F over what all of these have: {name_shared(shared)}.\n",
            markdown_table(head, cells),
        ]
    )
