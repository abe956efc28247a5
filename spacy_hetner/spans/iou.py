"""Overlap of half-open token spans."""

import numpy

from ..types import SpanArray


def iou(a: SpanArray, b: SpanArray) -> numpy.ndarray:
    """Intersection over union of spans, elementwise with broadcasting.

    a, b: int ``(..., 2)``. On overlapping spans the hull is the union, so
    IoU = max(0, min(e) - max(s)) / (max(e) - min(s)); it is 0 for disjoint, touching and empty
    spans. float64, since 7/10 in float32 is below a threshold of 0.7.

    RETURNS: float64, the broadcast shape without its last axis.
    """
    shared = numpy.minimum(a[..., 1], b[..., 1]) - numpy.maximum(a[..., 0], b[..., 0])
    hull = numpy.maximum(a[..., 1], b[..., 1]) - numpy.minimum(a[..., 0], b[..., 0])
    return numpy.maximum(shared, 0) / numpy.maximum(hull, 1)
