"""The class tree of an ontology: which classes there are, and which of an entity's says most.

Classes go by their category name (``soccerplayer``), so that files which spell them in CamelCase
and in snake_case, or in the wrong case, mean the same.
"""

from collections import Counter
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from ..errors import Errors
from ..labels.type_map import category_name
from ..sources import read_lines, read_text, unpacked_name
from ..types import PathLike

DBPEDIA = "http://dbpedia.org/ontology/"
THING = "thing"

EXTERNAL = "superclass of another ontology"
UNKNOWN = "superclass that is no class of the ontology"
ITSELF = "class that is its own superclass"
CYCLE = "superclass that closes a cycle"

_RDF_FORMATS = {".owl": "xml", ".rdf": "xml", ".xml": "xml", ".ttl": "turtle", ".nt": "nt"}
_ISA = ("isa", "subclassof")


class Ontology:
    """Classes and their superclasses, without cycles.

    parents (Dict[str, Tuple[str, ...]]): Superclasses of each class, in the alphabet's order; none
        for a class right below owl:Thing. A class may have several.
    depths (Dict[str, int]): Length of the longest way up from each class to owl:Thing, so that a
        class is always deeper than all its ancestors. 1 right below it.
    dropped (Counter): Superclasses that were left out, by cause.
    """

    def __init__(self, superclasses: Mapping[str, Iterable[str]]) -> None:
        """superclasses: Category names of the superclasses of every class, ``thing`` for the root.

        Superclasses that are not among the classes, and those that close a cycle, are left out
        and counted. Of a cycle the first statement in the alphabet goes.
        """
        self.dropped: Counter[str] = Counter()
        parents = {name: self._known_parents(name, superclasses) for name in sorted(superclasses)}
        order = self._without_cycles(parents)
        self.parents = {name: tuple(above) for name, above in parents.items()}
        self.depths: Dict[str, int] = {}
        for name in order:
            self.depths[name] = 1 + max((self.depths[above] for above in parents[name]), default=0)

    @cached_property
    def by_depth(self) -> List[str]:
        """All classes, those that say least first; of one depth the last in the alphabet first."""
        return sorted(sorted(self.depths, reverse=True), key=self.depths.__getitem__)

    def ancestors(self, name: str) -> Tuple[str, ...]:
        """All classes above one, the nearest first; of equal distance in the alphabet's order."""
        found: Dict[str, None] = {}
        layer: Iterable[str] = self.parents[category_name(name)]
        while layer := [above for above in layer if above not in found]:
            found.update(dict.fromkeys(layer))
            layer = sorted({further for above in layer for further in self.parents[above]})
        return tuple(found)

    def most_specific(self, classes: Iterable[str]) -> Optional[str]:
        """The deepest of the classes asserted of an entity; of equally deep ones the first in the
        alphabet. Names that are no classes of the ontology do not count; None if none is left.
        """
        names = {category_name(name) for name in classes} & self.depths.keys()
        return min(names, key=lambda name: (-self.depths[name], name), default=None)

    def __contains__(self, name: str) -> bool:
        return category_name(name) in self.depths

    def __len__(self) -> int:
        return len(self.depths)

    def _known_parents(self, name: str, superclasses: Mapping[str, Iterable[str]]) -> List[str]:
        known = []
        for above in sorted(set(superclasses[name])):
            if above == name:
                self.dropped[ITSELF] += 1
            elif above in superclasses:
                known.append(above)
            elif above != THING:
                self.dropped[EXTERNAL if above.startswith("<") else UNKNOWN] += 1
        return known

    def _without_cycles(self, parents: Mapping[str, List[str]]) -> List[str]:
        """Cut cycles in place. RETURNS: all classes, each after its superclasses."""
        while True:
            try:
                return list(TopologicalSorter(parents).static_order())
            except CycleError as error:
                cycle = error.args[1]  # each is a superclass of the next
                above, name = min(pairwise(cycle), key=lambda pair: pair[::-1])
                parents[name].remove(above)
                self.dropped[CYCLE] += 1


def read_ontology(path: PathLike, namespace: str = DBPEDIA) -> Ontology:
    """Read a class tree from one of these, packed or not, by the ending of its name:

    - RDF: ``.owl``, ``.rdf``, ``.xml`` (RDF/XML), ``.ttl`` (Turtle), ``.nt`` (N-Triples);
    - a table, ``.tsv`` or ``.txt``: ``Type<TAB>Depth<TAB>Parent`` under that header, or triples
      ``class<TAB>isa<TAB>superclass``, of which other relations are passed over.

    namespace (str): What the classes of the ontology begin with, in RDF. Others do not count.

    Raises ValueError for a file that cannot be read (HE155, and as ``read_lines`` does), RDF
    without rdflib (HE156), and a file without a class (HE157).
    """
    suffix = Path(unpacked_name(Path(path))).suffix.lower()
    if suffix in _RDF_FORMATS:
        pairs = _pairs_of_rdf(path, _RDF_FORMATS[suffix], namespace)
    else:
        pairs = _pairs_of_table(path)
    superclasses: Dict[str, List[str]] = {}
    for name, above in pairs:
        superclasses.setdefault(name, []).extend(above)
    superclasses.pop(THING, None)
    if not superclasses:
        raise ValueError(Errors.HE157.format(path=path, namespace=namespace))
    return Ontology(superclasses)


def _pairs_of_rdf(path: PathLike, format: str, namespace: str) -> Iterator[Tuple[str, List[str]]]:
    """Yield each class with its superclasses, one of another ontology as ``<IRI>``."""
    try:
        from rdflib import OWL, RDF, RDFS, Graph, URIRef
    except ImportError as error:
        raise ValueError(Errors.HE156.format(reason=error)) from error

    def name_of(node: object) -> str:
        inside = isinstance(node, URIRef) and node.startswith(namespace)
        return category_name(str(node)[len(namespace) :]) if inside else f"<{node}>"

    graph, text = Graph(), read_text(path)
    try:
        graph.parse(data=text, format=format)
    except Exception as error:  # each of rdflib's parsers raises what it likes
        raise ValueError(Errors.HE155.format(path=path, reason=error)) from error
    classes = {*graph.subjects(RDF.type, OWL.Class), *graph.subjects(RDF.type, RDFS.Class)}
    classes.update(graph.subjects(RDFS.subClassOf))
    for node in classes:
        if not (name := name_of(node)).startswith("<"):
            above = [found for found in graph.objects(node, RDFS.subClassOf) if found != OWL.Thing]
            yield name, [name_of(found) for found in above]


def _pairs_of_table(path: PathLike) -> Iterator[Tuple[str, List[str]]]:
    rows = ((number, line.split("\t")) for number, line in read_lines(path) if line.strip())
    is_tree = False
    for number, row in rows:
        if len(row) != 3:
            reason = f"line {number} has {len(row)} columns, not 3"
            raise ValueError(Errors.HE155.format(path=path, reason=reason))
        if number == 1 and row[1].strip().lower() == "depth":
            is_tree = True
            continue
        name, relation, above = (column.strip() for column in row)
        if is_tree:
            yield _local_name(name), [_local_name(above)]
        elif relation.lower() in _ISA:
            yield _local_name(name), [_local_name(above)]
            yield _local_name(above), []


def _local_name(name: str) -> str:
    """The category of a prefixed name such as ``dbo:Person``."""
    return category_name(name.split(":", 1)[-1])
