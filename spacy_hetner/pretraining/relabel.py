"""What a model of spans says of a whole corpus, as jobs over its shards: labels, and vectors.

CoFEE's self-picking (EMNLP 2020, section 3.3): the labels that a dictionary gave are replaced by
those that the model finds which was trained on them.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy
import pyarrow as pa
import torch

from ..corpora.records import CLUSTERS, Record, in_document_order, with_spans
from ..corpora.steps import count_labels
from ..corpora.stores import SCHEMA, read_parquet, to_batch, write_parquet
from ..encoders.heads import HEAD_WEIGHTS
from ..engine.engine import Engine
from ..engine.tables import describe_content, parquet_files, parquet_shards, read_shard
from ..engine.task import Counts, Shard
from ..errors import Errors
from ..files import replacing
from ..spans.pairing import pick_spans
from ..spans.resolve import resolve_overlaps
from ..types import LabelledSpan, PathLike
from ..validation import check_range
from .extractor import Edges, Extractor, load_extractor
from .objectives.extraction import TAGGER
from .objectives.reading import stored_records


@dataclass(frozen=True)
class Asking:
    """How a model is asked, in whatever process.

    device (str): "auto" takes a GPU where there is one; else as torch names it.
    precision (str), max_batch_pieces (int), queries: See ``load_extractor``; queries as pairs.
    """

    device: str = "auto"
    precision: str = "fp32"
    max_batch_pieces: int = 8192
    queries: Optional[Tuple[Tuple[str, str], ...]] = None


def pick_labels(
    edges: Mapping[str, Edges], delta: float, *, disjoint: bool = False
) -> List[LabelledSpan]:
    """The spans that a model picks in a text: nearest ends, probabilities above ``delta``.

    edges: For each label where its spans begin and end, see ``Extractor.probabilities``.
    disjoint (bool): Of spans that overlap, of whatever labels, keep the most probable, by the
        product of both ends: tags can say no more. Under queries each label is said apart.
    RETURNS: In document order.
    """
    picked = {label: pick_spans(start, end, delta) for label, (start, end) in edges.items()}
    spans = [
        LabelledSpan(start, end, label)
        for label, (found, _) in picked.items()
        for start, end in found.tolist()
    ]
    if disjoint and spans:
        bounds = numpy.array([span[:2] for span in spans])
        scores = [score for _, found in picked.values() for score in found.tolist()]
        spans = [spans[index] for index in resolve_overlaps(bounds, scores, "score").tolist()]
    return in_document_order(spans)


@dataclass(frozen=True)
class RelabelTask:
    """Records with the labels that the model of an encoder folder picks, see ``relabel``."""

    encoder: str
    delta: float
    asking: Asking

    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the records of a shard."""
        extractor = extractor_of(self.encoder, self.asking)
        disjoint = extractor.backbone == TAGGER
        for records in stored_records(shard, counts):
            told = extractor.probabilities(records)
            relabelled = [
                with_spans(record, pick_labels(edges, self.delta, disjoint=disjoint))
                for record, edges in zip(records, told, strict=True)
            ]
            counts["totals"]["sentences"] += len(records)
            counts["totals"]["sentences with a span"] += sum(bool(r.spans) for r in relabelled)
            batch = to_batch(relabelled)
            count_labels(batch, counts)
            yield batch


@dataclass(frozen=True)
class VectorTask:
    """The vectors of the spans of records, a row a record, see ``write_vectors``."""

    encoder: str
    asking: Asking

    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("vectors", pa.list_(pa.float32()), nullable=False)]
    )

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the vectors of a shard."""
        extractor = extractor_of(self.encoder, self.asking)
        for records in stored_records(shard, counts):
            vectors = extractor.span_vectors(records)
            sizes = [len(record.spans) * extractor.width for record in records]
            offsets = pa.array(numpy.cumsum([0, *sizes]), pa.int32())
            column = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()))
            counts["totals"]["spans"] += len(vectors)
            yield pa.RecordBatch.from_arrays([column], schema=self.schema)


def relabel(
    stores: Sequence[PathLike],
    out: PathLike,
    encoder: PathLike,
    engine: Engine,
    *,
    delta: float,
    asking: Asking = Asking(),
    resume: bool = True,
) -> Counts:
    """Label records with what a model picks. Their own labels are gone, also those it agrees with.

    stores: Parquet stores of records.
    out: Folder for the same records, in the same order.
    encoder: The folder of an encoder that a stage of extraction taught, with its head.
    delta (float): Where a span may begin, or end, is more probable than this. Below 0.5 more is
        picked than the model would answer; the paper's best is 0.1.
    RETURNS (Counts): ``totals``; ``labels``, how many spans have each.
    RAISES (ValueError): HE002 for a delta outside [0, 1], and as ``load_extractor`` and the engine.
    """
    task = RelabelTask(str(Path(encoder).resolve()), check_range("delta", delta, 0, 1), asking)
    key = {**_key(stores, encoder, asking), "delta": delta}
    return engine.map(task, _shards(stores), out, key=key, resume=resume, description="pick labels")


def write_vectors(
    stores: Sequence[PathLike],
    path: PathLike,
    encoder: PathLike,
    engine: Engine,
    *,
    parts: PathLike,
    asking: Asking = Asking(),
) -> int:
    """Write the vectors of all labelled spans, in their order, as float32 numbers to one file.

    parts: Folder for the parts of the job, which may be deleted afterwards.
    RETURNS (int): Numbers a vector; see ``clusters.read_vectors``.
    RAISES (ValueError): HE288 if there is no span; as ``load_extractor`` and the engine.
    """
    task = VectorTask(str(Path(encoder).resolve()), asking)
    key = _key(stores, encoder, asking)
    counts = engine.map(task, _shards(stores), parts, key=key, description="vectors of spans")
    spans = counts["totals"]["spans"] if "totals" in counts else 0
    if not spans:
        raise ValueError(Errors.HE288)
    with replacing(path) as partial, partial.open("wb") as file:
        for shard in parquet_shards(parts):
            for batch in read_shard(shard):
                file.write(batch["vectors"].flatten().to_numpy().tobytes())
    return Path(path).stat().st_size // (4 * spans)


def write_clusters(stores: Sequence[PathLike], path: PathLike, assignments: numpy.ndarray) -> int:
    """Write records as a Parquet store in which each says what clusters its spans are in.

    assignments: int ``(m,)``, of all spans in their order.
    RETURNS (int): How many records.
    """
    return write_parquet(_with_clusters(stores, assignments), path)


def _with_clusters(stores: Sequence[PathLike], assignments: numpy.ndarray) -> Iterator[Record]:
    done = 0
    for path in parquet_files(stores):
        for record in read_parquet(path):
            own = assignments[done : done + len(record.spans)].tolist()
            done += len(record.spans)
            meta = {key: value for key, value in record.meta.items() if key != CLUSTERS}
            yield replace(record, meta={**meta, CLUSTERS: own} if own else meta)


def extractor_of(encoder: str, asking: Asking) -> Extractor:
    """The model of an encoder folder, loaded once a process, and again if it was written anew."""
    return _load_once(encoder, asking, Path(encoder, HEAD_WEIGHTS).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _load_once(encoder: str, asking: Asking, written: int) -> Extractor:
    device = asking.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_extractor(
        encoder,
        device=device,
        precision=asking.precision,
        queries=None if asking.queries is None else dict(asking.queries),
        max_batch_pieces=asking.max_batch_pieces,
    )


def _shards(stores: Sequence[PathLike]) -> List[Shard]:
    """Small ones: what is read in a moment is asked of a model for minutes."""
    return parquet_shards(stores, row_groups=1)


def _key(stores: Sequence[PathLike], encoder: PathLike, asking: Asking) -> Dict[str, Any]:
    """What the rows depend on. Neither the device nor the size of batches changes more than
    rounding does."""
    folder = Path(encoder)
    weights = [*sorted(folder.glob("model*.safetensors")), folder / HEAD_WEIGHTS]
    return {
        "model": describe_content(weights),
        "stores": describe_content(parquet_files(stores)),
        "precision": asking.precision,
        "queries": asking.queries,
    }
