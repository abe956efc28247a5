"""Texts that are the same as others, or share a run of characters with them.

Texts are compared as they are in NFKC without white space: corpora of characters have lost theirs.
All that is kept of a text are hashes of 8 bytes. Among 10^8 texts two have the same one by chance
in about 3 of 10,000 corpora.
"""

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Iterable, Sequence

import numpy

from ..files import replacing_folder, write_json
from ..types import PathLike

UNLIKE, EQUAL, SHARES = range(3)
"""What a text has in common with others: nothing that counts, everything, or a run."""

_HASH_BYTES = 8
_FACTOR = numpy.uint64(0x9E3779B97F4A7C15)  # odd, so that no character is lost from a run's hash
_BORDER = "\n"  # in no folded text, so that no run that reaches over it is in a table
_BLOCK = 4096  # texts


def fold(text: str) -> str:
    """A text as it is compared: in NFKC, without white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def hash_texts(folded: Iterable[str]) -> numpy.ndarray:
    """A hash of each text, the same everywhere: uint64 ``(n,)``."""
    digests = (
        hashlib.blake2b(text.encode("utf8"), digest_size=_HASH_BYTES).digest() for text in folded
    )
    return numpy.frombuffer(b"".join(digests), dtype="<u8").astype("uint64")


def hash_runs(text: str, length: int) -> numpy.ndarray:
    """A hash of each run of ``length`` characters: uint64 ``(max(0, len(text) - length + 1),)``."""
    codes = numpy.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype("uint64")
    hashes = numpy.zeros(max(0, len(codes) - length + 1), dtype="uint64")
    for offset in range(length):
        hashes = hashes * _FACTOR + codes[offset : offset + len(hashes)]
    return hashes


class TextIndex:
    """What is known of texts that no other text may be like.

    texts, runs (numpy.ndarray): uint64 ``(n,)``, sorted, the hashes of the texts and of their runs.
    overlap (int): The length of the runs, in characters.
    """

    def __init__(self, texts: numpy.ndarray, runs: numpy.ndarray, overlap: int) -> None:
        self.texts = texts
        self.runs = runs
        self.overlap = overlap

    @classmethod
    def build(cls, folded: Iterable[str], overlap: int) -> "TextIndex":
        """The index of folded texts."""
        texts = list(folded)
        runs = [hash_runs(text, overlap) for text in texts]
        empty = numpy.zeros(0, dtype="uint64")
        return cls(
            numpy.unique(hash_texts(texts)),
            numpy.unique(numpy.concatenate([empty, *runs])),
            overlap,
        )

    def compare(self, folded: Sequence[str], hashes: numpy.ndarray) -> numpy.ndarray:
        """UNLIKE, EQUAL or SHARES of each text: uint8 ``(n,)``.

        folded (Sequence[str]), hashes (numpy.ndarray): Texts, and ``hash_texts`` of them.
        """
        blocks = (folded[start : start + _BLOCK] for start in range(0, len(folded), _BLOCK))
        shares = numpy.concatenate([numpy.zeros(0, dtype=bool), *map(self._shares, blocks)])
        found = numpy.where(shares, SHARES, UNLIKE)
        return numpy.where(_among(hashes, self.texts), EQUAL, found).astype("uint8")

    def _shares(self, folded: Sequence[str]) -> numpy.ndarray:
        """Whether each text shares a run: bool ``(n,)``."""
        lengths = [len(text) + len(_BORDER) for text in folded]
        ends = numpy.cumsum(lengths)
        places = numpy.flatnonzero(
            _among(hash_runs(_BORDER.join([*folded, ""]), self.overlap), self.runs)
        )
        shares = numpy.zeros(len(folded), dtype=bool)
        shares[numpy.searchsorted(ends, places, side="right")] = True
        return shares

    def to_disk(self, path: PathLike) -> None:
        """Write the index to a folder."""
        with replacing_folder(path) as folder:
            for name in ("texts", "runs"):
                numpy.save(folder / f"{name}.npy", getattr(self, name))
            write_json(folder / "index.json", {"overlap": self.overlap})

    @classmethod
    def from_disk(cls, path: PathLike) -> "TextIndex":
        """The index in a folder."""
        folder = Path(path)
        overlap = json.loads((folder / "index.json").read_text(encoding="utf8"))["overlap"]
        return cls(numpy.load(folder / "texts.npy"), numpy.load(folder / "runs.npy"), overlap)


def _among(hashes: numpy.ndarray, known: numpy.ndarray) -> numpy.ndarray:
    """Whether each hash is one of a sorted array of them: bool ``(n,)``."""
    if not len(known):
        return numpy.zeros(len(hashes), dtype=bool)
    places = numpy.searchsorted(known, hashes)
    return known[numpy.minimum(places, len(known) - 1)] == hashes
