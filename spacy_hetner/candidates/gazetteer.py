"""A gazetteer's names in docs, as candidates: the dictionary that goes with a pipeline."""

from pathlib import Path
from typing import List, Optional, Sequence

import numpy
from spacy.tokens import Doc

from ..errors import Errors
from ..gazetteers.gazetteer import Gazetteer
from ..gazetteers.tokens import TokenMatches, TokensAndSpaces, match_tokens
from ..spans.batch import sentence_bounds
from ..types import PathLike, SpanArray
from .proposer import as_spans, sort_spans


def make_gazetteer_candidates(path: str, overlapping: bool = True) -> "GazetteerCandidates":
    """Registered as ``spacy_hetner.GazetteerCandidates.v1``; see GazetteerLookup."""
    return GazetteerCandidates(path, overlapping=overlapping)


class GazetteerLookup:
    """Finds a gazetteer's entries in docs: at whole tokens, within sentences.

    The gazetteer is read from its folder when it is first needed, and from then on saved with the
    pipeline, which does not need the folder any more.

    path (str): A folder that ``Gazetteer.to_disk`` wrote; "" where the gazetteer is given later,
        by ``initialize`` or as the attribute ``gazetteer``.
    overlapping (bool): All matches, or from left to right the longest that begins first.
    title (str): The component or proposer, for messages.
    """

    def __init__(
        self,
        path: str = "",
        *,
        overlapping: bool = True,
        title: str = "spacy_hetner.GazetteerCandidates.v1",
    ) -> None:
        self.path = path
        self.overlapping = overlapping
        self.title = title
        self._gazetteer: Optional[Gazetteer] = None

    @property
    def gazetteer(self) -> Gazetteer:
        """RAISES (ValueError): HE112 if its folder holds none, HE175 if there is no folder."""
        if self._gazetteer is None:
            if not self.path:
                raise ValueError(Errors.HE175.format(name=self.title))
            self._gazetteer = Gazetteer.from_disk(self.path)
        return self._gazetteer

    @gazetteer.setter
    def gazetteer(self, gazetteer: Gazetteer) -> None:
        self._gazetteer = gazetteer

    @property
    def is_loaded(self) -> bool:
        """Whether the gazetteer has been read."""
        return self._gazetteer is not None

    @property
    def is_known(self) -> bool:
        """Whether there is a gazetteer, read already or still to be."""
        return self.is_loaded or bool(self.path)

    def initialize(self, path: Optional[PathLike] = None) -> None:
        """Read the gazetteer now, by default from the configured path.

        RAISES (ValueError): As ``gazetteer``.
        """
        if path or self.path:
            self._gazetteer = Gazetteer.from_disk(path or self.path)
        elif not self.is_loaded:
            raise ValueError(Errors.HE175.format(name=self.title))

    def find(self, docs: Sequence[Doc]) -> List[TokenMatches]:
        """The entries found in each doc, ordered by start and end."""
        texts: List[TokensAndSpaces] = []
        bounds = [sentence_bounds(doc).tolist() for doc in docs]
        for doc, sentences in zip(docs, bounds, strict=True):
            words, spaces = [token.text for token in doc], [bool(t.whitespace_) for t in doc]
            texts += [(words[start:end], spaces[start:end]) for start, end in sentences]
        found = iter(match_tokens(self.gazetteer, texts, overlapping=self.overlapping))
        return [
            _concatenate([_shift(next(found), start) for start, _ in sentences])
            for sentences in bounds
        ]

    def to_disk(self, path: PathLike) -> None:
        """Write the gazetteer to a folder, where there is one."""
        if self.is_known:
            self.gazetteer.to_disk(path)

    def from_disk(self, path: PathLike) -> None:
        """Take back what ``to_disk`` wrote."""
        if Path(path).exists():
            self._gazetteer = Gazetteer.from_disk(path)

    def to_bytes(self) -> bytes:
        """The gazetteer as bytes; none without a gazetteer."""
        return self.gazetteer.to_bytes() if self.is_known else b""

    def from_bytes(self, data: bytes) -> None:
        """Take back what ``to_bytes`` gave."""
        if data:
            self._gazetteer = Gazetteer.from_bytes(data)


class GazetteerCandidates(GazetteerLookup):
    """The proposer of what GazetteerLookup finds."""

    def __call__(self, docs: Sequence[Doc]) -> List[SpanArray]:
        """RETURNS: the entries' spans in each doc, int64 (n, 2), sorted."""
        return [sort_spans(found.spans) for found in self.find(docs)]


def _shift(found: TokenMatches, start: int) -> TokenMatches:
    return TokenMatches(found.spans + start, found.entries)


def _concatenate(parts: Sequence[TokenMatches]) -> TokenMatches:
    return TokenMatches(
        numpy.concatenate([as_spans([]), *(part.spans for part in parts)]),
        numpy.concatenate([numpy.zeros(0, "int64"), *(part.entries for part in parts)]),
    )
