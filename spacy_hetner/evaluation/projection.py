"""Maps of entities: does an encoder keep the labels apart, for the eye and as a number?

NER-BERT shows its stages so (Figure 3): the vector of the first token of each gold entity, brought
to two dimensions. A map says little without a number, so each comes with the silhouette of the
vectors it was made from.
"""

import heapq
import json
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    DefaultDict,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Sequence,
    Set,
)

import numpy
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import to_numpy

from ..corpora.records import SPANS_KEY, Record, record_to_doc
from ..corpora.stores import read_stores
from ..encoders.encoder import build_encoder_model
from ..encoders.folder import check_encoder_folder
from ..errors import Errors, Warnings
from ..sampling import uniform
from ..types import PathLike
from ..validation import check_choice, check_count
from .pictures import choose_fonts, save_figure

SUFFIXES = (".svg", ".png")
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
"""The palette of Okabe and Ito, which colour-blind eyes can tell apart, without its yellow, which
is faint on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
MOST_LABELS = len(COLORS) * len(MARKERS)
"""As the two numbers have no common factor, so many labels differ in colour or marker, and each
from the next in both."""
_COLUMNS = 3
_LEGEND_ROWS = 20


class Entity(NamedTuple):
    """A labelled span of a record, by its first token; text: all of it."""

    record: Record
    start: int
    label: str
    text: str


@dataclass(frozen=True)
class Panel:
    """One encoder's view of the entities.

    points (numpy.ndarray): float64 ``(n_entities, 2)``. Only which are near each other has a
        meaning.
    silhouette (float): Of the vectors that the points were made from, by cosine distance: 1 where
        entities of a label are alike and far from all others, 0 where labels overlap, below 0
        where entities are nearer to another label's (Rousseeuw, 1987).
    """

    encoder: str
    points: numpy.ndarray
    silhouette: float


@dataclass(frozen=True)
class EntityMap:
    """The same entities as several encoders see them: a label and a text for each, a panel each."""

    method: str
    labels: List[str]
    texts: List[str]
    panels: List[Panel]

    def to_dict(self) -> Dict[str, Any]:
        """The whole map, ready for JSON."""
        panels = [
            {
                "encoder": panel.encoder,
                "silhouette": panel.silhouette,
                "points": panel.points.tolist(),
            }
            for panel in self.panels
        ]
        counts = dict(sorted(Counter(self.labels).items()))
        return {
            "method": self.method,
            "counts": counts,
            "labels": self.labels,
            "texts": self.texts,
            "panels": panels,
        }


def project_entities(
    stores: Sequence[PathLike],
    encoders: Sequence[PathLike],
    *,
    method: str = "tsne",
    per_label: int = 200,
    labels: Collection[str] = (),
    by_token: bool = False,
    seed: int = 0,
    spans_key: str = SPANS_KEY,
) -> EntityMap:
    """Encode gold entities and bring them to two dimensions, one panel an encoder.

    The same stores, encoders and seed give the same map, in whatever order the records are.

    stores (Sequence[PathLike]): Files of annotated records, or folders of them.
    encoders (Sequence[PathLike]): Encoder folders, which all see the same entities.
    method (str): "tsne" (scikit-learn, as in the paper), "umap" (umap-learn) or "pca".
    per_label (int): Most entities of each label, see ``sample_entities``.
    labels (Collection[str]): Show these only; by default all.
    by_token (bool): As in the config of the encoder, see ``build_encoder_model``.
    spans_key (str): The span group of a DocBin's docs.
    RAISES (ValueError): HE004, HE078 for bad settings; HE225 where a package is not installed;
        HE226 where there is too little to compare; HE227, HE228 for labels that do not occur and
        for too many of them; HE229 for vectors that cannot be compared; and those of
        ``read_stores`` and ``build_encoder_model``.
    """
    # What takes no time is checked before what takes minutes.
    check_method(method)
    check_count("number of encoders", len(encoders), 1)
    for encoder in encoders:
        check_encoder_folder(encoder)
    records = read_stores(stores, spans_key=spans_key)
    entities = sample_entities(records, per_label=per_label, labels=labels, seed=seed)
    names = [entity.label for entity in entities]
    _check_labels(names)
    panels = [
        project_vectors(
            str(encoder),
            encode_entities(entities, encoder, by_token=by_token),
            names,
            method=method,
            seed=seed,
        )
        for encoder in encoders
    ]
    return EntityMap(method, names, [entity.text for entity in entities], panels)


def sample_entities(
    records: Iterable[Record],
    *,
    per_label: int = 200,
    labels: Collection[str] = (),
    seed: int = 0,
) -> List[Entity]:
    """Draw at most ``per_label`` entities of each label, sorted by label; nested ones, too.

    An entity is known by its sentence and its place there, so neither the order of the records
    nor their ids change what is drawn, and a sentence that is repeated (as balancing does) counts
    once.

    labels (Collection[str]): Draw from these only; by default from all.
    RAISES (ValueError): HE078 for per_label < 1, HE227 for labels that no entity has.
    """
    check_count("per_label", per_label, 1)
    drawn: DefaultDict[str, List[_Drawn]] = defaultdict(list)
    known: Set[str] = set()
    for record in records:
        known.update(span.label for span in record.spans)
        spans = [span for span in record.spans if not labels or span.label in labels]
        names = [json.dumps([record.tokens, record.spaces, *span]) for span in spans]
        numbers = uniform(names, seed=seed, salt="entities of a map")
        for span, name, number in zip(spans, names, numbers, strict=True):
            entity = Entity(record, span.start, span.label, _text(record, span.start, span.end))
            _keep_smallest(drawn[span.label], _Drawn(-number, name, entity), per_label)
    missing = sorted(set(labels) - known)
    if missing:
        known_names = ", ".join(sorted(known)) or "(none)"
        raise ValueError(Errors.HE227.format(labels=", ".join(missing), known=known_names))
    return [one.entity for label in sorted(drawn) for one in sorted(drawn[label], reverse=True)]


def encode_entities(
    entities: Sequence[Entity],
    encoder: PathLike,
    *,
    by_token: bool = False,
    batch_size: int = 64,
) -> numpy.ndarray:
    """The vector of each entity's first token, which is that of the token's first piece.

    A token that the piece tokenizer swallows (some control characters) has a vector of zeros. The
    encoder runs where spaCy does: call ``spacy.require_gpu`` before for a GPU.

    encoder (PathLike): An encoder folder.
    batch_size (int): Sentences a batch; each is encoded once, however many entities it has.
    RETURNS (numpy.ndarray): float32 ``(n_entities, width)``.
    RAISES (ValueError): Those of ``build_encoder_model`` and its ``initialize``.
    """
    model = build_encoder_model(str(encoder), pooling="first", by_token=by_token)
    model.initialize()
    vectors = numpy.zeros((len(entities), model.get_dim("nO")), dtype="float32")
    rows_of: DefaultDict[int, List[int]] = defaultdict(list)
    for row, entity in enumerate(entities):
        rows_of[id(entity.record)].append(row)
    vocab = Vocab()
    for batch in minibatch(rows_of.values(), batch_size):
        docs = [record_to_doc(entities[rows[0]].record, vocab) for rows in batch]
        for rows, data in zip(batch, model.predict(docs).doc_data, strict=True):
            tokens = data.model_output.last_hidden_state[0]
            vectors[rows] = to_numpy(tokens[[entities[row].start for row in rows]])
    return vectors


def project_vectors(
    encoder: str,
    vectors: numpy.ndarray,
    labels: Sequence[str],
    *,
    method: str = "tsne",
    seed: int = 0,
) -> Panel:
    """Bring vectors to two dimensions and measure how far their labels are apart.

    vectors (numpy.ndarray): ``(n, width)``, n >= 3, width >= 2. The points are of the vectors
        scaled to length 1, so that what is near is so by cosine, as in the silhouette.
    labels (Sequence[str]): One a vector; a vector alone in its label counts as 0 in the silhouette.
    RAISES (ValueError): As ``check_method``; HE229 for vectors that are not finite or all the same.
    """
    check_method(method)
    _check_vectors(encoder, vectors)
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    # Threads add up in any order, and a difference in the last bit makes another map.
    with threadpool_limits(1):
        silhouette = float(silhouette_score(vectors, list(labels), metric="cosine"))
        points = METHODS[method](_to_unit_length(vectors), seed)
    return Panel(encoder, points.astype("float64"), silhouette)


def check_method(method: str) -> None:
    """RAISES (ValueError): HE004 for another method, HE225 for one that is not installed."""
    check_choice("method", method, list(METHODS))
    _import("sklearn")
    if method == "umap":
        _import("umap")


def save_entity_map(entity_map: EntityMap, path: PathLike) -> None:
    """Draw a map, one panel an encoder, as .svg or .png; the same map gives the same bytes.

    An .svg keeps its text as text. Warns (HW225) of characters that no font here can draw in a
    .png.

    RAISES (ValueError): HE004, HE225, see ``check_picture``; HE081 where the file cannot be
        written.
    """
    check_picture(path)
    names = _short_names([panel.encoder for panel in entity_map.panels])
    fonts, missing = choose_fonts([*names, *entity_map.labels])
    if missing and Path(path).suffix == ".png":
        warnings.warn(Warnings.HW225.format(characters="".join(missing)), stacklevel=2)
    save_figure(path, lambda: _draw(entity_map, names), **{"font.family": fonts})


def check_picture(path: PathLike) -> None:
    """RAISES (ValueError): HE004 for another suffix than .svg and .png, HE225 without matplotlib.

    To be called before the long work that a picture is drawn of.
    """
    check_choice("kind of picture", Path(path).suffix, SUFFIXES)
    _import("matplotlib")


class _Drawn(NamedTuple):
    """An entity and its number, negated; the name, which no two have, decides between equals."""

    negated: float
    name: str
    entity: Entity


def _keep_smallest(heap: List[_Drawn], one: _Drawn, size: int) -> None:
    """Put one in a heap of the ``size`` smallest numbers, whose root is the largest of them."""
    full = len(heap) == size
    if full and one[:2] <= heap[0][:2]:
        return
    if any(one.name == other.name for other in heap):
        return
    if full:
        heapq.heapreplace(heap, one)
    else:
        heapq.heappush(heap, one)


def _text(record: Record, start: int, end: int) -> str:
    spaces = record.spaces and record.spaces[start:end]
    return Record(record.tokens[start:end], [], spaces).text.strip()


def _check_labels(labels: Sequence[str]) -> None:
    n_labels = len(set(labels))
    if not 2 <= n_labels < len(labels):
        raise ValueError(Errors.HE226.format(entities=len(labels), labels=n_labels))
    if n_labels > MOST_LABELS:
        frequent = ",".join(label for label, _ in Counter(labels).most_common(3))
        raise ValueError(
            Errors.HE228.format(labels=n_labels, limit=MOST_LABELS, example=f"--labels {frequent}")
        )


def _check_vectors(encoder: str, vectors: numpy.ndarray) -> None:
    broken = int((~numpy.isfinite(vectors)).any(axis=1).sum())
    if broken:
        reason = f"{broken} of {len(vectors)} hold numbers that are not finite"
    elif (vectors == vectors[0]).all():
        reason = f"all {len(vectors)} are the same"
    else:
        return
    raise ValueError(Errors.HE229.format(encoder=encoder, reason=reason))


def _to_unit_length(vectors: numpy.ndarray) -> numpy.ndarray:
    """So that Euclidean distances, which all methods preserve, rank as cosine distances do."""
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / numpy.where(lengths > 0, lengths, 1)


def _tsne(vectors: numpy.ndarray, seed: int) -> numpy.ndarray:
    from sklearn.manifold import TSNE

    # Of few entities, as many neighbours as there would be are all of them.
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)


def _pca(vectors: numpy.ndarray, seed: int) -> numpy.ndarray:
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="full").fit_transform(vectors)


def _umap(vectors: numpy.ndarray, seed: int) -> numpy.ndarray:
    umap = _import("umap")
    neighbors = min(15, len(vectors) - 1)
    # One job is what a seed needs, and said here it is no surprise to be warned of.
    reducer = umap.UMAP(n_neighbors=neighbors, init="pca", random_state=seed, n_jobs=1)
    return reducer.fit_transform(vectors)


METHODS: Dict[str, Callable[[numpy.ndarray, int], numpy.ndarray]] = {
    "tsne": _tsne,
    "umap": _umap,
    "pca": _pca,
}
"""Vectors ``(n, width)`` and a seed to points ``(n, 2)``, n >= 3."""

_PACKAGES = {
    "matplotlib": "'spacy_hetner[plots]'",
    "sklearn": "'spacy_hetner[plots]'",
    "umap": "umap-learn",
}


def _import(module: str) -> Any:
    """RAISES (ValueError): HE225 where it cannot be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # umap misses packages that are not needed here
            return import_module(module)
    except ImportError as error:
        package = _PACKAGES[module]
        raise ValueError(
            Errors.HE225.format(module=module, reason=error, package=package)
        ) from error


def _draw(entity_map: EntityMap, names: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    n_panels = len(entity_map.panels)
    columns = min(n_panels, _COLUMNS)
    rows = -(-n_panels // columns)
    labels = numpy.array(entity_map.labels)
    known = sorted(set(entity_map.labels))
    legend_columns = -(-len(known) // (_LEGEND_ROWS * rows))
    legend_width = legend_columns * (0.6 + 0.07 * max(map(len, known)))
    figure = Figure(figsize=(4 * columns + legend_width, 4.4 * rows), layout="constrained")
    for place, (panel, name) in enumerate(zip(entity_map.panels, names, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(f"{name}\nsilhouette {panel.silhouette:.3f}", fontsize=10)
        axes.set(xticks=[], yticks=[])
        handles = [
            axes.scatter(
                panel.points[labels == label, 0],
                panel.points[labels == label, 1],
                s=18,
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index % len(MARKERS)],
                edgecolors="white",
                linewidths=0.3,
            )
            for index, label in enumerate(known)
        ]
    figure.legend(
        handles,
        known,
        loc="outside right upper",
        ncols=legend_columns,
        fontsize=8,
        frameon=False,
    )
    return figure


def _short_names(paths: Sequence[str]) -> List[str]:
    """The last parts of paths, as many as tell them apart."""
    parts = [Path(path).resolve().parts for path in paths]
    longest = max(map(len, parts))
    names: List[str] = []
    for depth in range(1, longest + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(set(paths)):
            break
    return names
