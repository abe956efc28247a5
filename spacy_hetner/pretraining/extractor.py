"""What the encoder and the head of a stage say of records: where spans begin and end, and vectors.

Records are cut to windows as in training, by the same code, so that both read the same.
"""

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy
import torch
from torch import Tensor

from ..corpora.records import Record
from ..encoders.heads import read_head
from ..encoders.hugging_face import load_encoder
from ..encoders.module import PRECISIONS, PieceEncoder, tell_precision
from ..errors import Errors
from ..mrc.inputs import TextPieces
from ..types import PathLike
from ..validation import check_choice, check_count, check_range
from .objectives.extraction import BACKBONES, QUERY, load_weights, make_head
from .objectives.extraction_heads import ExtractionHead, sum_spans
from .objectives.extraction_task import TextWindow, WindowReader, place_spans
from .objectives.reading import flat_places

Edges = Tuple[numpy.ndarray, numpy.ndarray]
"""How probable it is that a span begins, and ends, at each token: float32 ``(n_tokens,)`` each."""


def load_extractor(
    folder: PathLike,
    *,
    device: Union[str, torch.device] = "cpu",
    precision: str = "fp32",
    queries: Optional[Mapping[str, str]] = None,
    min_density: float = 0.9,
    max_batch_pieces: int = 8192,
) -> "Extractor":
    """The encoder and the head that a stage of extraction left in a folder, to be asked.

    precision (str): "fp32", "bf16" or "fp16", as of ``spacy_hetner.Encoder.v1``.
    queries (Optional[Mapping[str, str]]): For a head under queries, labels to ask for instead of
        those that it was taught with, each with its query. A tagger knows its own labels only.
    min_density (float): Least share of real pieces in every padded batch.
    max_batch_pieces (int): Most pieces, padding included, that the encoder computes at once.
    RAISES (ValueError): HE002, HE004, HE078 for values that make no sense; HE020-HE023, HE034,
        HE035, HE039 for a folder that cannot be used, HE298 for one without such a head, HE281 for
        weights that do not fit its description, HE270 for a query that is too long; HE286 for
        queries that a tagger is given.
    """
    check_choice("precision", precision, PRECISIONS)
    check_range("min_density", min_density, 0, 1)
    check_count("max_batch_pieces", max_batch_pieces, 1)
    taught = read_head(folder, *BACKBONES)
    backbone, record = taught.record["backbone"], taught.record
    if queries is not None and backbone != QUERY:
        raise ValueError(Errors.HE286.format(folder=folder, backbone=backbone))
    asked = dict(queries or record["queries"]) if backbone == QUERY else None
    encoder = PieceEncoder(
        layers=1, precision=precision, min_density=min_density, max_batch_pieces=max_batch_pieces
    )
    encoder.tokenizer, transformer = load_encoder(folder)
    encoder.transformer = transformer.to(device)
    tell_precision(precision, encoder.device)
    config: Any = transformer.config
    head = make_head(backbone, config.hidden_size, taught.labels)
    load_weights(head, taught)
    read = WindowReader(
        str(folder),
        None if asked is None else list(asked.values()),
        by_token=record["by_token"],
        max_pieces=record["max_pieces"],
        overlap=record["overlap"],
    )
    labels = taught.labels if asked is None else list(asked)
    return Extractor(
        encoder.eval(), head.to(device).eval(), read, backbone, labels, config.hidden_size
    )


class _Unit(NamedTuple):
    """A window of a record under a query. tokens: those of the record whose vectors it gives."""

    record: int
    frame: int
    window: TextWindow
    tokens: numpy.ndarray


class Extractor:
    """See ``load_extractor``. It is not trained: no gradients, no dropout.

    backbone: "query" or "tagger"; labels: those that are told; width: of its vectors.
    """

    def __init__(
        self,
        encoder: PieceEncoder,
        head: ExtractionHead,
        read: WindowReader,
        backbone: str,
        labels: List[str],
        width: int,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.read = read
        self.backbone = backbone
        self.labels = labels
        self.width = width

    @torch.inference_mode()
    def probabilities(self, records: Sequence[Record]) -> List[Dict[str, Edges]]:
        """Of each record, for each label, where its spans begin and end.

        Tokens that have no piece have a probability of 0.
        """
        edges = [numpy.zeros((len(self.labels), 2, len(r.tokens)), "float32") for r in records]
        texts = self.read(records)
        units = [
            unit
            for number, text in enumerate(texts)
            for frame in range(len(self.read.frames))
            for unit in self._units(number, text, frame)
        ]
        for numbers, vectors in self._vectors(units):
            told = torch.stack(self.head.probabilities(vectors), 1).cpu().numpy()  # (n, 2, K)
            own = [units[number] for number in numbers]
            ends = numpy.cumsum([len(unit.tokens) for unit in own])
            for unit, part in zip(own, numpy.split(told, ends[:-1]), strict=True):
                asked = slice(unit.frame, unit.frame + 1) if self.backbone == QUERY else slice(None)
                edges[unit.record][asked, :, unit.tokens] = part.transpose(2, 1, 0)
        return [
            {label: (told[0], told[1]) for label, told in zip(self.labels, of, strict=True)}
            for of in edges
        ]

    @torch.inference_mode()
    def span_vectors(self, records: Sequence[Record]) -> numpy.ndarray:
        """The sum of the vectors of the tokens of each span, record after record, in the order of
        their spans: float32 ``(n_spans, width)``.

        Under queries a text is read under that of the span's own label. A span whose tokens have
        no pieces is zero.

        RAISES (ValueError): HE287 for a label without a query.
        """
        totals = numpy.zeros((sum(len(record.spans) for record in records), self.width), "float32")
        units: List[_Unit] = []
        parts: List[numpy.ndarray] = []  # for each unit: the row in totals, start, end
        first = 0
        for number, (record, text) in enumerate(zip(records, self.read(records), strict=True)):
            bounds = numpy.array(place_spans(text, record.spans), dtype="int64").reshape(-1, 2)
            frames = numpy.array([self._frame_of(span.label) for span in record.spans])
            for frame in numpy.unique(frames).tolist():
                own = numpy.flatnonzero((frames == frame) & (bounds[:, 0] < bounds[:, 1]))
                spans = [(start, end) for start, end in bounds[own].tolist()]
                for unit in self._units(number, text, frame, spans):
                    units.append(unit)
                    parts.append(_inside(unit.window, first + own, bounds[own]))
            first += len(record.spans)
        for own_units, vectors in self._vectors(units):
            offset = 0
            for number in own_units:
                owners, starts, ends = torch.from_numpy(parts[number]).unbind(1)
                size = len(units[number].tokens)
                told = vectors[offset : offset + size]
                sums = sum_spans(told, starts.to(told.device), ends.to(told.device))
                # A span that no window holds has a part in several.
                totals[owners.numpy()] += sums.cpu().numpy()
                offset += size
        return totals

    def _frame_of(self, label: str) -> int:
        if self.backbone != QUERY:
            return 0
        if label not in self.labels:
            raise ValueError(Errors.HE287.format(label=label, labels=", ".join(self.labels)))
        return self.labels.index(label)

    def _units(
        self, record: int, text: TextPieces, frame: int, spans: Sequence[Tuple[int, int]] = ()
    ) -> Iterator[_Unit]:
        """The windows of a record that a token is told in."""
        for window in self.read.windows(text, frame, spans):
            if window.places:
                tokens = text.tokens[window.places.start : window.places.stop]
                yield _Unit(record, frame, window, tokens)

    def _vectors(self, units: Sequence[_Unit]) -> Iterator[Tuple[List[int], Tensor]]:
        """Numbers of units, and the vectors of all their tokens: float32 ``(n, width)``."""
        rows = [unit.window.pieces for unit in units]
        begins = None
        if self.backbone == QUERY:
            begins = numpy.array([unit.window.before for unit in units])
        for bucket, states in self.encoder.encode(rows, begins):
            numbers = bucket.tolist()
            places = flat_places([units[i].window.rows for i in numbers], states.shape[1])
            yield numbers, states.flatten(0, 1)[torch.from_numpy(places).to(states.device)]


def _inside(window: TextWindow, owners: numpy.ndarray, bounds: numpy.ndarray) -> numpy.ndarray:
    """The parts of spans in a window: owner, start and end among its tokens, int64 ``(m, 3)``."""
    clipped = bounds.clip(window.places.start, window.places.stop) - window.places.start
    told = numpy.column_stack((owners, clipped))
    return told[clipped[:, 0] < clipped[:, 1]]
