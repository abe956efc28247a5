"""What becomes of a name that dictionaries give several labels."""

from itertools import combinations
from typing import Counter, Dict, Mapping, Tuple

CONFLICTS = ("all", "first", "majority", "drop")
"""Keep all labels; the first in order of priority; the one seen most often; or no entry at all."""

Votes = Dict[str, Dict[str, float]]
"""For each label, in order of priority, its names, and how often each was seen with it."""


def labels_by_name(votes: Votes) -> Dict[str, Tuple[str, ...]]:
    """All labels of each name, in order of priority."""
    found: Dict[str, Tuple[str, ...]] = {}
    for label, names in votes.items():
        for name in names:
            found[name] = (*found.get(name, ()), label)
    return found


def settle(labels: Tuple[str, ...], name: str, votes: Votes, conflict: str) -> Tuple[str, ...]:
    """The labels of a name that remain under one of ``CONFLICTS``."""
    if len(labels) == 1 or conflict == "all":
        return labels
    if conflict == "drop":
        return ()
    if conflict == "first":
        return labels[:1]
    # max() takes the first of equals: the one of higher priority.
    return (max(labels, key=lambda label: votes[label][name]),)


def ambiguous_pairs(label_sets: Mapping[Tuple[str, ...], int]) -> Dict[str, int]:
    """How many names have both labels of a pair, most frequent first.

    label_sets: How many names have each set of labels.
    """
    pairs: Counter[str] = Counter()
    for labels, n in label_sets.items():
        pairs.update({f"{one} + {other}": n for one, other in combinations(labels, 2)})
    return dict(pairs.most_common())
