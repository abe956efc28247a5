"""Few-shot rows as a table and as curves: mean and standard deviation over the seeds."""

import warnings
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..errors import Warnings
from ..files import replacing
from ..types import PathLike
from ..validation import check_choice
from .pictures import save_figure

SUFFIXES = (".png", ".svg")
_MARKERS = "os^Dv*PX"


class Spread(NamedTuple):
    """Mean and standard deviation of a sample, which divides by one less than its size; None of
    a single run."""

    mean: float
    sd: Optional[float]

    def __str__(self) -> str:
        """In percent."""
        mean = f"{100 * self.mean:.2f}"
        return mean if self.sd is None else f"{mean} ± {100 * self.sd:.2f}"


class Point(NamedTuple):
    """All runs of a size from a start. f, p, r: strict scores on the test set, from 0 to 1."""

    n: int
    total: int
    start: str
    runs: int
    f: Spread
    p: Spread
    r: Spread


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def summarize(rows: Sequence[Mapping[str, Any]]) -> List[Point]:
    """Rows of ``FewShot.run`` by size, and then by start in the order of the rows."""
    groups: Dict[Tuple[int, int, str], List[Mapping[str, float]]] = defaultdict(list)
    for row in rows:
        groups[row["n"], row["total"], row["start"]].append(row["scores"]["strict"])
    points = [
        Point(*group, len(scores), *(spread([one[name] for one in scores]) for name in "fpr"))
        for group, scores in groups.items()
    ]
    return sorted(points, key=lambda point: point.n)


def to_markdown(points: Sequence[Point]) -> str:
    """A table in percent."""
    lines = ["| sentences | share | start | runs | F | P | R |", f"|{' --- |' * 7}"]
    lines += [
        f"| {point.n} | {100 * point.n / point.total:.3g}% | {point.start} | {point.runs} "
        f"| {point.f} | {point.p} | {point.r} |"
        for point in points
    ]
    return "\n".join(lines) + "\n"


def save_table(points: Sequence[Point], path: PathLike) -> None:
    """Write the table, and what its numbers are; RAISES (ValueError): HE081."""
    text = (
        "Strict scores of entities on the test set, in percent: mean ± standard deviation over the "
        f"runs, each with a seed of its own.\n\n{to_markdown(points)}"
    )
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf8", newline="\n")


def save_curves(points: Sequence[Point], path: PathLike) -> None:
    """Draw F over the number of sentences, a curve a start, with a band of one standard deviation.

    The same points give the same bytes. Without matplotlib a warning (HW215) says so instead.

    RAISES (ValueError): HE004 for another suffix than .png and .svg, HE081 where the file cannot
        be written.
    """
    check_choice("kind of picture", Path(path).suffix, SUFFIXES)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        warnings.warn(Warnings.HW215.format(path=path, reason=error), stacklevel=2)
        return

    def draw() -> Figure:
        figure = Figure(figsize=(6, 4), layout="constrained")
        _draw(figure.add_subplot(), points)
        return figure

    save_figure(path, draw)


def _draw(axes: Any, points: Sequence[Point]) -> None:
    for number, start in enumerate(dict.fromkeys(point.start for point in points)):
        own = [point for point in points if point.start == start]
        sizes = [point.n for point in own]
        means = [100 * point.f.mean for point in own]
        bands = [100 * (point.f.sd or 0.0) for point in own]
        marker = _MARKERS[number % len(_MARKERS)]
        (line,) = axes.plot(sizes, means, marker=marker, label=start)
        low = [mean - band for mean, band in zip(means, bands, strict=True)]
        high = [mean + band for mean, band in zip(means, bands, strict=True)]
        axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    sizes = sorted({point.n for point in points})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes], rotation=45)
    axes.minorticks_off()
    axes.set_xlabel("training sentences")
    axes.set_ylabel("strict F, %")
    axes.grid(alpha=0.3)
    axes.legend()
