"""What a job counted, as tables for people."""

from collections import Counter
from typing import List, Mapping, Sequence

from wasabi import table

from ..corpora.steps import LABELS
from ..engine.task import Counts

TOP = 10


def summarize(steps: Mapping[str, Counts]) -> str:
    """A line a step: its rows, mentions and categories; below it what was counted beside.

    At the end the most frequent categories of the step that has most of them.
    """
    lines: List[Sequence[str]] = []
    frequent: Mapping[str, int] = {}
    for name, counts in steps.items():
        labels = +counts.get(LABELS, Counter())
        frequent = max(frequent, labels, key=len)
        rows = counts["rows"]["total"] if "rows" in counts else 0
        lines.append((name, _number(rows), _number(sum(labels.values())), _number(len(labels))))
        for section, counter in counts.items():
            if section not in ("rows", LABELS, "sentences with"):
                lines += [
                    (f"  {section}: {what}", _number(n), "", "") for what, n in counter.items()
                ]
    top = sorted(frequent.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    parts = [
        table(lines, header=("step", "rows", "mentions", "categories"), aligns=("l", "r", "r", "r"))
    ]
    if top:
        parts.append(table([(label, _number(n)) for label, n in top], aligns=("l", "r")))
    return "\n".join(parts)


def _number(value: int) -> str:
    return f"{value:,}" if value else ""
