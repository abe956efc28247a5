"""A gazetteer: names and the labels that a name can have, ready to be found in text."""

import json
import re
from bisect import bisect_left
from itertools import chain
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy
import srsly
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import Errors
from ..files import replacing
from ..types import PathLike
from .matcher import Matcher
from .normalize import Normalizer
from .trie import Trie

UNFIT = re.compile(r"[\n\ud800-\udfff]")
"""What no entry may have: a line end, which parts the entries of a file, half a character."""

_FORMAT = 1
_ENTRIES, _META, _ARRAYS = "entries.txt", "gazetteer.json", "gazetteer.safetensors"


class Gazetteer:
    """Unique normalised names, each with one or more labels. Not to be changed once made.

    surfaces (List[str]): The names, ascending; an entry's number is its place here.
    labels (Tuple[str, ...]): All labels, in order of priority.
    label_sets (List[Tuple[str, ...]]): The different sets of labels that names have.
    label_set_of (numpy.ndarray): int32 ``(n,)``, the number of each name's set.
    """

    def __init__(
        self,
        names: Mapping[str, Iterable[str]],
        *,
        labels: Sequence[str] = (),
        normalize: Sequence[str] = (),
    ) -> None:
        """Make a gazetteer of names and their labels.

        names (Mapping[str, Iterable[str]]): The labels of each name. Names that become the same
            are one entry with the labels of all.
        labels (Sequence[str]): Labels in order of priority; others follow in order of appearance.
        normalize (Sequence[str]): Steps of ``normalize.STEPS``, for names and for texts.

        Raises ValueError for a name that is empty, one without labels, and one that cannot be
        saved since it has half a character (HE111).
        """
        normalizer = Normalizer(normalize)
        given: Dict[str, Tuple[str, ...]] = {}
        for name, its_labels in names.items():
            surface = normalizer(name)
            given[surface] = (*given.get(surface, ()), *its_labels)
            if not surface or not given[surface] or UNFIT.search(surface):
                raise ValueError(Errors.HE111.format(name=name, labels=", ".join(given[surface])))
        surfaces = sorted(given)
        order = dict.fromkeys(chain(labels, chain.from_iterable(given.values())))
        rank = {label: number for number, label in enumerate(order)}
        # Few sets of labels are different, whatever the number of names.
        sets: Dict[Tuple[str, ...], int] = {}
        number_of: Dict[Tuple[str, ...], int] = {}
        for some in dict.fromkeys(given.values()):
            label_set = tuple(sorted(set(some), key=rank.__getitem__))
            number_of[some] = sets.setdefault(label_set, len(sets))
        numbers = numpy.fromiter(
            (number_of[given[surface]] for surface in surfaces), dtype="int32", count=len(surfaces)
        )
        self._set(surfaces, tuple(order), list(sets), numbers, normalizer, Trie.build(surfaces))

    def _set(
        self,
        surfaces: List[str],
        labels: Tuple[str, ...],
        label_sets: List[Tuple[str, ...]],
        label_set_of: numpy.ndarray,
        normalizer: Normalizer,
        trie: Trie,
    ) -> None:
        self.surfaces = surfaces
        self.labels = labels
        self.label_sets = label_sets
        self.label_set_of = label_set_of
        self.normalizer = normalizer
        self.matcher = Matcher(trie, normalizer)
        self._trie = trie

    def __len__(self) -> int:
        return len(self.surfaces)

    def __contains__(self, text: str) -> bool:
        return bool(self.get(text))

    def labels_of(self, entry: int) -> Tuple[str, ...]:
        """The labels of an entry by its number, in order of priority."""
        return self.label_sets[self.label_set_of[entry]]

    def get(self, text: str) -> Tuple[str, ...]:
        """The labels of a name, which is normalised before; none if it is no entry."""
        surface = self.normalizer(text)
        entry = bisect_left(self.surfaces, surface)
        is_entry = entry < len(self.surfaces) and self.surfaces[entry] == surface
        return self.labels_of(entry) if is_entry else ()

    def to_disk(self, folder: PathLike) -> None:
        """Write the gazetteer as three files: names as text, settings as JSON, the trie as arrays.

        Raises ValueError (HE081) if a file cannot be written.
        """
        for name, content in self._to_files().items():
            with replacing(Path(folder) / name) as partial:
                partial.write_bytes(content)

    @classmethod
    def from_disk(cls, folder: PathLike) -> "Gazetteer":
        """Read what ``to_disk`` wrote; nothing is built anew.

        Raises ValueError (HE112) for what is no gazetteer, or a damaged one.
        """
        try:
            files = {
                name: (Path(folder) / name).read_bytes() for name in (_ENTRIES, _META, _ARRAYS)
            }
        except OSError as error:
            raise ValueError(Errors.HE112.format(path=folder, reason=error)) from error
        return cls._from_files(files, folder)

    def to_bytes(self) -> bytes:
        """The files of ``to_disk`` as one value."""
        return srsly.msgpack_dumps(self._to_files())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Gazetteer":
        """Read what ``to_bytes`` gave. Raises as ``from_disk`` does."""
        try:
            files = srsly.msgpack_loads(content)
        except ValueError as error:
            raise ValueError(Errors.HE112.format(path="bytes", reason=error)) from error
        return cls._from_files(files, "bytes")

    def _to_files(self) -> Dict[str, bytes]:
        meta: Dict[str, Any] = {
            "format": _FORMAT,
            "entries": len(self),
            "labels": self.labels,
            "label_sets": self.label_sets,
            "normalize": self.normalizer.steps,
        }
        arrays = {
            **self._trie.to_arrays(),
            "label_set_of": self.label_set_of,
            "normalizer": self.normalizer.to_array(),
        }
        return {
            _ENTRIES: "".join(f"{surface}\n" for surface in self.surfaces).encode("utf8"),
            _META: (json.dumps(meta, indent=2, ensure_ascii=False) + "\n").encode("utf8"),
            _ARRAYS: save(arrays),
        }

    @classmethod
    def _from_files(cls, files: Dict[str, bytes], path: PathLike) -> "Gazetteer":
        try:
            meta = json.loads(files[_META])
            if meta["format"] != _FORMAT:
                raise ValueError(f"its format is {meta['format']}, not {_FORMAT}")
            surfaces = files[_ENTRIES].decode("utf8").split("\n")[:-1]
            arrays = load(files[_ARRAYS])
            label_sets = [tuple(labels) for labels in meta["label_sets"]]
            label_set_of = arrays["label_set_of"]
            trie = Trie.from_arrays(arrays)
            counts = {len(surfaces), len(label_set_of), meta["entries"]}
            if len(counts) != 1 or arrays["entries"].max(initial=-1) >= len(surfaces):
                raise ValueError("its files do not belong together")
            if label_set_of.max(initial=-1) >= len(label_sets):
                raise ValueError("its files do not belong together")
            normalizer = Normalizer.from_array(meta["normalize"], arrays["normalizer"])
        except (KeyError, TypeError, IndexError, ValueError, SafetensorError) as error:
            raise ValueError(Errors.HE112.format(path=path, reason=error)) from error
        gazetteer = cls.__new__(cls)
        gazetteer._set(surfaces, tuple(meta["labels"]), label_sets, label_set_of, normalizer, trie)
        return gazetteer
