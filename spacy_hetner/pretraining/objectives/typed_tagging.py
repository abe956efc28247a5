"""NER-BERT's objective (arXiv 2112.00405, section 3.1): BIO tags over all categories of a corpus.

Each token is labelled at its first piece, and nowhere else. Of what is not known there is no loss:
tokens in ``UNKNOWN`` spans, which do not count in the scores either, and mentions of labels that
the training data lacks, which count as missed. Tokens that have no piece are left out of gold and
prediction alike. Of mentions that overlap the outermost are taught.
"""

from collections import Counter
from dataclasses import dataclass
from typing import (
    Any,
    ClassVar,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
)

import numpy
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from ...corpora.records import Record, outermost_spans
from ...corpora.steps import DROPPED, LABELS, Relabel
from ...encoders.pieces import Pieces, first_pieces
from ...encoders.windows import strided_windows
from ...engine.task import Counts, Shard
from ...errors import Errors
from ...evaluation.metrics import PRF, Ratio
from ...labels.tagset import TagSet
from ...labels.type_map import MAPS, category_name, load_type_map, map_labels
from ...types import LabelledSpan, PathLike
from ...validation import check_count, check_range
from .objective import Batch, Instance, Learner, Objective, instance_schema
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
    flat_places,
    label_counts,
    pad,
    stored_records,
    to_batch,
    unknown_tokens,
)

SCHEME = "BIO"
UNSAID = -1
"""In ``tags``: nothing is known of the token. Below it the tags B (-2) and I (-3) of mentions of
labels that the training data lacks; from 0 on the numbers of ``TagSet``."""

_NO_LABEL = ""  # stands for all labels that are not learnt; no label is empty


@dataclass(frozen=True)
class TypedTagging(Objective):
    """BIO tags over all categories of a corpus (NER-BERT, https://arxiv.org/abs/2112.00405).

    For the settings see ``make_typed_tagging``.
    """

    types: Optional[str] = None
    by_token: bool = False
    max_pieces: int = 256
    overlap: int = 64
    dropout: float = 0.1

    name: ClassVar[str] = "typed_tagging"
    score: ClassVar[str] = "f"

    def __post_init__(self) -> None:
        check_count("max_pieces", self.max_pieces, 1)
        check_range("dropout", self.dropout, 0, 1)
        if not 0 <= self.overlap < self.max_pieces:
            raise ValueError(Errors.HE032.format(capacity=self.max_pieces, overlap=self.overlap))

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """``labels``, sorted; ``mentions``, how many of each; ``types``, the type map or None.

        RAISES (ValueError): HE200 if no record has a span; HE161 for labels that the type map
            lacks, and as ``load_type_map``, ``parquet_files`` and ``read_shard`` do.
        """
        stored = label_counts(train)
        found = list(stored)
        if not found:
            raise ValueError(Errors.HE200.format(stores=", ".join(map(str, train))))
        types = None if self.types is None else _read_types(self.types, found)
        mentions: Counter[str] = Counter()
        names = found if types is None else map_labels(found, types, "error")
        for label, name in zip(found, names, strict=True):
            mentions[name] += stored[label]
        counted = dict(sorted(mentions.items()))
        return {"labels": list(counted), "mentions": counted, "types": types}

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> "TaggingTask":
        """See ``TaggingTask``."""
        return TaggingTask(
            str(encoder),
            tuple(facts["labels"]),
            facts["types"],
            self.by_token,
            self.max_pieces,
            self.overlap,
        )

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> "TypedTagger":
        """See ``TypedTagger``."""
        return TypedTagger(transformer, len(facts["labels"]), self.dropout)

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances.

        ``input_ids``, ``attention_mask``: ``(b, longest)``; ``rows``, ``tags``: ``(n,)``, of each
        token, one window after the other, its first piece as a place in the flat ``input_ids``,
        and its tag.
        """
        padded = pad([row["pieces"] for row in rows])
        mask = padded["attention_mask"]
        tags = numpy.concatenate([row["tags"] for row in rows]).astype("int64")
        places = flat_places([row["rows"] for row in rows], mask.shape[1])
        tensors = {**padded, "rows": torch.from_numpy(places), "tags": torch.from_numpy(tags)}
        labelled = float((tags >= 0).sum())
        return Batch(tensors, {self.name: labelled}, int(mask.sum()), mask.numel())

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """``f``, ``p`` and ``r`` of mentions, in [0, 1]; 0 where undefined."""
        correct, predicted, gold = map(int, statistics.tolist())
        return PRF(Ratio(correct, predicted), Ratio(correct, gold)).to_dict()

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """The outputs of the head are ``tags``, over the first piece of each token."""
        return {
            "objective": self.name,
            "labels": facts["labels"],
            "scheme": SCHEME,
            "tags": TagSet(facts["labels"], SCHEME).tags,
            "pooling": "first",
            "by_token": self.by_token,
        }


def make_typed_tagging(
    *,
    types: Optional[str] = None,
    by_token: bool = False,
    max_pieces: int = 256,
    overlap: int = 64,
    dropout: float = 0.1,
) -> TypedTagging:
    """Teach an encoder the categories of typed mentions, as NER-BERT does.

    types (Optional[str]): A type map, of the package (``4types``) or a file, which puts categories
        together. Default: all categories of the training data, as they are.
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a sentence that are read at once, special ones not counted. A
        longer one is read in several windows; each token is labelled in one of them.
    overlap (int): Pieces that neighbouring windows share.
    dropout (float): Between encoder and head.
    RAISES (ValueError): HE002, HE032, HE078 for values that make no sense.
    """
    return TypedTagging(types, by_token, max_pieces, overlap, dropout)


class TypedTagger(Learner):
    """Encoder - dropout - Linear(width, 2 K + 1), for K labels."""

    head: nn.Linear

    def __init__(self, transformer: nn.Module, n_labels: int, dropout: float) -> None:
        super().__init__()
        config: Any = transformer.config
        self.transformer = transformer
        self.head = nn.Linear(config.hidden_size, 2 * n_labels + 1)
        self.dropout = dropout

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Cross-entropy of the tokens whose tag is known, summed; see ``collate`` for shapes."""
        tags = tensors["tags"].clamp(min=UNSAID)
        loss = cross_entropy(self._logits(tensors), tags, ignore_index=UNSAID, reduction="sum")
        return {TypedTagging.name: loss}

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """How many mentions are predicted rightly, predicted, and gold; see ``find_mentions``."""
        tags = tensors["tags"]
        gold = torch.where(tags < UNSAID, self.head.out_features - 2 - tags, tags.clamp(min=0))
        predicted = torch.where(tags == UNSAID, 0, self._logits(tensors).argmax(1))
        windows = tensors["rows"] // tensors["input_ids"].shape[1]
        right, found = find_mentions(gold, windows), find_mentions(predicted, windows)
        both = right.begins & found.begins & (right.ends == found.ends)
        both &= right.labels == found.labels
        return torch.stack([both.sum(), found.begins.sum(), right.begins.sum()]).double()

    def _logits(self, tensors: Dict[str, Tensor]) -> Tensor:
        tokens = self.encode(tensors).flatten(0, 1)[tensors["rows"]]
        return self.head(dropout(tokens, self.dropout, self.training)).float()


class Mentions(NamedTuple):
    """Mentions by token: begins: bool ``(n,)``, whether one begins there; of those that do, ends,
    labels: int64 ``(n,)``, the token after the last, and a number."""

    begins: Tensor
    ends: Tensor
    labels: Tensor


def find_mentions(tags: Tensor, windows: Tensor) -> Mentions:
    """Read BIO tags as conlleval does: an I that continues nothing begins a mention.

    tags: int64 ``(n,)``, numbers of a ``TagSet``; windows: ``(n,)``, which window (sentence) each
        token is in. No mention goes on from one to the next.
    """
    labels = (tags + 1) // 2  # O, B-a, I-a, B-b, ... are 0, 1, 2, 3, ...
    first = torch.ones_like(tags, dtype=torch.bool)
    first[1:] = windows[1:] != windows[:-1]
    before = torch.where(first, 0, labels.roll(1))
    begins = (labels > 0) & ((tags % 2 == 1) | (labels != before))
    n = len(tags)
    stops = torch.where(begins | (labels == 0), torch.arange(n, device=tags.device), n)
    following = torch.cat([stops[1:], stops.new_full((min(n, 1),), n)])
    ends = following.flip(0).cummin(0).values.flip(0)
    return Mentions(begins, ends, labels)


@dataclass(frozen=True)
class TaggingTask:
    """From a shard of records to instances: the windows of each record.

    ``pieces``: all that the encoder reads, special ones included; ``rows``, ``tags``: for each
    token that is labelled in the window, the place of its first piece among those, and its tag
    (see ``UNSAID``).

    A mention is labelled in one window, if one holds it. Else its parts count as mentions in the
    scores; how many are cut is counted.
    """

    encoder: str
    labels: Sequence[str]
    types: Optional[Mapping[str, str]]
    by_token: bool
    max_pieces: int
    overlap: int

    schema: ClassVar[pa.Schema] = instance_schema("pieces", "rows", "tags")

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard."""
        cutter = _Cutter(self, counts)
        relabel = None if self.types is None else Relabel(self.types, "keep")
        for records in stored_records(shard, counts, relabel):
            yield to_batch(cutter.cut(records), self.schema)


class _Cutter:
    """Cuts records to instances, and counts what becomes of their mentions."""

    def __init__(self, task: TaggingTask, counts: Counts) -> None:
        self.read = PieceReader(task.encoder, by_token=task.by_token, max_pieces=task.max_pieces)
        self.overlap = task.overlap * self.read.capacity // task.max_pieces
        self.known = frozenset(task.labels)
        self.n_tags = 2 * len(task.labels) + 1
        self.tag_set = TagSet([*task.labels, _NO_LABEL], SCHEME)
        self.counts = counts

    def cut(self, records: List[Record]) -> List[Instance]:
        """The instances of records, in order."""
        instances: List[Instance] = []
        for record, pieces in zip(records, self.read(records), strict=True):
            instances += self._windows(record, pieces)
        self.counts[TOTALS]["records"] += len(records)
        self.counts[TOTALS]["labelled tokens"] += sum(
            int((instance["tags"] >= 0).sum()) for instance in instances
        )
        return instances

    def _windows(self, record: Record, pieces: Pieces) -> Iterator[Instance]:
        tokens, firsts = first_pieces(pieces)
        mentions = self._mentions(record, tokens)
        tags = self._tags(record, tokens, mentions)
        windows = strided_windows(0, len(pieces.ids), self.read.capacity, self.overlap)
        window_of, cut = choose_windows(windows, firsts, [span[:2] for span in mentions])
        self._count(CUT, TOO_LONG, cut)
        for number, window in enumerate(windows):
            chosen = window_of == number
            if not (tags[chosen] != UNSAID).any():
                self._count(DROPPED, NOTHING_SAID, int(chosen.any()))
                continue
            yield {
                "pieces": self.read.frame(pieces.ids[window.start : window.end]),
                "rows": firsts[chosen] - window.start + len(self.read.prefix),
                "tags": tags[chosen],
            }

    def _mentions(self, record: Record, tokens: numpy.ndarray) -> List[LabelledSpan]:
        """The mentions that are taught, in tokens that have pieces."""
        outermost = outermost_spans(record.spans)
        bounds = numpy.searchsorted(tokens, [span[:2] for span in outermost]).reshape(-1, 2)
        mentions = [
            LabelledSpan(start, end, span.label)
            for (start, end), span in zip(bounds.tolist(), outermost, strict=True)
            if start < end
        ]
        self._count(DROPPED, OVERLAPPING, len(record.spans) - len(outermost))
        self._count(DROPPED, WITHOUT_PIECES, len(outermost) - len(mentions))
        for mention in mentions:
            known = mention.label in self.known
            self._count(LABELS if known else NOT_LEARNT, mention.label, 1)
        return mentions

    def _tags(
        self, record: Record, tokens: numpy.ndarray, mentions: List[LabelledSpan]
    ) -> numpy.ndarray:
        spans = [
            span if span.label in self.known else span._replace(label=_NO_LABEL)
            for span in mentions
        ]
        tags = self.tag_set.encode(spans, len(tokens))
        tags = numpy.where(tags < self.n_tags, tags, self.n_tags - 2 - tags)
        return numpy.where(unknown_tokens(record)[tokens] & (tags == 0), UNSAID, tags)

    def _count(self, section: str, cause: str, number: int) -> None:
        if number:
            self.counts[section][cause] += number


def _read_types(name_or_path: str, labels: List[str]) -> Dict[str, str]:
    """A type map, which may speak of the labels that are there, and of DBpedia's categories."""
    known = {*map(category_name, labels), *load_type_map(next(iter(MAPS)))}
    return load_type_map(name_or_path, known)
