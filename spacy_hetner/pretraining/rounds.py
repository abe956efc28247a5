"""Rounds of a model that labels what it is trained on in the next (CoFEE, Algorithm 1)."""

from dataclasses import dataclass
from typing import Callable, Generic, Optional, TypeVar

LabelsT = TypeVar("LabelsT")


@dataclass(frozen=True)
class Best(Generic[LabelsT]):
    """The best round: its number, from 1 on; its score, None if nothing is scored; the labels that
    were trained on in it, not those that its model picked."""

    number: int
    score: Optional[float]
    labels: LabelsT


def best_round(
    train: Callable[[int, LabelsT], Optional[float]],
    relabel: Callable[[int, LabelsT], Optional[LabelsT]],
    labels: LabelsT,
    *,
    rounds: int,
    patience: int = 0,
) -> Best[LabelsT]:
    """Train and label in turns, and find the round with the best score.

    train: Trains the model of a round on some labels, and scores it; None: there is nothing to
        score by, so the last round is the best.
    relabel: Labels the data with the model of a round; None: there is nothing to go on with. It is
        not asked after the last round.
    rounds: At most so many.
    patience: End after so many rounds in a row that are not better than the best; 0: never.
    """
    best: Optional[Best[LabelsT]] = None
    without_gain = 0
    for number in range(1, rounds + 1):
        score = train(number, labels)
        if best is None or best.score is None or score is None or score > best.score:
            best, without_gain = Best(number, score, labels), 0
        else:
            without_gain += 1
        if number == rounds or 0 < patience <= without_gain:
            break
        picked = relabel(number, labels)
        if picked is None:
            break
        labels = picked
    assert best is not None
    return best
