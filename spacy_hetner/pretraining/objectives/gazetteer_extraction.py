"""CoFEE's second stage: typed entities of a distant corpus (NEE; EMNLP 2020, section 3.3).

This is one round. That the model then labels the corpus anew, for the next, is the affair of
``pretraining.coarse_to_fine``.
"""

from dataclasses import dataclass
from typing import ClassVar, List, Optional, Sequence

from .extraction import Backbone, Extraction, Queries


@dataclass(frozen=True)
class GazetteerExtraction(Extraction):
    """Entities with their labels, such as gazetteers give (CoFEE, EMNLP 2020).

    For the settings see ``make_gazetteer_extraction``.
    """

    name: ClassVar[str] = "gazetteer_extraction"

    def taught_labels(self, stored: Sequence[str], carried: Sequence[str]) -> List[str]:
        """Those of the records, and those that the head knew: none is forgotten because a model
        picked no span of it."""
        return sorted({*stored, *carried})


def make_gazetteer_extraction(
    *,
    backbone: Backbone = "query",
    queries: Queries = None,
    by_token: bool = False,
    max_pieces: int = 256,
    overlap: int = 64,
    dropout: float = 0.1,
    head: Optional[str] = None,
) -> GazetteerExtraction:
    """Teach an encoder entities of several labels, such as gazetteers find.

    backbone (str): "query" reads a text under the query of each label, also of those that it has no
        entity of, and tells where these begin and end; "tagger" reads it once, and tags it.
    queries (str or Dict[str, str]): The queries, a name ("zh", "en") or a file, or one a label;
        None: the words of the labels.
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a text that are read at once, those of the query and special
        ones not counted. A longer one is read in several windows; each token is labelled in one.
    overlap (int): Pieces that neighbouring windows share.
    dropout (float): Between encoder and head.
    head (Optional[str]): The encoder folder whose head goes on; None: the head is new. That of
        span identification goes on under queries; a tagger's begins anew, since its tags differ.
    RAISES (ValueError): HE002, HE004, HE032, HE078 for values that make no sense.
    """
    return GazetteerExtraction(backbone, queries, by_token, max_pieces, overlap, dropout, head)
