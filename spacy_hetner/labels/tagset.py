"""Tags as numbers: the outputs of a tagger for some labels, and which may follow which."""

from typing import Iterable, List, NamedTuple, Sequence

import numpy

from ..types import LabelledSpan
from ..validation import check_choice
from .codecs import (
    BEGIN,
    END,
    INSIDE,
    OUTSIDE,
    SCHEMES,
    Decoding,
    decode_tags,
    encode_tags,
    scheme_name,
)

TAGGER_SCHEMES = ("BIO", "BMES", "BIOES")
"""Schemes in which what a tag means does not depend on the tags before it."""


class LegalTags(NamedTuple):
    """What a scheme allows: bool arrays.

    start, end: ``(n_tags,)``, tags that a sentence may begin and end with; transitions:
    ``(n_tags, n_tags)``, from a tag (row) to the next (column).
    """

    start: numpy.ndarray
    transitions: numpy.ndarray
    end: numpy.ndarray


class TagSet:
    """The tags of some labels in one scheme, numbered: O is 0, then those of one label each.

    A label that is appended leaves the numbers of the others as they are.

    labels (Sequence[str]): The labels.
    scheme (str): One of ``TAGGER_SCHEMES``, or another name of one.

    RAISES (ValueError): HE004 for any other scheme.
    """

    def __init__(self, labels: Sequence[str], scheme: str) -> None:
        self.scheme = check_choice("tag scheme", scheme_name(scheme), TAGGER_SCHEMES)
        prefixes = SCHEMES[self.scheme].roles
        self.tags = [OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in prefixes)]
        self._numbers = {tag: number for number, tag in enumerate(self.tags)}

    def __len__(self) -> int:
        return len(self.tags)

    def encode(self, spans: Iterable[LabelledSpan], n: int) -> numpy.ndarray:
        """Numbers of a sentence's tags, int64 ``(n,)``; raises as ``encode_tags``."""
        tags = encode_tags(spans, n, self.scheme)
        return numpy.array([self._numbers[tag] for tag in tags], dtype="int64")

    def decode(self, numbers: Iterable[int], mode: Decoding = "conlleval") -> List[LabelledSpan]:
        """The spans of a sentence, in order; ``mode`` as in ``decode_tags``."""
        return decode_tags([self.tags[number] for number in numbers], self.scheme, mode).spans

    def legal(self) -> LegalTags:
        """The tags and transitions of well-formed sentences."""
        roles = [None, *self._for_each_label(list(SCHEMES[self.scheme].roles.values()))]
        label = self._label_numbers()
        goes_on = numpy.array([role in (INSIDE, END) for role in roles])
        is_open = numpy.array([role in (BEGIN, INSIDE) for role in roles])
        must_go_on = is_open & SCHEMES[self.scheme].closes
        same_label = label[:, None] == label
        transitions = numpy.where(goes_on, is_open[:, None] & same_label, ~must_go_on[:, None])
        return LegalTags(~goes_on, transitions, ~must_go_on)

    def continuations(self) -> numpy.ndarray:
        """For each tag the one after it that would draw its span out: int64 ``(n_tags,)``.

        -1 for O, and for all tags of a scheme in which a tag says where its span ends.
        """
        inside = [list(SCHEMES[self.scheme].roles.values()).index(INSIDE)]
        first = 1 + self._label_numbers() * len(SCHEMES[self.scheme].roles)
        known = (first > 0) & (not SCHEMES[self.scheme].closes)
        return numpy.where(known, first + inside, -1)

    def _label_numbers(self) -> numpy.ndarray:
        """The number of each tag's label, -1 for O."""
        return (numpy.arange(len(self)) - 1) // len(SCHEMES[self.scheme].roles)

    def _for_each_label(self, values: List[str]) -> List[str]:
        return values * ((len(self) - 1) // len(values))
