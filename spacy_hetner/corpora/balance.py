"""Balance: rare categories more often, common ones less (NER-BERT, section 2.2).

A category is drawn with probability p(E) = n_E^alpha / sum n^alpha, where n_E counts its mentions,
then a sentence uniformly among those that have it, with replacement. So a sentence is drawn with
probability P(s) = sum of p(E) / |S_E| over the distinct categories E of s, where |S_E| counts the
sentences with E.

Nobody has to draw one after the other: if the number of draws is itself Poisson, with mean N, the
copies of the sentences are independent, each Poisson with mean N P(s). So each shard can be done
alone, and what is drawn does not depend on the others.
"""

from dataclasses import dataclass
from typing import Dict, Mapping, Optional

import numpy
import pyarrow as pa

from ..engine.task import Counts
from ..errors import Errors
from ..sampling import poisson
from ..validation import check_count, check_range
from .steps import (
    DROPPED,
    LABELS,
    SENTENCES_WITH,
    LabelColumn,
    draw,
    label_column,
    replace_columns,
)

NOT_DRAWN = "sentence that was not drawn"
DRAWN = "drawn"


def category_probabilities(mentions: Mapping[str, int], alpha: float = 0.7) -> Dict[str, float]:
    """p(E) of each category with mentions. alpha 1 is as they are, 0 all alike.

    Raises ValueError (HE164) if there are no mentions.
    """
    counts = {name: float(count) for name, count in mentions.items() if count > 0}
    if not counts:
        raise ValueError(Errors.HE164)
    total = sum(count**alpha for count in counts.values())
    return {name: count**alpha / total for name, count in counts.items()}


@dataclass(frozen=True)
class Balance:
    """A step that repeats and leaves out sentences. Copies have ids ``<id>#2``, ``<id>#3``, ...

    rates (Mapping[str, float]): How many copies a sentence gets on average for having a category.
    """

    rates: Mapping[str, float]
    seed: int

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        expected = self.expected_copies(label_column(batch), len(batch))
        copies = poisson(expected, draw(batch, seed=self.seed, salt="balance"))
        counts[DROPPED][NOT_DRAWN] += int((copies == 0).sum())
        for number, sentences in zip(*numpy.unique(copies, return_counts=True), strict=True):
            counts[DRAWN][str(number)] += int(sentences)
        rows = numpy.repeat(numpy.arange(len(batch)), copies)
        nth = numpy.arange(len(rows)) - numpy.repeat(numpy.cumsum(copies) - copies, copies) + 1
        drawn = batch.take(pa.array(rows))
        ids = [
            name if number == 1 else f"{name}#{number}"
            for name, number in zip(drawn["id"].to_pylist(), nth.tolist(), strict=True)
        ]
        return replace_columns(drawn, {"id": pa.array(ids, pa.string())})

    def expected_copies(self, labels: LabelColumn, sentences: int) -> numpy.ndarray:
        """N P(s) of each sentence: float64 ``(sentences,)``.

        Raises ValueError (HE165) for a label that was not counted.
        """
        unknown = sorted(set(labels.names) - self.rates.keys())
        if unknown:
            raise ValueError(Errors.HE165.format(labels=", ".join(unknown)))
        distinct = labels.distinct()
        rates = numpy.array([self.rates[name] for name in labels.names], dtype="float64")
        return numpy.bincount(distinct.rows, rates[distinct.codes], minlength=sentences)


def make_balance(
    counts: Counts, *, seed: int, alpha: float = 0.7, draws: Optional[int] = None
) -> Balance:
    """The step that balances a corpus, from the counts of the job that wrote it.

    Balance the training part after the split: else copies of one sentence are in both parts.

    counts (Counts): Of a ``RecordTask``: labels, sentences with each, and rows.
    alpha (float): See ``category_probabilities``; the paper's is 0.7.
    draws (Optional[int]): N, how many sentences are drawn on average. Default: as many as there
        are; the paper does not say.

    Raises ValueError for an alpha outside [0, 1] (HE002), fewer draws than 1 (HE078), and a corpus
    without labels (HE164).
    """
    total = counts["rows"]["total"] if draws is None else check_count("draws", draws, 1)
    chances = category_probabilities(counts.get(LABELS, {}), check_range("alpha", alpha, 0, 1))
    having = counts[SENTENCES_WITH]
    return Balance({name: total * chance / having[name] for name, chance in chances.items()}, seed)
