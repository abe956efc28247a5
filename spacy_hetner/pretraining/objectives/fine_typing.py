"""CoFEE's third stage: entities of a distant corpus, and their clusters (FET; section 3.4).

This is one round: the clusters of the spans are in the records. That spans are clustered anew for
the next is the affair of ``pretraining.coarse_to_fine``.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Literal, Mapping, Optional, Sequence

import pyarrow.compute as pc

from ...corpora.records import CLUSTERS as CLUSTERS_OF_SPANS
from ...encoders.heads import TaughtHead
from ...engine.tables import parquet_shards, read_shard
from ...errors import Errors
from ...types import PathLike
from ...validation import check_choice, check_count, check_range
from .extraction import Backbone, Extraction, Queries
from .extraction_heads import CLUSTERS, SPANS

RESET, MATCH = "reset", "match"
CLUSTER_HEADS = (RESET, MATCH)


@dataclass(frozen=True)
class FineTyping(Extraction):
    """Entities with their labels, and the clusters they are in (CoFEE, EMNLP 2020).

    For the settings see ``make_fine_typing``.
    """

    clusters: int = 1
    gamma: float = 0.001
    cluster_weights: Optional[str] = None
    cluster_head: str = RESET

    name: ClassVar[str] = "fine_typing"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("clusters", self.clusters, 1)
        check_range("gamma", self.gamma, 0, math.inf)
        check_choice("cluster_head", self.cluster_head, CLUSTER_HEADS)

    @property
    def weights(self) -> Mapping[str, float]:
        """``spans``, and ``clusters``: L_FET = L_MRC + gamma L_clus."""
        return {SPANS: 1.0, CLUSTERS: self.gamma}

    def taught_labels(self, stored: Sequence[str], carried: Sequence[str]) -> List[str]:
        """As of ``GazetteerExtraction``."""
        return sorted({*stored, *carried})

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """As of ``Extraction``, and ``clusters``, how many there are; ``cluster_weights``.

        RAISES (ValueError): As of ``Extraction``; HE282 if no record says what clusters its spans
            are in, HE284 for weights that are not one a cluster.
        """
        facts = super().inspect(train)
        if not _any_clusters(train):
            raise ValueError(Errors.HE282.format(stores=", ".join(map(str, train))))
        return {**facts, "clusters": self.clusters, "cluster_weights": self._read_weights()}

    def takes_clusters(self, taught: TaughtHead, clusters: int) -> bool:
        """With ``cluster_head = "match"``, and if the head has such a layer.

        RAISES (ValueError): HE285 for a layer of another number of clusters.
        """
        found = taught.record.get("clusters")
        if self.cluster_head == RESET or not found:
            return False
        if found != clusters:
            raise ValueError(
                Errors.HE285.format(folder=taught.folder, found=found, clusters=clusters)
            )
        return True

    def _read_weights(self) -> List[float]:
        if self.cluster_weights is None:
            return [1.0] * self.clusters
        try:
            found = json.loads(Path(self.cluster_weights).read_text(encoding="utf8"))
            weights = [float(weight) for weight in found]
        except (OSError, ValueError, TypeError) as error:
            reason: Any = error
        else:
            wrong = [weight for weight in weights if not 0 <= weight < math.inf]
            if len(weights) == self.clusters and not wrong:
                return weights
            reason = f"{len(weights)} numbers, of which these are no weights: {wrong}"
        raise ValueError(
            Errors.HE284.format(path=self.cluster_weights, clusters=self.clusters, reason=reason)
        )


def make_fine_typing(
    *,
    backbone: Backbone = "query",
    queries: Queries = None,
    by_token: bool = False,
    max_pieces: int = 256,
    overlap: int = 64,
    dropout: float = 0.1,
    head: Optional[str] = None,
    clusters: int,
    gamma: float = 0.001,
    cluster_weights: Optional[str] = None,
    cluster_head: Literal["reset", "match"] = "reset",
) -> FineTyping:
    """Teach an encoder entities of several labels, and which cluster each of them is in.

    The cluster of each span of a record is in its meta, ``"clusters"``, a list. Of the spans of
    records without it, the label alone is taught.

    backbone, queries, by_token, max_pieces, overlap, dropout, head: As of
        ``make_gazetteer_extraction``. What of a span is clustered is the sum of the vectors of its
        tokens, under the query of its own label; ``dropout`` comes before that layer, too.
    clusters (int): How many there are.
    gamma (float): Weight of the loss of clusters; that of the spans has 1.
    cluster_weights (Optional[str]): A JSON file, a list of one weight a cluster, of each in its
        loss; None: all have 1.
    cluster_head (str): "reset" makes a new layer over clusters; "match" takes up that of ``head``,
        if it has one: only where its clusters have the same numbers as those of the records.
    RAISES (ValueError): HE002, HE004, HE032, HE078 for values that make no sense.
    """
    return FineTyping(
        backbone,
        queries,
        by_token,
        max_pieces,
        overlap,
        dropout,
        head,
        clusters,
        gamma,
        cluster_weights,
        cluster_head,
    )


def _any_clusters(train: Sequence[PathLike]) -> bool:
    """Whether any record of some stores says something of clusters."""
    for shard in parquet_shards(train):
        for batch in read_shard(shard, ["meta"]):
            if pc.any(pc.match_substring(batch["meta"], f'"{CLUSTERS_OF_SPANS}"')).as_py():
                return True
    return False
