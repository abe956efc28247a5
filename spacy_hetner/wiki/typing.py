"""Anchored sentences to records: what a link leads to says what its words name.

Only anchors get labels. What the same words name elsewhere in the text stays unlabelled, as in
both papers that train on this: NER-BERT (types of an ontology) and CoFEE (any anchor an entity;
then types of gazetteers).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Iterator, List, NamedTuple, Optional, Protocol, Tuple

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from ..corpora.steps import count_labels, keep_rows, nested
from ..corpora.stores import SCHEMA
from ..engine.tables import read_shard
from ..engine.task import Counts, Shard
from ..files import load_once
from ..gazetteers.gazetteer import Gazetteer
from ..labels.type_map import UNTYPED
from ..types import PathLike
from ..validation import check_choice
from .anchors import FEW_ANCHORS, TOO_LONG
from .anchors import SCHEMA as ANCHORS
from .redirects import Redirects
from .type_index import TypeIndex

NO_LABEL = "sentence without a label"

MATCHES = ("title", "surface", "both")
CONFLICTS = ("first", "all")


class AnchorBatch:
    """All anchors of a batch of sentences, one after the other."""

    def __init__(self, sentences: pa.RecordBatch) -> None:
        self._sentences = sentences

    @cached_property
    def rows(self) -> numpy.ndarray:
        """The sentence of each anchor: int64 ``(n,)``."""
        return pc.list_parent_indices(self._sentences["titles"]).to_numpy()

    @cached_property
    def titles(self) -> List[str]:
        """Of the pages that the anchors lead to, normalised."""
        return self._sentences["titles"].flatten().to_pylist()

    @cached_property
    def surfaces(self) -> List[str]:
        """The text that each anchor stands on, blanks between its tokens as in the sentence."""
        tokens, spaces = (self._flat(name).to_pylist() for name in ("tokens", "spaces"))
        pieces = [
            f"{token} " if space else token for token, space in zip(tokens, spaces, strict=True)
        ]
        sizes = pc.list_value_length(self._sentences["tokens"]).to_numpy()
        first = (numpy.cumsum(sizes) - sizes)[self.rows]
        bounds = ((self._flat(name).to_numpy() + first).tolist() for name in ("starts", "ends"))
        return [
            "".join(pieces[start:end]).removesuffix(" ") for start, end in zip(*bounds, strict=True)
        ]

    def _flat(self, name: str) -> pa.Array:
        return self._sentences[name].flatten()


class AnchorLabels(NamedTuple):
    """Labels of anchors; an anchor may have several or none.

    anchors: int64 ``(n,)``, the number of the anchor of each label, ascending; of one anchor the
    labels are in the alphabet's order. labels: ``n`` strings. typed: how many anchors have a type.
    """

    anchors: numpy.ndarray
    labels: pa.Array
    typed: int


class Typer(Protocol):
    """What gives anchors their labels. It travels between processes by pickling."""

    def __call__(self, batch: AnchorBatch) -> AnchorLabels: ...


@dataclass(frozen=True)
class ByIndex:
    """The type of the page that an anchor leads to (NER-BERT, section 2.2).

    index (PathLike): Folder of ``type_index.build_type_index``, which has the redirects in it.
    untyped (str): Label of anchors whose page has no type. Empty: they get none.
    """

    index: PathLike
    untyped: str = UNTYPED

    def __call__(self, batch: AnchorBatch) -> AnchorLabels:
        index = load_once(TypeIndex, self.index)
        types = index.find(batch.titles)
        is_typed = types >= 0
        names = pa.array([*index.names, self.untyped], pa.string())  # -1 is the last of these
        anchors = numpy.arange(len(types)) if self.untyped else numpy.flatnonzero(is_typed)
        numbers = numpy.where(is_typed, types, len(index.names))[anchors]
        return AnchorLabels(anchors, names.take(pa.array(numbers)), int(is_typed.sum()))


@dataclass(frozen=True)
class ByGazetteer:
    """The labels that a gazetteer gives to what an anchor names (CoFEE, section 3.3).

    gazetteer (PathLike): Folder of ``Gazetteer.to_disk``.
    match (str): What has to be an entry: the ``title`` of the page, the ``surface`` of the anchor,
        or ``both``, either of them.
    conflict (str): Of several labels, ``first`` by the gazetteer's priority, or ``all``.
    redirects (Optional[PathLike]): File of ``Redirects.to_disk``. The title that a title redirects
        to may be the entry, too.

    Raises ValueError (HE004) for an unknown match or conflict.
    """

    gazetteer: PathLike
    match: str = "both"
    conflict: str = "first"
    redirects: Optional[PathLike] = None

    def __post_init__(self) -> None:
        check_choice("match", self.match, MATCHES)
        check_choice("conflict", self.conflict, CONFLICTS)

    def __call__(self, batch: AnchorBatch) -> AnchorLabels:
        gazetteer = load_once(Gazetteer, self.gazetteer)
        found = [self._labels(gazetteer, names) for names in zip(*self._names(batch), strict=True)]
        anchors = numpy.repeat(numpy.arange(len(found)), [len(labels) for labels in found])
        labels = pa.array([label for labels in found for label in labels], pa.string())
        return AnchorLabels(anchors, labels, sum(map(bool, found)))

    def _names(self, batch: AnchorBatch) -> List[List[str]]:
        """What each anchor may be an entry by: lists as long as there are anchors."""
        names = []
        if self.match != "surface":
            names.append(batch.titles)
            if self.redirects is not None:
                names.append(load_once(Redirects, self.redirects).resolve(batch.titles))
        if self.match != "title":
            names.append(batch.surfaces)
        return names

    def _labels(self, gazetteer: Gazetteer, names: Tuple[str, ...]) -> List[str]:
        found = {label for name in dict.fromkeys(names) for label in gazetteer.get(name)}
        if self.conflict == "first" and found:
            return [min(found, key=gazetteer.labels.index)]
        return sorted(found)


@dataclass(frozen=True)
class AsEntity:
    """One label for every anchor: entities without types (CoFEE, section 3.2)."""

    label: str = "Entity"

    def __call__(self, batch: AnchorBatch) -> AnchorLabels:
        total = len(batch.rows)
        labels = pa.array([self.label] * total, pa.string())
        return AnchorLabels(numpy.arange(total), labels, 0)


@dataclass(frozen=True)
class TypeAnchors:
    """A task of the engine: anchored sentences to records.

    typer (Typer): Gives anchors their labels.
    min_anchors (int): Sentences with fewer anchors go, typed or not; 4 in CoFEE, section 4.1.
    max_tokens (int): Sentences of more tokens go, 250 in CoFEE; 0 is no limit.
    keep_empty (bool): Keep sentences in which nothing got a label.
    """

    typer: Typer
    min_anchors: int = 0
    max_tokens: int = 0
    keep_empty: bool = True

    schema = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        for sentences in read_shard(shard, ANCHORS.names):
            batch = self._type(self._select(sentences, counts), counts)
            if not self.keep_empty:
                labelled = pc.list_value_length(batch["labels"]).to_numpy() > 0
                batch = keep_rows(batch, labelled, counts, NO_LABEL)
            count_labels(batch, counts)
            yield batch

    def _select(self, sentences: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        anchors = pc.list_value_length(sentences["titles"]).to_numpy()
        sentences = keep_rows(sentences, anchors >= self.min_anchors, counts, FEW_ANCHORS)
        if self.max_tokens:
            tokens = pc.list_value_length(sentences["tokens"]).to_numpy()
            sentences = keep_rows(sentences, tokens <= self.max_tokens, counts, TOO_LONG)
        return sentences

    def _type(self, sentences: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        anchors = AnchorBatch(sentences)
        found = self.typer(anchors)
        untyped = len(anchors.rows) - found.typed
        counts["anchors"].update({"typed": found.typed, "untyped": untyped})
        flat = {"labels": found.labels}
        for name in ("starts", "ends"):
            flat[name] = sentences[name].flatten().take(pa.array(found.anchors))
        columns = {name: sentences[name] for name in ("tokens", "spaces", "id", "doc_id")}
        columns |= nested(flat, anchors.rows[found.anchors], len(sentences))
        columns["meta"] = pa.nulls(len(sentences), pa.string())
        arrays = [columns[field.name].cast(field.type) for field in SCHEMA]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
