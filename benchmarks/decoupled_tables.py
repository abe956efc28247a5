"""The part of docs/benchmarks.md on Decoupled NER, from its rows."""

import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from knowledge_tables import NO_ROWS, markdown_table  # noqa: E402
from plans import (  # noqa: E402
    DECOUPLED_ENCODERS,
    MORE_NOUNS,
    PLANS,
    TWO_ENCODERS,
)
from tuned_tables import TITLES, Row, group_rows, machine_of, read_rows  # noqa: E402

RATIO_GOAL = 3.0
"""Of the scorer's candidates a second to the loop's, set before the first measurement."""

DECOUPLED = """\
## Decoupled NER

The scorer by mention and context: its speed, what its encoder was taught, and what comes of it.
"""

SPEED = """\
### Speed of the scorer

The scorer of `configs/decoupled.cfg` beside a loop that cuts and encodes every mention and every
context singly, in turns, in float32:
[`decoupled_speed.py`](../benchmarks/decoupled_speed.py). Both give the same probabilities. The
context of a candidate is as long as its sentence and no other's, so none is saved, and one core
computes a long row nearly as fast alone as in a batch: the gain is the larger the shorter the
sentences are, and the more threads share a batch. *Distinct* are the mentions of a batch, equal
ones counted once, against its candidates; *hits* are those of them that an earlier batch of 256
sentences had. *Recall* is the share of gold spans among the candidates. Time is the clock's, in the
rows of one thread the processor's.
"""

STAGES = """\
### What was taught

The first stage reads names alone, the second sentences in which they were found, by
[`decoupled_stages.py`](../benchmarks/decoupled_stages.py). P, R and F of labels, in percent, on
names and regions held out, at the best step: of one stage, they do not compare with another's.
"""

TUNED = """\
### After the stages

`python benchmarks/plans.py decoupled-small decoupled`: Weibo without nominal mentions, nouns of LAC
and of jieba as candidates. The scorer's entities are those that its resolver keeps. *Recall* is
that of the candidates, which bounds R. *Gain* is over the same system and number of sentences
without a stage, over the seeds that both have. `mixed data` has 2,000 sentences labelled by the
dictionaries beside the annotated ones, `two encoders` one for names and one for contexts. Stages
with `fast` in their name, and all over `me5-aligned-2m`, had ten times the rate for the encoder;
the first stage of `long-names` lacked names that are too short to be looked for in texts; in
`no-mlm` pieces were not guessed, and `540-steps` is three times as long. The paper, with BERT-base:
71.09; after the first stage 71.94, after the second 71.66, after both 72.64; with 1,000 sentences
65.89 after both, where a tagger has 62.26.

The scorer is well ahead of a tagger with 100 and 500 sentences, and level with it with 1,000. The
stages have not helped here, unlike in `tests/decoupled/test_decoupled_direction.py`, where names
and contexts are all there is; at a low rate they do no harm either. The second alone raises P in
every seed, by six points in the mean, and loses R in one, by nine: as it would where names that the
dictionaries lack are taught as none. What else is known of it:

- Seeds of one line differ by five points; the paper's gains are of one and two names in 169.
- Of the 169 names of dev, candidates hold 150 and the dictionaries 30.
- A fast stage leaves vectors of few directions (e to the entropy of their principal components'
  shares): of mentions 163 before the first stage and 4 after it, 7 after the slow one; of contexts
  107, 4 and 17, and 3 after both. What does not tell the classes of a stage apart has then to be
  learned again from the annotated sentences, and cannot be from few.
- The encoder was never taught to guess hidden pieces. Of the second stage's two losses that of the
  pieces, 11 at first, has six times the gradient in the encoder, so that types are hardly learned.
  Without it, or in three times the steps, they are, but the scorer is no better for it. Even then
  one piece in 14 is guessed rightly; without a stage the classifier of contexts alone labels two
  candidates of dev, wrongly.
"""

TABLE = ("data", "split", "train_sentences", "epochs", "batch_size", "precision")
MACHINE = ("hardware", "versions")
LINE = ("system", "encoder", "tag", "learn_rate", "override")


def decoupled_section(results: Path) -> str:
    """All tables, from the folders of ``decoupled``."""
    folder = results / "decoupled"
    speed, stages, tuned = (read_rows(folder / name) for name in ("speed", "stages", "accuracy"))
    return "\n".join([DECOUPLED, _speed(speed), _stages(stages), _tuned(tuned)])


def _speed(rows: Sequence[Row]) -> str:
    if not rows:
        return "\n".join([SPEED, NO_ROWS])
    lines = []
    for row in rows:
        race, whole = row["race"], row["whole"]
        lines.append(
            [
                f"{TITLES.get(row['data'], row['data'])}, `{row['encoder']}`; {machine_of(row)}",
                f"{race['candidates_per_s']:.1f}",
                f"{race['loop_candidates_per_s']:.1f}",
                f"{race['ratio']:.2f} (goal ≥ {RATIO_GOAL:g})",
                f"{min(race['ratios']):.2f}-{max(race['ratios']):.2f}, {race['rounds']}",
                f"{race['difference']:.0e}",
                f"{whole['candidates']:,}",
                *(
                    f"{100 * whole[name]:.1f} %"
                    for name in ("distinct_share", "hit_share", "padding", "recall")
                ),
                f"{whole['candidates_per_gold']:.1f}",
            ]
        )
    head = ["", "ours, candidates/s", "loop, candidates/s", "ratio", "over rounds", "differ by"]
    counted = ["candidates", "distinct", "hits", "padding", "recall", "candidates a gold span"]
    return "\n".join([SPEED, markdown_table([*head, *counted], lines)])


def _stages(rows: Sequence[Row]) -> str:
    parts = [STAGES] if rows else [STAGES, NO_ROWS]
    head = ["", "from", "examples", "epochs", "steps", "P", "R", "F", "learning rate (head)"]
    measured = ["precision", "pieces/s", "minutes", "peak MB"]
    for group in group_rows(rows, MACHINE).values():
        lines = [
            [
                f"`{row['name']}`",
                f"`{row['encoder']}`",
                ", ".join(f"{label} {n:,}" for label, n in row["labels"].items()),
                f"{row['epochs']:.2f}",
                f"{row['steps']:,}",
                *(f"{100 * row['best'][name]:.1f}" for name in "prf"),
                _rates(row["settings"]["optimizer"]),
                row["settings"]["precision"],
                f"{row['pieces_per_s']:,.0f}",
                f"{row['seconds'] / 60:.0f}",
                f"{row['peak_memory_mb']:,}",
            ]
            for row in sorted(group, key=lambda row: _encoder_place(row["name"]))
        ]
        parts += [f"{machine_of(group[0])}.\n", markdown_table([*head, *measured], lines)]
    made = {row["name"] for row in rows}
    lacking = [f"`{name}`" for name in DECOUPLED_ENCODERS[1:] if name not in made]
    return "\n".join([*parts, f"Missing: {', '.join(lacking)}.\n"] if lacking else parts)


def _rates(optimizer: Mapping[str, float]) -> str:
    rate = optimizer["learn_rate"]
    return f"{rate:g} ({rate * optimizer['head_rate']:g})"


def _tuned(rows: Sequence[Row]) -> str:
    parts = [TUNED] if rows else [TUNED, NO_ROWS]
    for group in group_rows(rows, (*TABLE, *MACHINE)).values():
        first = group[0]
        parts.append(
            f"{TITLES[first['data']]}, {first['train_sentences']:,} sentences, "
            f"{first['split']} part, epochs: "
            f"{first['epochs']}, sentences a batch: {first['batch_size']}, {first['precision']}; "
            f"{machine_of(first)}.\n"
        )
        lines = sorted(group_rows(group, LINE).values(), key=_line_place)
        head = ["", "F", "gain", "P", "R", "recall", "candidates a gold span"]
        head += ["seeds", "CPU minutes"]
        parts.append(markdown_table(head, [_line(line, lines) for line in lines]))
    return "\n".join([*parts, _missing(rows)])


def _line(line: Sequence[Row], lines: Sequence[Sequence[Row]]) -> List[str]:
    first = line[0]
    if len({row["seed"] for row in line}) < len(line):
        raise ValueError(f"Two rows with the same seed of one run: {first['encoder']}")
    plain = _plain_of(line, lines)
    scores = [row["scores"]["spans_entities_f"] for row in line]
    sd = f" ± {100 * statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    recall, cost = _mean(line, "candidates_recall"), _mean(line, "candidates_per_gold")
    return [
        _title(first, lines),
        f"**{100 * statistics.mean(scores):.1f}**{sd}",
        "" if plain is None else _gain(line, plain),
        *(f"{100 * (_mean(line, f'spans_entities_{name}') or 0):.1f}" for name in "pr"),
        "" if recall is None else f"{100 * recall:.1f}",
        "" if cost is None else f"{cost:.1f}",
        str(len(line)),
        f"{statistics.mean(row['train_cpu_s'] for row in line) / 60:.0f}",
    ]


def _mean(line: Sequence[Row], name: str) -> Optional[float]:
    """The mean of a score over seeds; None where a row lacks it."""
    found = [row["scores"].get(name) for row in line]
    return None if None in found else statistics.mean(found)


def _gain(line: Sequence[Row], plain: Sequence[Row]) -> str:
    by_seed = {row["seed"]: row["scores"]["spans_entities_f"] for row in plain}
    gains = [
        row["scores"]["spans_entities_f"] - by_seed[row["seed"]]
        for row in line
        if row["seed"] in by_seed
    ]
    return f"{100 * statistics.mean(gains):+.1f} ({len(gains)})" if gains else ""


def _plain_of(line: Sequence[Row], lines: Sequence[Sequence[Row]]) -> Optional[Sequence[Row]]:
    """The line without a stage, by whose encoder this one's is named, and without a variant; None
    for that line itself."""
    first = line[0]
    plain = [
        other
        for other in lines
        if not other[0]["tag"]
        and all(other[0][name] == first[name] for name in ("system", "learn_rate"))
        and f"{first['encoder']}-".startswith(f"{other[0]['encoder']}-")
    ]
    start = min(plain, key=lambda other: len(other[0]["encoder"]), default=line)
    return None if start is line else start


def _title(row: Row, lines: Sequence[Sequence[Row]]) -> str:
    notes = [str(row["system"]), f"`{row['encoder']}`", *([row["tag"]] if row["tag"] else [])]
    if not row["tag"]:
        notes += [f"`{item}`" for item in row["override"] if item != MORE_NOUNS]
    rates = {line[0]["learn_rate"] for line in lines if line[0]["system"] == row["system"]}
    return ", ".join(
        [*notes, *([f"learning rate {row['learn_rate']:g}"] if len(rates) > 1 else [])]
    )


def _line_place(line: Sequence[Row]) -> Tuple[Any, ...]:
    row = line[0]
    place = _encoder_place(row["encoder"])
    return row["system"] != "tagger", row["tag"] == TWO_ENCODERS, place, row["tag"]


def _encoder_place(name: str) -> int:
    known = name in DECOUPLED_ENCODERS
    return DECOUPLED_ENCODERS.index(name) if known else len(DECOUPLED_ENCODERS)


def _missing(rows: Sequence[Row]) -> str:
    """A list of the runs of the plans which have no row."""
    have = {_run_of(row) for row in rows}
    gaps: Dict[str, Dict[str, List[str]]] = defaultdict(lambda: defaultdict(list))
    for arguments in [*PLANS["decoupled-small"], *PLANS["decoupled"]]:
        told = _read_arguments(arguments)
        if _run_of(told) not in have:
            size = f"{told['drawn']:,} sentences" if told["drawn"] else "all sentences"
            notes = [told["system"], f"`{told['encoder']}`", told["tag"]]
            of_table = gaps[f"{TITLES[told['data']]}, {size}, {told['split']} part"]
            of_table[", ".join(filter(None, notes))].append(str(told["seed"]))
    lines = []
    for table, of_table in gaps.items():
        runs = [f"{name} ({', '.join(seeds)})" for name, seeds in of_table.items()]
        lines.append(f"- {table}: {'; '.join(runs)}\n")
    return "".join(["Missing, seeds in brackets:\n\n", *lines]) if lines else ""


def _run_of(row: Mapping[str, Any]) -> Tuple[Any, ...]:
    drawn = row["drawn"] if "drawn" in row else _drawn(row["train_sentences"])
    same = ("data", "system", "encoder", "tag", "split", "seed")
    return drawn, *(row[name] for name in same)


def _drawn(sentences: int) -> int:
    """How many sentences were drawn; 0 for all."""
    return sentences if sentences <= 1000 else 0


def _read_arguments(arguments: Sequence[str]) -> Row:
    def value(option: str, default: str = "") -> str:
        return arguments[arguments.index(option) + 1] if option in arguments else default

    return {
        "data": arguments[0],
        "system": arguments[1],
        "encoder": arguments[-1],
        "tag": value("--tag"),
        "drawn": int(value("--train-sentences", "0")),
        "split": value("--split", "test"),
        "seed": int(value("--seed")),
    }
