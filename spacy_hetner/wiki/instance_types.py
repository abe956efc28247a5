"""Which classes the entities of an encyclopedia have, read from the files that say so."""

from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy

from ..labels.type_map import category_name
from ..losses import Losses
from ..sources import find_files
from ..types import PathLike
from .ntriples import (
    NO_STATEMENT,
    Line,
    name_of_resource,
    parse_statement,
    read_byte_lines,
    title_of,
)
from .ontology import DBPEDIA, Ontology

OTHER_NAMESPACE = "class of another ontology"
UNKNOWN_CLASS = "class that the ontology lacks"
OTHER_PREDICATE = "statement of something else than a type"
PART_OF_PAGE = "part of a page (two underscores in its name)"

_TYPE = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_BATCH = 65536


class TypedTitles(NamedTuple):
    """Titles of pages and the class of each. A title may come again, with another class.

    titles: ``n`` normalised titles; classes: uint16 ``(n,)``, places in ``Ontology.by_depth``.
    """

    titles: List[str]
    classes: numpy.ndarray


def read_instance_types(
    paths: Sequence[PathLike],
    ontology: Ontology,
    losses: Losses,
    *,
    namespace: str = DBPEDIA,
) -> Iterator[TypedTitles]:
    """Stream the types in files, or folders of files, packed or not, in batches.

    A line is an RDF statement (DBpedia's releases, one type or a whole chain of them an entity) or
    a row ``Entity<TAB>type<TAB>class``. Nothing is held but one batch.

    losses (Losses): Takes what is passed over, with file and byte position: lines that are no
        statement or no valid UTF-8, classes of other ontologies and such that the ontology lacks.
    namespace (str): What IRIs of the ontology's classes begin with.

    Raises ValueError for paths without files (HE075), and HE074 for faults if losses are strict.
    """
    classes = _Classes(ontology, namespace)
    for path in find_files(paths):
        rows = _read_types(path, classes, losses)
        while batch := list(islice(rows, _BATCH)):
            titles, numbers = zip(*batch, strict=True)
            yield TypedTitles(list(titles), numpy.array(numbers, dtype="uint16"))


class _Classes:
    """What each spelling of a class in a file means, looked up once a spelling."""

    def __init__(self, ontology: Ontology, namespace: str) -> None:
        self._numbers = {name: number for number, name in enumerate(ontology.by_depth)}
        self._namespace = namespace
        self._known: Dict[bytes, Union[int, str]] = {}

    def find(self, spelling: bytes) -> Union[int, str]:
        """The place of a class in ``Ontology.by_depth``, or why it has none.

        spelling (bytes): An IRI, or a name without blanks and colons.
        """
        found = self._known.get(spelling)
        if found is None:
            name = spelling.decode("utf8", "replace")
            inside = name.startswith(self._namespace)
            if inside or ":" not in name:
                name = category_name(name[len(self._namespace) :] if inside else name)
                found = self._numbers.get(name, UNKNOWN_CLASS)
            else:
                found = OTHER_NAMESPACE
            self._known[spelling] = found
        return found


def _read_types(path: Path, classes: _Classes, losses: Losses) -> Iterator[Tuple[str, int]]:
    """Yield title and number of the class of each line that gives an entity one."""
    for line in read_byte_lines(path, losses):
        if (typed := _parse_type(line, path, losses)) is None:
            continue
        name, spelling = typed
        number = classes.find(spelling)
        if isinstance(number, str):
            losses.pass_over(number, line.place(path))
        elif b"__" in name:
            losses.pass_over(PART_OF_PAGE, line.place(path))
        elif title := title_of(name, line, path, losses):
            yield title, number


def _parse_type(line: Line, path: Path, losses: Losses) -> Optional[Tuple[bytes, bytes]]:
    """The entity and the class of a line, as they are spelled there."""
    if line.content.startswith(b"<") or b"\t" not in line.content:
        statement = parse_statement(line, path, losses)
        if statement is None:
            return None
        if statement.predicate != _TYPE:
            losses.pass_over(OTHER_PREDICATE, line.place(path))
            return None
        return name_of_resource(statement.subject), statement.object
    row = line.content.split(b"\t")
    if len(row) != 3:
        losses.add(NO_STATEMENT, line.place(path), line.content.decode("utf8", "replace"))
        return None
    return row[0].strip(), row[2].strip()
