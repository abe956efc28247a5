"""Nested samples: of one seed, a larger sample holds all of the smaller ones."""

import math
from collections import Counter
from fractions import Fraction
from typing import Iterable, Tuple

import numpy

from ..errors import Errors
from ..sampling import uniform
from ..validation import check_count


def nested_order(ids: Iterable[str], *, seed: int) -> numpy.ndarray:
    """The order in which records are drawn: its first n are the sample of n records.

    Which records are drawn depends on their ids only, not on how they are ordered or cut into
    files. Of records that share an id, or have none, the place among their like tells them apart.

    RETURNS (numpy.ndarray): int64 ``(n,)``, places in ``ids``.
    """
    seen: Counter[str] = Counter()

    def name(identity: str) -> str:
        seen[identity] += 1
        return f"{seen[identity]}:{identity}"

    return numpy.argsort(uniform(map(name, ids), seed=seed, salt="sample"), kind="stable")


def sample_size(total: int, *, count: int = 0, share: float = 1.0) -> int:
    """How many of ``total`` records a sample has.

    count (int): So many; 0 goes by the share.
    share (float): Of all, rounded half up as the decimal number that it is written as; at least 1.

    Raises ValueError for a size that is none (HE078, HE217), for two sizes (HE216), and for a count
    above the total (HE215).
    """
    count, share = check_size(count, share)
    if count > total:
        raise ValueError(Errors.HE215.format(count=count, total=total))
    # As it is written, since 0.145 of 100 are 14.5, and its binary fraction falls short of that.
    return count or max(1, math.floor(Fraction(str(share)) * total + Fraction(1, 2)))


def check_size(count: int, share: float) -> Tuple[int, float]:
    """RETURNS: both; RAISES (ValueError): HE078, HE216, HE217, see ``sample_size``."""
    if not 0 < share <= 1:
        raise ValueError(Errors.HE217.format(value=share))
    if check_count("sample_count", count, 0) and share != 1:
        raise ValueError(Errors.HE216.format(count=count, share=share))
    return int(count), float(share)
