"""What the stages of CoFEE share (EMNLP 2020): to find labelled spans, by queries or by tags.

The paper's backbone reads a text under the query of one label and tells where a span begins and
ends; an instance is a text and a label, also one that the text has no span of. The other backbone
is a plain tagger. A stage takes up the head of the one before.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Literal, Mapping, Optional, Sequence, Union

import numpy
import torch
from torch import nn

from ...corpora.steps import LABELS
from ...encoders.heads import HEAD_WEIGHTS, TaughtHead, read_head
from ...errors import Errors
from ...evaluation.metrics import PRF, Ratio
from ...files import hash_file
from ...labels.queries import load_queries
from ...labels.tagset import TagSet
from ...mrc.inputs import check_windows
from ...mrc.loss import UNSAID
from ...types import PathLike
from ...validation import check_choice, check_range
from .extraction_heads import CLUSTERS, SPANS, ExtractionHead, ExtractionLearner, QueryHead, TagHead
from .extraction_task import SCHEME, SPAN_COLUMNS, ExtractionTask
from .objective import Batch, Instance, Objective
from .reading import flat_places, label_counts, pad

QUERY, TAGGER = "query", "tagger"
BACKBONES = (QUERY, TAGGER)
Backbone = Literal["query", "tagger"]
Queries = Union[str, Dict[str, str], None]


@dataclass(frozen=True)
class Extraction(Objective):
    """To find labelled spans; the settings of all objectives that do.

    backbone (str): ``query`` reads a text under the query of each label; ``tagger`` once, and tags
        it in BMES.
    queries (str or Dict[str, str]): The queries, by name, as a file, or one a label; None: the
        words of the labels. See ``load_queries``. A tagger has none.
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a text that are read at once, those of the query and special
        ones not counted. A longer one is read in several windows; each token is labelled in one.
    overlap (int): Pieces that neighbouring windows share.
    dropout (float): Between encoder and head.
    head (Optional[str]): The encoder folder whose head goes on; None: the head is new.
    RAISES (ValueError): HE002, HE004, HE032, HE078 for values that make no sense.
    """

    backbone: str = QUERY
    queries: Queries = None
    by_token: bool = False
    max_pieces: int = 256
    overlap: int = 64
    dropout: float = 0.1
    head: Optional[str] = None

    score: ClassVar[str] = "f"
    merged: ClassVar[bool] = False
    """Whether all labels are taught as one."""

    def __post_init__(self) -> None:
        check_choice("backbone", self.backbone, BACKBONES)
        check_windows(self.max_pieces, self.overlap)
        check_range("dropout", self.dropout, 0, 1)

    @property
    def weights(self) -> Mapping[str, float]:
        """``spans`` alone."""
        return {SPANS: 1.0}

    @abstractmethod
    def taught_labels(self, stored: Sequence[str], carried: Sequence[str]) -> List[str]:
        """The labels that are taught.

        stored: those of the training records; carried: those of a head that goes on, none of one
        that knows all labels as one.
        """

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """``labels``; ``mentions``, how many spans have each in the stores; ``queries``, of each
        label, none of a tagger; ``head``, the digest of the head that goes on, if one does.

        RAISES (ValueError): HE260 if no record has a span, HE298 for a folder without a head of
            this backbone, HE280 for one of a tagger that has other labels, and as ``load_queries``.
            Warns (HW270) of labels without a query.
        """
        mentions = label_counts(train)
        if not mentions:
            stores = ", ".join(map(str, train))
            raise ValueError(Errors.HE260.format(objective=self.name, stores=stores))
        taught = None if self.head is None else read_head(self.head, self.backbone)
        carried = () if taught is None or was_merged(taught) else taught.labels
        labels = self.taught_labels(list(mentions), carried)
        if taught and self.backbone == TAGGER and self._goes_on(taught):
            self._check_labels(taught, labels)
        return {
            LABELS: labels,
            "mentions": mentions,
            "queries": self._queries_of(labels),
            "head": taught and hash_file(taught.folder / HEAD_WEIGHTS),
        }

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> ExtractionTask:
        """See ``ExtractionTask``."""
        queries = facts["queries"]
        return ExtractionTask(
            str(encoder),
            tuple(facts[LABELS]),
            None if queries is None else tuple(queries[label] for label in facts[LABELS]),
            self.merged,
            self.by_token,
            self.max_pieces,
            self.overlap,
            facts.get("clusters", 0),
        )

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> ExtractionLearner:
        """See ``ExtractionLearner``; with the weights of the head that goes on, if one does."""
        config: Any = transformer.config
        head = make_head(self.backbone, config.hidden_size, facts[LABELS], facts.get("clusters", 0))
        if self.head is not None:
            taught = read_head(self.head, self.backbone)
            if self._goes_on(taught):
                self._take_up(head, taught)
        weights = facts.get("cluster_weights")
        return ExtractionLearner(
            transformer,
            head,
            self.dropout,
            None if weights is None else torch.tensor(weights, dtype=torch.float32),
        )

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances.

        ``input_ids``, ``attention_mask``, and under queries ``token_type_ids``: ``(b, longest)``;
        ``rows``, ``tags``: ``(n,)``, of each token, one window after the other, its first piece as
        a place in the flat ``input_ids``, and what is to be said of it; ``sizes``: ``(b,)``, tokens
        of each window; ``spans``: ``(m, 4)``, see ``ExtractionTask``, with tokens as places among
        these n; ``missed``: ``(b,)``.
        """
        padded = pad([row["pieces"] for row in rows])
        mask = padded["attention_mask"]
        if self.backbone == QUERY:
            before = torch.from_numpy(numpy.concatenate([row["before"] for row in rows]))
            in_text = torch.arange(mask.shape[1]) >= before[:, None]
            padded["token_type_ids"] = in_text * mask
        sizes = numpy.array([len(row["rows"]) for row in rows])
        spans = [row["spans"].reshape(-1, SPAN_COLUMNS).astype("int64") for row in rows]
        for own, first in zip(spans, numpy.cumsum(sizes) - sizes, strict=True):
            own[:, :2] += first
        arrays = {
            "rows": flat_places([row["rows"] for row in rows], mask.shape[1]),
            "tags": numpy.concatenate([row["tags"] for row in rows]).astype("int64"),
            "sizes": sizes,
            "spans": numpy.concatenate(spans),
            "missed": numpy.concatenate([row["missed"] for row in rows]).astype("int64"),
        }
        counts = {
            SPANS: float((arrays["tags"] != UNSAID).sum()),
            CLUSTERS: float((arrays["spans"][:, 3] >= 0).sum()),
        }
        tensors = {**padded, **{name: torch.from_numpy(array) for name, array in arrays.items()}}
        terms = {name: counts[name] for name in self.weights}
        return Batch(tensors, terms, int(mask.sum()), mask.numel())

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """``f``, ``p`` and ``r`` of spans, each with its label, in [0, 1]; 0 where undefined."""
        correct, predicted, gold = map(int, statistics.tolist())
        return PRF(Ratio(correct, predicted), Ratio(correct, gold)).to_dict()

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """``start`` and ``end`` are of a text under a query, no and yes; ``tags`` of a text alone.
        ``clusters`` are of the sum of the vectors of a span."""
        outputs: Dict[str, Any] = {"queries": facts["queries"]}
        if self.backbone == TAGGER:
            outputs = {"scheme": SCHEME, "tags": TagSet(facts[LABELS], SCHEME).tags}
        if facts.get("clusters"):
            outputs["clusters"] = facts["clusters"]
        return {
            "objective": self.name,
            "backbone": self.backbone,
            "labels": facts[LABELS],
            **outputs,
            "pooling": "first",
            "by_token": self.by_token,
            "max_pieces": self.max_pieces,
            "overlap": self.overlap,
        }

    def takes_clusters(self, taught: TaughtHead, clusters: int) -> bool:
        """Whether the layer over clusters goes on, too."""
        return False

    def _goes_on(self, taught: TaughtHead) -> bool:
        """A tagger that knew all labels as one has no tags that could go on."""
        return self.backbone == QUERY or self.merged or not was_merged(taught)

    def _check_labels(self, taught: TaughtHead, labels: Sequence[str]) -> None:
        if list(labels) != taught.labels:
            raise ValueError(
                Errors.HE280.format(
                    folder=taught.folder,
                    taught=", ".join(taught.labels),
                    labels=", ".join(labels),
                )
            )

    def _take_up(self, head: ExtractionHead, taught: TaughtHead) -> None:
        n_clusters = 0 if head.clusters is None else head.clusters.out_features
        load_weights(head, taught, clusters=self.takes_clusters(taught, n_clusters))

    def _queries_of(self, labels: Sequence[str]) -> Optional[Dict[str, str]]:
        if self.backbone == TAGGER:
            return None
        return load_queries(self.queries, labels)


def was_merged(taught: TaughtHead) -> bool:
    """Whether a head knows all labels as one."""
    return taught.record.get("objective") == "span_identification"


def make_head(
    backbone: str, width: int, labels: Sequence[str], n_clusters: int = 0
) -> ExtractionHead:
    """A new head."""
    if backbone == QUERY:
        return QueryHead(width, n_clusters)
    return TagHead(width, labels, n_clusters)


def load_weights(head: ExtractionHead, taught: TaughtHead, *, clusters: bool = False) -> None:
    """Give a head the weights of one that was taught.

    clusters (bool): Also those of the layer over clusters; else that stays as it is.
    RAISES (ValueError): HE281 where weights are missing or of other shapes.
    """
    own = head.state_dict()
    wanted = [name for name in own if clusters or not name.startswith(f"{CLUSTERS}.")]
    found = {name: taught.weights[name] for name in wanted if name in taught.weights}
    wrong = [name for name in wanted if name not in found or found[name].shape != own[name].shape]
    if wrong:
        raise ValueError(Errors.HE281.format(folder=taught.folder, names=", ".join(wrong)))
    head.load_state_dict({**own, **found})
