"""How far a dictionary's labels go: which gold mentions they cover, and how often they agree."""

from collections import Counter
from typing import Dict, Iterable, NamedTuple, Sequence, Tuple

from ..types import LabelledSpan

TOTAL = "total"


class Agreement(NamedTuple):
    """Gold mentions: all, those whose exact bounds have a distant label, those with the same one.

    The rates are those of the appendix of Decoupled NER (8.1); 0 where there is nothing to count.
    """

    gold: int
    covered: int
    agreeing: int

    @property
    def coverage(self) -> float:
        """Covered among all."""
        return self.covered / self.gold if self.gold else 0.0

    @property
    def agreement(self) -> float:
        """Agreeing among the covered."""
        return self.agreeing / self.covered if self.covered else 0.0


def compare_labels(
    sentences: Iterable[Tuple[Sequence[LabelledSpan], Sequence[LabelledSpan]]],
) -> Dict[str, Agreement]:
    """Agreement by gold label, and of all mentions under ``TOTAL``.

    sentences: The gold and the distant spans of each sentence, over the same tokens. A span with
        several distant labels agrees if one of them is the gold one.
    """
    gold_count: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    agreeing: Counter[str] = Counter()
    for gold, distant in sentences:
        found = set(distant)
        bounds = {(span.start, span.end) for span in distant}
        for span in set(gold):
            for name in (span.label, TOTAL):
                gold_count[name] += 1
                covered[name] += (span.start, span.end) in bounds
                agreeing[name] += span in found
    names = [*sorted(name for name in gold_count if name != TOTAL), TOTAL]
    return {name: Agreement(gold_count[name], covered[name], agreeing[name]) for name in names}
