"""The component that writes candidates, whoever proposes them."""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example
from spacy.util import from_bytes, from_disk, minibatch, to_bytes, to_disk

from ..errors import Errors
from ..spans.groups import group_scores, make_span_group
from ..types import PathLike, SpanArray
from .proposer import Proposer, check_candidates, sort_spans


@Language.factory(
    "hetner_candidates",
    assigns=["doc.spans"],
    default_config={
        "proposers": {},
        "candidates_key": "candidates",
        "overwrite": False,
        "scorer": {"@scorers": "spacy_hetner.candidates_scorer.v1"},
    },
    default_score_weights={"candidates_recall": 0.0, "candidates_per_gold": None},
)
def make_candidate_pipe(
    nlp: Language,
    name: str,
    proposers: Dict[str, Any],  # confection checks the values before it makes functions of them
    candidates_key: str,
    overwrite: bool,
    scorer: Optional[Callable],
) -> "CandidatePipe":
    """Build the component that writes what proposers find; see CandidatePipe for the settings.

    nlp (Language): The pipeline.
    name (str): The component's name in it.
    """
    return CandidatePipe(
        name,
        proposers,
        candidates_key=candidates_key,
        overwrite=overwrite,
        scorer=scorer,
    )


class BatchPipe(Pipe):
    """A component without a model that annotates docs batch by batch.

    scorer: is told the groups of the component, see ``scored_keys``.
    """

    name: str
    scorer: Optional[Callable]

    def annotate(self, docs: Sequence[Doc]) -> None:
        """Write the annotation of a batch of docs, all of it or, at an error, none."""
        raise NotImplementedError

    @property
    def scored_keys(self) -> Dict[str, str]:
        """The component's groups, as our scorers take them."""
        raise NotImplementedError

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one doc, in place. RETURNS (Doc): The same doc."""
        self.annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate a stream of docs, ``batch_size`` at a time."""
        for docs in minibatch(stream, batch_size):
            try:
                self.annotate(docs)
            except Exception as error:
                self.get_error_handler()(self.name, self, docs, error)
            else:
                yield from docs

    def score(self, examples: Iterable[Example], **settings: Any) -> Dict[str, Any]:
        """Scores by the configured scorer."""
        return self.scorer(examples, **{**settings, **self.scored_keys}) if self.scorer else {}


class CandidatePipe(BatchPipe):
    """Write the union of what some proposers find into a span group, each span with a score of 1.

    What a proposer keeps itself, such as a gazetteer, is saved with the pipeline: proposers with
    ``to_disk``, ``from_disk``, ``to_bytes`` and ``from_bytes`` are saved under their names, and
    those with ``initialize`` are initialized with the pipeline.

    name (str): The component's name, for its messages.
    proposers (Mapping[str, Proposer]): Functions from docs to arrays of spans, under names of the
        user's choice. Each is registered under ``misc``.
    candidates_key (str): The group in ``doc.spans``.
    overwrite (bool): Whether a group of that name that a doc already has is replaced. If not, its
        spans, scores and labels stay as they are, and spans that it lacks join them.
    scorer (Optional[Callable]): The scoring method.
    RAISES (ValueError): HE178 for a proposer that is no function.
    """

    def __init__(
        self,
        name: str,
        proposers: Mapping[str, Proposer],
        *,
        candidates_key: str = "candidates",
        overwrite: bool = False,
        scorer: Optional[Callable] = None,
    ) -> None:
        for key, proposer in proposers.items():
            if not callable(proposer):
                raise ValueError(Errors.HE178.format(name=key, component=name, value=proposer))
        self.name = name
        self.proposers = dict(proposers)
        self.candidates_key = candidates_key
        self.overwrite = overwrite
        self.scorer = scorer

    @property
    def scored_keys(self) -> Dict[str, str]:
        """The component's groups, as our scorers take them."""
        return {"candidates_key": self.candidates_key}

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], *, nlp: Optional[Language] = None
    ) -> None:
        """Have the proposers read what they need."""
        for _, proposer in self._having("initialize"):
            proposer.initialize()

    def predict(self, docs: Sequence[Doc]) -> List[SpanArray]:
        """The candidates of each doc, int64 (n, 2), sorted; no doc is changed.

        RAISES (ValueError): HE170 without a proposer, HE176 where one gives no spans of the doc.
        """
        if not self.proposers:
            raise ValueError(Errors.HE170.format(name=self.name))
        return unite(self.proposers, docs)

    def annotate(self, docs: Sequence[Doc]) -> None:
        """Write the candidates of a batch of docs.

        RAISES (ValueError): As ``predict`` and ``write_candidates``.
        """
        found = self.predict(docs)
        write_candidates(docs, self.candidates_key, found, overwrite=self.overwrite)

    def to_disk(self, path: PathLike, *, exclude: Iterable[str] = ()) -> None:
        """Save what the proposers keep themselves, each in a folder of its name."""
        if saved := self._having("to_disk"):
            to_disk(path, {name: proposer.to_disk for name, proposer in saved}, ())

    def from_disk(self, path: PathLike, *, exclude: Iterable[str] = ()) -> "CandidatePipe":
        """Take back what ``to_disk`` wrote."""
        saved = self._having("from_disk")
        from_disk(path, {name: proposer.from_disk for name, proposer in saved}, ())
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The same as bytes."""
        saved = self._having("to_bytes")
        return to_bytes({name: proposer.to_bytes for name, proposer in saved}, ())

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "CandidatePipe":
        """Take back what ``to_bytes`` gave."""
        saved = self._having("from_bytes")
        from_bytes(data, {name: proposer.from_bytes for name, proposer in saved}, ())
        return self

    def _having(self, method: str) -> List[Tuple[str, Any]]:
        return [(name, found) for name, found in self.proposers.items() if hasattr(found, method)]


def unite(proposers: Mapping[str, Proposer], docs: Sequence[Doc]) -> List[SpanArray]:
    """What any of the proposers finds in each doc, int64 (n, 2), sorted, each span once.

    RAISES (ValueError): HE176 where one does not give an array of spans for each doc.
    """
    found = [check_candidates(name, docs, propose(docs)) for name, propose in proposers.items()]
    return [sort_spans(numpy.concatenate(parts)) for parts in zip(*found, strict=True)]


def write_candidates(
    docs: Sequence[Doc], key: str, spans: Sequence[SpanArray], *, overwrite: bool
) -> None:
    """Give each doc a group of candidates, sorted, with a score of 1 each.

    overwrite: Replace a group of that name, instead of adding what it lacks.
    RAISES (ValueError): HE090 where a group to be added to has scores, but not one for each span;
        then no doc is changed.
    """
    groups = []
    for doc, offsets in zip(docs, spans, strict=True):
        group = make_span_group(doc, key, offsets, numpy.ones(len(offsets)))
        old = None if overwrite else doc.spans.get(key)
        groups.append(group if old is None else join_groups(old, group))
    for doc, group in zip(docs, groups, strict=True):
        doc.spans[key] = group


def join_groups(group: SpanGroup, more: SpanGroup) -> SpanGroup:
    """A group and those spans of another that it lacks, by start and end.

    Spans of the group keep what they have: label, ids, score (1.0 where it has no scores), also
    where several have the same ends.

    RAISES (ValueError): HE090 where the group has scores, but not one for each span.
    """
    scores = group_scores(group)
    known = {(span.start, span.end) for span in group}
    new = [i for i, span in enumerate(more) if (span.start, span.end) not in known]
    spans = [*group, *(more[i] for i in new)]
    scores = numpy.concatenate((scores, group_scores(more)[new]))
    order = sorted(range(len(spans)), key=lambda i: (spans[i].start, spans[i].end))
    return SpanGroup(
        group.doc,
        name=group.name,
        spans=[spans[i] for i in order],
        attrs={**group.attrs, "scores": scores[order]},
    )
