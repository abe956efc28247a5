"""What is in a gazetteer: entries, labels, ambiguity, lengths."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Tuple

import numpy
from wasabi import table

from .conflicts import ambiguous_pairs
from .gazetteer import Gazetteer

_BOUNDS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
"""Lengths at which a line of the printed histogram ends."""


@dataclass
class GazetteerStatistics:
    """Counts of a gazetteer.

    entries (int): Names.
    labels (Dict[str, int]): Names that have each label, in order of priority.
    ambiguous (int): Names with several labels.
    pairs (Dict[str, int]): Names that have both labels of a pair, most frequent first.
    lengths (Dict[int, int]): Names of each length in characters.
    """

    entries: int
    labels: Dict[str, int] = field(default_factory=dict)
    ambiguous: int = 0
    pairs: Dict[str, int] = field(default_factory=dict)
    lengths: Dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, gazetteer: Gazetteer) -> "GazetteerStatistics":
        """Count what is in a gazetteer."""
        numbers = numpy.bincount(gazetteer.label_set_of, minlength=len(gazetteer.label_sets))
        sets = dict(zip(gazetteer.label_sets, numbers.tolist(), strict=True))
        labels = {
            label: sum(n for label_set, n in sets.items() if label in label_set)
            for label in gazetteer.labels
        }
        ambiguous = sum(n for label_set, n in sets.items() if len(label_set) > 1)
        lengths = Counter(map(len, gazetteer.surfaces))
        return cls(
            len(gazetteer), labels, ambiguous, ambiguous_pairs(sets), dict(sorted(lengths.items()))
        )

    def to_dict(self) -> Dict[str, Any]:
        """The counts as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The counts as a table."""
        rows: List[Tuple[str, int]] = [("entries", self.entries)]
        rows += [(f"  {label}", n) for label, n in self.labels.items()]
        rows += [("with several labels", self.ambiguous)]
        rows += [(f"  {pair}", n) for pair, n in self.pairs.items()]
        rows += self._histogram()
        return table([(name, f"{n:,}") for name, n in rows], aligns=("l", "r"))

    def _histogram(self) -> List[Tuple[str, int]]:
        """Lengths in ranges, none of them empty."""
        ranges: Counter[Tuple[int, float]] = Counter()
        for length, n in self.lengths.items():
            low = max((bound + 1 for bound in _BOUNDS if bound < length), default=1)
            ranges[
                low, min((bound for bound in _BOUNDS if bound >= length), default=numpy.inf)
            ] += n
        return [
            (
                f"length {low:,}"
                + ("" if low == high else "+" if high == numpy.inf else f"-{high}"),
                n,
            )
            for (low, high), n in sorted(ranges.items())
        ]
