"""The labels of several corpora together, for a model that is to know all of them."""

from collections import Counter
from typing import Dict, Sequence

from ..errors import Errors
from ..types import PathLike
from .records import SPANS_KEY
from .stores import read_stores


def count_stored_labels(
    stores: Sequence[PathLike], *, spans_key: str = SPANS_KEY
) -> Dict[str, int]:
    """The labels of records and how many spans have each, in the order of the alphabet.

    stores (Sequence[PathLike]): ``.parquet`` and ``.spacy`` files, and folders of such.
    spans_key (str): The span group of a DocBin's docs.

    Raises ValueError where no span has a label (HE221), and as ``read_stores`` does.
    """
    records = read_stores(stores, spans_key=spans_key)
    counts = Counter(span.label for record in records for span in record.spans if span.label)
    if not counts:
        raise ValueError(Errors.HE221.format(paths=", ".join(map(str, stores)), key=spans_key))
    return dict(sorted(counts.items()))
