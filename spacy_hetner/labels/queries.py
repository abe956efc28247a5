"""Queries: what a label seeks, in words, as the query-based tagger reads them.

The package brings some, by name: ``zh`` has those of CoFEE (the list of products, FAC and TITLE are
ours), ``en`` sentences of ours for its labels and some more, since the paper only says that its own
follow CoNLL's guidelines, and there are our own for ``weibo``, ``resume``, ``cluener``, ``genia``
and ``re3d``.
"""

import json
import re
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Union

from ..errors import Errors, Warnings
from ..types import PathLike

QUERIES = {path.stem: path for path in sorted((Path(__file__).parent / "queries").glob("*.json"))}
"""Queries that come with the package, by name."""

_WORD_BREAK = re.compile(r"[_.\-\s]+|(?<=[a-z])(?=[A-Z])")


def load_queries(
    queries: Union[PathLike, Mapping[str, Any], None], labels: Iterable[str]
) -> Dict[str, str]:
    """A query for each label.

    queries (Union[PathLike, Mapping[str, Any], None]): One of ``QUERIES``, or a file, see
        ``read_queries``; or a query a label. For a label that has none the words of its name are
        its query, of which HW270 warns; None: for all labels.
    RAISES (ValueError): HE272 for a query that says nothing, and as ``read_queries`` does.
    """
    if queries is None:
        return {label: label_words(label) for label in labels}
    known = queries if isinstance(queries, Mapping) else read_queries(queries)
    found = {label: known.get(label, label_words(label)) for label in labels}
    for label, query in found.items():
        if not isinstance(query, str) or not query.strip():
            raise ValueError(Errors.HE272.format(label=label, query=query))
    if lacking := [label for label in found if label not in known]:
        words = ", ".join(repr(found[label]) for label in lacking)
        message = Warnings.HW270.format(labels=", ".join(lacking), queries=words)
        warnings.warn(message, stacklevel=2)
    return found


def read_queries(name_or_path: PathLike) -> Dict[str, Any]:
    """Read queries: a JSON object of one text a label.

    name_or_path (PathLike): One of ``QUERIES``, or a file.
    RAISES (ValueError): HE271 for what is no such file.
    """
    path = QUERIES.get(str(name_or_path), Path(name_or_path))
    try:
        found = json.loads(path.read_text(encoding="utf8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as err:
        known = ", ".join(QUERIES)
        raise ValueError(Errors.HE271.format(path=path, reason=err, known=known)) from err
    return found


def label_words(label: str) -> str:
    """The words of a label's name: ``cell_line`` and ``cellLine`` are "cell line"."""
    words = [word for word in _WORD_BREAK.split(label) if word]
    return " ".join(word if word.isupper() else word.lower() for word in words) or label
