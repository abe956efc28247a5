"""Normalisation of characters: width, script and case, one character for one.

Since every character becomes exactly one, an offset of the normalised text is that of the text.
What would change the length (``ß`` -> ``ss``, composition of accents) is left as it is.
"""

import unicodedata
from functools import partial
from typing import Callable, Dict, List, NamedTuple, Sequence

import numpy

from ..errors import Errors
from ..validation import check_choice
from .trie import CODE_POINTS

STEPS = ("width", "simplified", "case")
"""What can be normalised, in the order in which it is done."""


class Normalizer:
    """A table that gives each character its normalised one.

    steps (Sequence[str]): Some of ``STEPS``: "width" makes full-width Latin letters, digits, signs
        and blanks half-width and half-width Kana full-width; "simplified" makes Traditional
        characters Simplified by OpenCC; "case" folds case.
    table: uint32 ``(0x110000,)``, the code point that each becomes.

    Raises ValueError for another step (HE004) and for a missing OpenCC (HE110).
    """

    def __init__(self, steps: Sequence[str] = ()) -> None:
        for step in steps:
            check_choice("normalisation", step, STEPS)
        self.steps = tuple(step for step in STEPS if step in steps)
        self.table = numpy.arange(CODE_POINTS, dtype="uint32")
        for step in self.steps:
            self.table = _table(_STEPS[step])[self.table]
        # Again, so that what is normalised stays as it is: OpenCC makes 薴 to 苧, but 苧 to 苎.
        self.table = self.table[self.table]
        self._mapping: Dict[int, int] = {}
        self._set_mapping()

    def __call__(self, text: str) -> str:
        """The normalised text, as long as the text."""
        return text.translate(self._mapping) if self._mapping else text

    def to_array(self) -> numpy.ndarray:
        """The characters that change and what they become, uint32 ``(n, 2)``."""
        changed = numpy.flatnonzero(self.table != numpy.arange(CODE_POINTS))
        return numpy.stack([changed, self.table[changed]], axis=1).astype("uint32")

    @classmethod
    def from_array(cls, steps: Sequence[str], changes: numpy.ndarray) -> "Normalizer":
        """The normaliser that ``to_array`` gave, whatever is installed here."""
        normalizer = cls()
        normalizer.steps = tuple(steps)
        normalizer.table[changes[:, 0]] = changes[:, 1]
        normalizer._set_mapping()
        return normalizer

    def _set_mapping(self) -> None:
        changes = self.to_array()
        self._mapping = dict(zip(changes[:, 0].tolist(), changes[:, 1].tolist(), strict=True))


def _width(char: str) -> str:
    """A full-width or half-width form becomes the usual character."""
    kind, _, code = unicodedata.decomposition(char).partition(" ")
    return chr(int(code, 16)) if kind in ("<wide>", "<narrow>") else char


def _case(char: str) -> str:
    folded = char.casefold()
    return folded if len(folded) == 1 else char.lower()


def _by_character(change: Callable[[str], str], chars: Sequence[str]) -> List[str]:
    return [change(char) for char in chars]


def _simplify(chars: Sequence[str]) -> List[str]:
    """OpenCC's Simplified character for each Traditional one, without regard to its context."""
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise ValueError(Errors.HE110.format(reason=error)) from error
    # A line each, so that no phrase is made of neighbours.
    return OpenCC("t2s").convert("\n".join(chars)).split("\n")


class _Step(NamedTuple):
    """What is done to many characters at once, and to which: ranges of code points."""

    change: Callable[[Sequence[str]], List[str]]
    ranges: Sequence[range]


_STEPS: Dict[str, _Step] = {
    "width": _Step(partial(_by_character, _width), [range(0x3000, 0x3001), range(0xFF00, 0xFFF0)]),
    "simplified": _Step(
        _simplify, [range(0x3400, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x323B0)]
    ),
    "case": _Step(
        partial(_by_character, _case),
        [range(0x3400), range(0xA000, 0xD800), range(0xF900, 0x20000)],
    ),
}


def _table(step: _Step) -> numpy.ndarray:
    """The table of a step; a character that would not become a single one stays as it is."""
    table = numpy.arange(CODE_POINTS, dtype="uint32")
    chars = [chr(code) for codes in step.ranges for code in codes]
    for before, after in zip(chars, step.change(chars), strict=True):
        if len(after) == 1:
            table[ord(before)] = ord(after)
    return table
