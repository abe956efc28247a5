"""Type maps: many fine categories to few, as tables that users can replace by their own.

The package brings one, ``4types`` (NER-BERT's setting of that name; the authors published none):
every class of the DBpedia ontology to person, location, organization, or else ``ENTITY``.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Collection, Dict, Iterable, List, Mapping, Optional, Tuple

from ..errors import Errors
from ..sources import read_lines
from ..types import PathLike

UNTYPED = "ENTITY"
"""The label of an anchor whose type is not known (NER-BERT, section 2.2)."""

MAPS = {"4types": Path(__file__).parent / "maps" / "dbpedia_4types.tsv"}
"""Type maps that come with the package, by name."""


def category_name(name: str) -> str:
    """The name of a class as a label: lower case, without blanks and underscores.

    ``SoccerPlayer``, ``soccer_player`` and ``soccer player`` are all ``soccerplayer``. Only
    ``ENTITY``, which is no class, stays as it is.
    """
    return name if name == UNTYPED else name.replace("_", "").replace(" ", "").lower()


def load_type_map(
    name_or_path: PathLike, known: Optional[Collection[str]] = None
) -> Dict[str, str]:
    """Read a type map: one ``SOURCE<TAB>TARGET`` a line; blank lines and lines that
    begin with ``#`` are passed over.

    name_or_path (PathLike): One of ``MAPS``, or a file.
    known (Optional[Collection[str]]): The categories that a source may be, in any spelling.
        Default: those of the package's own map, which are DBpedia's.
    RETURNS (Dict[str, str]): Targets by category name.

    Raises ValueError, with file and line, for a malformed line (HE160), an unknown source (HE158)
    and a source that comes twice (HE159); and as ``read_lines`` does.
    """
    path = MAPS.get(str(name_or_path), Path(name_or_path))
    if known is None and path not in MAPS.values():
        known = load_type_map(next(iter(MAPS)))
    categories = None if known is None else set(map(category_name, known))
    targets: Dict[str, str] = {}
    for place, source, target in _read_pairs(path):
        if categories is not None and source not in categories:
            close = get_close_matches(source, sorted(categories), n=1)
            hint = f", but {close[0]!r} is" if close else ""
            raise ValueError(Errors.HE158.format(place=place, source=source, hint=hint))
        if source in targets:
            raise ValueError(
                Errors.HE159.format(place=place, source=source, target=targets[source])
            )
        targets[source] = target
    return targets


def map_labels(labels: Iterable[str], targets: Mapping[str, str], missing: str) -> List[str]:
    """What each label becomes; it is looked up as it is, and as ``category_name`` writes it.

    missing (str): What becomes of a label that the map lacks: ``keep`` it as it is, or ``error``.

    Raises ValueError (HE161) that names all labels that are missing.
    """
    labels = list(labels)
    found = {label: targets.get(label, targets.get(category_name(label))) for label in labels}
    lacking = sorted(label for label, target in found.items() if target is None)
    if lacking and missing == "error":
        raise ValueError(Errors.HE161.format(labels=", ".join(lacking)))
    return [found[label] or label for label in labels]


def _read_pairs(path: Path) -> Iterable[Tuple[str, str, str]]:
    """Yield place, category and target of each line."""
    for number, line in read_lines(path):
        place = f"{path}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2 or not all(columns):
            raise ValueError(Errors.HE160.format(place=place, line=line[:80]))
        yield place, category_name(columns[0]), columns[1]
