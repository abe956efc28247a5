"""Records as what an extractor reads: whole texts, or each under the query of every label."""

from collections import Counter
from dataclasses import dataclass
from typing import (
    ClassVar,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy
import pyarrow as pa

from ...corpora.records import CLUSTERS, Record, outermost_spans
from ...corpora.steps import DROPPED, LABELS
from ...encoders.pieces import first_pieces
from ...encoders.windows import strided_windows
from ...engine.task import Counts, Shard
from ...errors import Errors
from ...labels.tagset import TagSet
from ...mrc.inputs import PairReader, TextPieces
from ...mrc.loss import UNSAID
from ...types import LabelledSpan
from .objective import Instance, instance_schema
from .reading import (
    CUT,
    NOT_LEARNT,
    NOTHING_SAID,
    OVERLAPPING,
    TOO_LONG,
    TOTALS,
    WITHOUT_PIECES,
    PieceReader,
    choose_windows,
    stored_records,
    to_batch,
    unknown_tokens,
)

SCHEME = "BMES"
NO_CLUSTER = -1
STARTS, ENDS = 1, 2
"""In ``tags`` under a query: bits of tokens that a span begins, and ends with."""

SPAN_COLUMNS = 4
"""Numbers that ``spans`` has of each: first token, last + 1, label, cluster."""


class TextWindow(NamedTuple):
    """What the encoder reads at once, and the tokens whose vectors are taken from it.

    pieces: all of it, special ones included; before: how many stand in front of the text; rows:
    int64 ``(n,)``, where the first piece of each token is; places: these tokens, a range of those
    that have pieces.
    """

    pieces: numpy.ndarray
    before: int
    rows: numpy.ndarray
    places: range


class WindowReader:
    """Cuts records to windows: of the text alone, or of a query and the text.

    Each token is in one of the windows of a text, and all tokens of a span are in the same, if one
    can hold them.

    queries (Optional[Sequence[str]]): One a label; None: the text alone.
    max_pieces (int): Most pieces of text in a window; fewer where the encoder reads no more.
    overlap (int): Pieces that neighbouring windows share.
    RAISES (ValueError): HE270 for a query that takes too much of what the encoder reads.
    """

    def __init__(
        self,
        encoder: str,
        queries: Optional[Sequence[str]],
        *,
        by_token: bool,
        max_pieces: int,
        overlap: int,
    ) -> None:
        self.read = PieceReader(encoder, by_token=by_token, max_pieces=max_pieces)
        self.max_pieces = max_pieces
        self.overlap = overlap
        # What stands before and behind a text.
        self.frames = [(self.read.prefix, self.read.suffix)]
        if queries is not None:
            pairs = PairReader(
                self.read.tokenizer,
                longest=self.read.longest,
                window=max_pieces,
                overlap=overlap,
                by_token=by_token,
            )
            self.frames = [(pairs.read_query(query), pairs.behind) for query in queries]

    def __call__(self, records: Sequence[Record]) -> List[TextPieces]:
        """The pieces of each record."""
        return [TextPieces(pieces.ids, *first_pieces(pieces)) for pieces in self.read(records)]

    def windows(
        self, text: TextPieces, frame: int, spans: Sequence[Tuple[int, int]] = ()
    ) -> List[TextWindow]:
        """The windows of a text.

        frame (int): The number of the query; 0 where there is none.
        spans: Of ``place_spans``, none empty.
        """
        prefix, suffix = self.frames[frame]
        capacity = min(self.max_pieces, self.read.longest - len(prefix) - len(suffix))
        overlap = self.overlap * capacity // self.max_pieces
        windows = strided_windows(0, len(text.ids), capacity, overlap)
        chosen, _ = choose_windows(windows, text.firsts, _merge(spans))
        borders = numpy.searchsorted(chosen, numpy.arange(len(windows) + 1)).tolist()
        return [
            TextWindow(
                numpy.concatenate((prefix, text.ids[window.start : window.end], suffix)),
                len(prefix),
                text.firsts[first:last] - window.start + len(prefix),
                range(first, last),
            )
            for window, first, last in zip(windows, borders, borders[1:], strict=False)
        ]


def place_spans(text: TextPieces, spans: Sequence[LabelledSpan]) -> List[Tuple[int, int]]:
    """Half-open spans of tokens as spans of those that have pieces, ``text.tokens``; they may be
    empty."""
    bounds = numpy.array([span[:2] for span in spans], dtype="int64").reshape(-1, 2)
    return [(start, end) for start, end in numpy.searchsorted(text.tokens, bounds).tolist()]


@dataclass(frozen=True)
class ExtractionTask:
    """From a shard of records to instances: the windows of each record, under each query.

    ``pieces``: all that the encoder reads, special ones included; ``before``: how many stand in
    front of the text; ``rows``: for each token that is labelled in the window, the place of its
    first piece among those; ``tags``: what is to be said of it, a number of ``TagSet``, or under a
    query of ``STARTS`` and ``ENDS``, or ``UNSAID``; ``spans``: see ``SPAN_COLUMNS``, tokens as
    places in ``rows``, the label as a number of those that are told apart in a window, so 0 under
    a query; ``missed``: how many more gold spans there are, none of which can be found.

    labels (Sequence[str]): What is taught; merged: whatever a span is labelled, it is the first.
    queries (Optional[Sequence[str]]): One a label; None: one window tells all labels apart.
    n_clusters (int): How many clusters spans are in; 0: none are taught.
    """

    encoder: str
    labels: Sequence[str]
    queries: Optional[Sequence[str]]
    merged: bool
    by_token: bool
    max_pieces: int
    overlap: int
    n_clusters: int = 0

    schema: ClassVar[pa.Schema] = instance_schema(
        "pieces", "before", "rows", "tags", "spans", "missed"
    )

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard.

        RAISES (ValueError): HE283 for a record whose clusters are not one a span.
        """
        cutter = _Cutter(self, counts)
        for records in stored_records(shard, counts):
            yield to_batch(cutter.cut(records), self.schema)


class _Taught(NamedTuple):
    """A span that is taught: half-open, of tokens that have pieces."""

    start: int
    end: int
    label: int
    cluster: int


class _Cutter:
    """Cuts records to instances, and counts what becomes of their mentions."""

    def __init__(self, task: ExtractionTask, counts: Counts) -> None:
        self.task = task
        self.read = WindowReader(
            task.encoder,
            task.queries,
            by_token=task.by_token,
            max_pieces=task.max_pieces,
            overlap=task.overlap,
        )
        self.numbers = {label: number for number, label in enumerate(task.labels)}
        self.tag_set = TagSet(task.labels, SCHEME)
        self.counts = counts

    def cut(self, records: List[Record]) -> List[Instance]:
        instances: List[Instance] = []
        for record, text in zip(records, self.read(records), strict=True):
            instances += self._instances(record, text)
        self.counts[TOTALS]["records"] += len(records)
        self.counts[TOTALS]["instances"] += len(instances)
        return instances

    def _instances(self, record: Record, text: TextPieces) -> Iterator[Instance]:
        taught, missed = self._taught(record, text)
        unsaid = unknown_tokens(record)[text.tokens]
        if self.task.queries is None:
            yield from self._of_frame(text, 0, taught, unsaid, missed)
            return
        by_label: Dict[int, List[_Taught]] = {number: [] for number in range(len(self.numbers))}
        for span in taught:
            by_label[span.label].append(span._replace(label=0))
        for number, spans in by_label.items():
            yield from self._of_frame(text, number, spans, unsaid, missed if number == 0 else 0)

    def _of_frame(
        self,
        text: TextPieces,
        frame: int,
        spans: List[_Taught],
        unsaid: numpy.ndarray,
        missed: int,
    ) -> Iterator[Instance]:
        """The instances of a text, alone or under one query; ``missed`` goes to the first."""
        tags = self._tags(spans, unsaid)
        windows = self.read.windows(text, frame, [span[:2] for span in spans])
        held = [[s for s in spans if _holds(window, s)] for window in windows]
        if cut := len(spans) - sum(map(len, held)):
            self.counts[CUT][TOO_LONG] += cut
            missed += cut
        for window, inside in zip(windows, held, strict=True):
            own = tags[window.places.start : window.places.stop]
            if not missed and not (own != UNSAID).any():
                self.counts[DROPPED][NOTHING_SAID] += bool(len(own))
                continue
            first = window.places.start
            numbers = [(s.start - first, s.end - first, s.label, s.cluster) for s in inside]
            yield {
                "pieces": window.pieces,
                "before": numpy.array([window.before]),
                "rows": window.rows,
                "tags": own,
                "spans": numpy.array(numbers, dtype="int64").reshape(-1),
                "missed": numpy.array([missed]),
            }
            missed = 0

    def _tags(self, spans: List[_Taught], unsaid: numpy.ndarray) -> numpy.ndarray:
        n = len(unsaid)
        if self.task.queries is None:
            names = self.task.labels
            tags = self.tag_set.encode(
                [LabelledSpan(s.start, s.end, names[s.label]) for s in spans], n
            )
            return numpy.where(unsaid & (tags == 0), UNSAID, tags)
        tags = numpy.zeros(n, dtype="int64")
        inside = numpy.zeros(n, dtype=bool)
        for span in spans:
            tags[span.start] |= STARTS
            tags[span.end - 1] |= ENDS
            inside[span.start : span.end] = True
        return numpy.where(unsaid & ~inside, UNSAID, tags)

    def _taught(self, record: Record, text: TextPieces) -> Tuple[List[_Taught], int]:
        """The spans that are taught, each once, and how many have labels that are not learnt."""
        clusters = self._clusters(record)
        spans = dict(zip(record.spans, clusters, strict=True))
        if self.task.queries is None:
            # Spans of labels that are not taught hide none of those that are.
            others = [span for span in spans if not self._is_learnt(span.label)]
            outermost = outermost_spans([span for span in spans if self._is_learnt(span.label)])
            self._count(DROPPED, OVERLAPPING, len(spans) - len(others) - len(outermost))
            spans = {span: spans[span] for span in (*outermost, *others)}
        not_learnt: Counter[str] = Counter()
        taught: Dict[Tuple[int, int, int], _Taught] = {}
        for (start, end), (span, cluster) in zip(
            place_spans(text, list(spans)), spans.items(), strict=True
        ):
            if start == end:
                self.counts[DROPPED][WITHOUT_PIECES] += 1
                continue
            if not self._is_learnt(span.label):
                not_learnt[span.label] += 1
                continue
            label = self.task.labels[0] if self.task.merged else span.label
            found = _Taught(start, end, self.numbers[label], cluster)
            if taught.setdefault(found[:3], found) is found:
                self.counts[LABELS][label] += 1
        self.counts[NOT_LEARNT].update(not_learnt)
        return list(taught.values()), sum(not_learnt.values())

    def _is_learnt(self, label: str) -> bool:
        return self.task.merged or label in self.numbers

    def _clusters(self, record: Record) -> List[int]:
        """The cluster of each span; of records that say nothing of clusters, none."""
        n, known = len(record.spans), self.task.n_clusters
        found = record.meta.get(CLUSTERS) if known else None
        if found is None:
            if known and n:
                self.counts[TOTALS]["records without clusters"] += 1
            return [NO_CLUSTER] * n
        if len(found) != n or not all(0 <= cluster < known for cluster in found):
            raise ValueError(
                Errors.HE283.format(
                    record=record.id or record.text[:40], spans=n, clusters=found, known=known
                )
            )
        return found

    def _count(self, section: str, cause: str, number: int) -> None:
        if number:
            self.counts[section][cause] += number


def _holds(window: TextWindow, span: _Taught) -> bool:
    return window.places.start <= span.start and span.end <= window.places.stop


def _merge(spans: Sequence[Tuple[int, int]]) -> List[Tuple[int, int]]:
    """Spans that overlap as one."""
    merged: List[Tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
