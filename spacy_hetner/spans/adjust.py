"""Moving span boundaries by predicted offsets (Locate and Label, Eq 6-7)."""

from typing import Literal, NamedTuple

import numpy

from ..types import SpanArray

ILLEGAL_POLICIES = ("clamp", "revert")


class AdjustedSpans(NamedTuple):
    """spans: int64 ``(n, 2)``; legal: bool ``(n,)``, False for what must not be classified."""

    spans: SpanArray
    legal: numpy.ndarray


def adjust_spans(
    seeds: SpanArray,
    offsets: numpy.ndarray,
    low: numpy.ndarray,
    high: numpy.ndarray,
    *,
    illegal: Literal["clamp", "revert"] = "clamp",
) -> AdjustedSpans:
    """Shift boundaries by floor(offset + 1/2) and keep them inside the sentence.

    seeds: int ``(n, 2)``; offsets: float ``(n, 2)``, left and right; low, high: the sentence
    bounds ``[low, high)``, scalars or ``(n,)``. "clamp" moves a boundary outside the sentence to
    its end, and only a span that is empty or inverted then is illegal (spec D); "revert" makes
    every span that leaves the sentence or inverts illegal and gives it its seed back (the
    published code).
    """
    # Rounding in float64: torch and numpy would round halves to even, the paper rounds them up.
    moved = seeds + numpy.floor(numpy.asarray(offsets, dtype="float64") + 0.5).astype("int64")
    if illegal == "revert":
        legal = (moved[:, 0] >= low) & (moved[:, 1] <= high) & (moved[:, 0] < moved[:, 1])
        return AdjustedSpans(numpy.where(legal[:, None], moved, seeds), legal)
    clamped = numpy.stack(
        (numpy.maximum(moved[:, 0], low), numpy.minimum(moved[:, 1], high)), axis=1
    )
    return AdjustedSpans(clamped, clamped[:, 0] < clamped[:, 1])
