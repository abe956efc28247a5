"""Which typed sentences are worth learning from: the filters of NER-BERT, section 2.2.

In the paper's order: (a) rare categories go, (b) so do sentences that say of no entity what it is,
(c) of those that speak of common categories only, the more go the more of their entities are
untyped. What is rare is counted before (a), what is common between (b) and (c); the counts of the
job before say it.
"""

from dataclasses import dataclass
from typing import List, Mapping, Sequence

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from ..corpora.steps import (
    DROPPED,
    LabelColumn,
    draw,
    keep_rows,
    label_column,
    with_labels,
)
from ..engine.task import Counts
from ..labels.type_map import UNTYPED
from ..validation import check_choice

RARE_MENTION = "mention of a rare category"
RARE_SENTENCE = "sentence with a rare category"
NOTHING_TYPED = "sentence without a typed entity"
COMMON_SENTENCE = "sentence of common categories and untyped entities"
RELABELLED = "relabelled"

RARE_ACTIONS = ("entity", "drop_mention", "drop_sentence")


def rare_labels(
    mentions: Mapping[str, int], *, min_count: int = 10, untyped: str = UNTYPED
) -> List[str]:
    """Categories of fewer mentions than ``min_count``, in the alphabet's order."""
    return sorted(name for name, count in mentions.items() if count < min_count and name != untyped)


def common_labels(mentions: Mapping[str, int], *, top: int = 20) -> List[str]:
    """The most frequent labels, untyped among them; equally frequent ones by the alphabet."""
    present = (name for name, count in mentions.items() if count)
    return sorted(present, key=lambda name: (-mentions[name], name))[:top]


def drop_probabilities(
    labels: LabelColumn, sentences: int, common: Sequence[str], *, untyped: str = UNTYPED
) -> numpy.ndarray:
    """How likely each sentence is to be dropped by (b) and (c).

    1 for a sentence with no entity but untyped ones. Otherwise, if all its labels are common (the
    untyped one counts as any other): 0.3 with 3 untyped mentions, 0.5 with 4, 0.7 with more.

    RETURNS (numpy.ndarray): float64 ``(sentences,)``.
    """
    is_untyped = labels.is_among([untyped])
    chances = numpy.array([0.0, 0.0, 0.0, 0.3, 0.5, 0.7])
    chance = chances[numpy.minimum(labels.count_rows(is_untyped, sentences), 5)]
    chance[labels.count_rows(~labels.is_among(common), sentences) > 0] = 0.0
    chance[labels.count_rows(~is_untyped, sentences) == 0] = 1.0
    return chance


@dataclass(frozen=True)
class DropRare:
    """Step (a). The paper does not say what becomes of the mentions.

    action (str): ``entity``, they become untyped; ``drop_mention``; or ``drop_sentence``.
    """

    rare: Sequence[str]
    action: str = "entity"
    untyped: str = UNTYPED

    def __post_init__(self) -> None:
        check_choice("action", self.action, RARE_ACTIONS)

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        column = label_column(batch)
        is_rare = column.is_among(self.rare)
        if not is_rare.any():
            return batch
        if self.action == "drop_sentence":
            kept = column.count_rows(is_rare, len(batch)) == 0
            return keep_rows(batch, kept, counts, RARE_SENTENCE)
        labels = batch["labels"].flatten()
        if self.action == "drop_mention":
            counts[DROPPED][RARE_MENTION] += int(is_rare.sum())
            return with_labels(batch, labels, ~is_rare)
        counts[RELABELLED][RARE_MENTION] += int(is_rare.sum())
        return with_labels(batch, pc.if_else(pa.array(is_rare), self.untyped, labels))


@dataclass(frozen=True)
class DropUntyped:
    """Step (b): only sentences with an entity of a category stay."""

    untyped: str = UNTYPED

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        column = label_column(batch)
        typed = column.count_rows(~column.is_among([self.untyped]), len(batch))
        return keep_rows(batch, typed > 0, counts, NOTHING_TYPED)


@dataclass(frozen=True)
class ThinCommon:
    """Step (c), by ``drop_probabilities`` and the hash of seed and id of each sentence."""

    common: Sequence[str]
    seed: int
    untyped: str = UNTYPED

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        chance = drop_probabilities(
            label_column(batch), len(batch), self.common, untyped=self.untyped
        )
        kept = draw(batch, seed=self.seed, salt="common") >= chance
        return keep_rows(batch, kept, counts, COMMON_SENTENCE)
