"""The components over a gazetteer: one proposes its entries, one calls them entities."""

from pathlib import Path
from typing import Callable, Dict, Iterable, Optional, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..gazetteers.gazetteer import Gazetteer
from ..spans.groups import make_span_group
from ..types import PathLike
from .component import BatchPipe, write_candidates
from .gazetteer import GazetteerCandidates

FOLDER = "gazetteer"


@Language.factory(
    "hetner_gazetteer_candidates",
    assigns=["doc.spans"],
    default_config={
        "path": "",
        "overlapping": True,
        "candidates_key": "candidates",
        "overwrite": False,
        "scorer": {"@scorers": "spacy_hetner.candidates_scorer.v1"},
    },
    default_score_weights={"candidates_recall": 0.0, "candidates_per_gold": None},
)
def make_gazetteer_candidate_pipe(
    nlp: Language,
    name: str,
    path: str,
    overlapping: bool,
    candidates_key: str,
    overwrite: bool,
    scorer: Optional[Callable],
) -> "GazetteerCandidatePipe":
    """Build the component that writes a gazetteer's entries as candidates.

    nlp (Language): The pipeline.
    name (str): The component's name in it.
    """
    return GazetteerCandidatePipe(
        name,
        path=path,
        overlapping=overlapping,
        candidates_key=candidates_key,
        overwrite=overwrite,
        scorer=scorer,
    )


@Language.factory(
    "hetner_gazetteer_recognizer",
    assigns=["doc.spans"],
    default_config={
        "path": "",
        "overlapping": False,
        "spans_key": "entities",
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_gazetteer_recognizer(
    nlp: Language,
    name: str,
    path: str,
    overlapping: bool,
    spans_key: str,
    scorer: Optional[Callable],
) -> "GazetteerRecognizer":
    """Build the component that writes a gazetteer's entries as entities.

    nlp (Language): The pipeline.
    name (str): The component's name in it.
    """
    return GazetteerRecognizer(
        name, path=path, overlapping=overlapping, spans_key=spans_key, scorer=scorer
    )


class GazetteerPipe(BatchPipe):
    """A component over a gazetteer, which is saved with the pipeline.

    name (str): The component's name, for its messages.
    path (str): A folder that ``spacy hetner gazetteer build`` wrote. It is read when the pipeline
        is initialized or first used, and not needed once the pipeline is saved. "" where the
        initialize block of the config names it (``gazetteer``), or the attribute ``gazetteer`` is
        set.
    overlapping (bool): All matches, or from left to right the longest that begins first. Matches
        begin and end with tokens and lie within sentences.
    scorer (Optional[Callable]): The scoring method.
    """

    def __init__(
        self, name: str, *, path: str, overlapping: bool, scorer: Optional[Callable]
    ) -> None:
        self.name = name
        self.scorer = scorer
        self.lookup = GazetteerCandidates(path, overlapping=overlapping, title=name)

    @property
    def gazetteer(self) -> Gazetteer:
        """The gazetteer; RAISES (ValueError): HE175 where there is none, HE112."""
        return self.lookup.gazetteer

    @gazetteer.setter
    def gazetteer(self, gazetteer: Gazetteer) -> None:
        self.lookup.gazetteer = gazetteer

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        gazetteer: Optional[str] = None,
    ) -> None:
        """Read the gazetteer.

        gazetteer (Optional[str]): Its folder; by default the component's ``path``.
        RAISES (ValueError): HE175 where there is none, HE112 for a folder that holds none.
        """
        self.lookup.initialize(gazetteer)

    def to_disk(self, path: PathLike, *, exclude: Iterable[str] = ()) -> None:
        """Save the gazetteer."""
        if self.lookup.is_known:
            self.lookup.to_disk(Path(path) / FOLDER)

    def from_disk(self, path: PathLike, *, exclude: Iterable[str] = ()) -> "GazetteerPipe":
        """Take back what ``to_disk`` wrote."""
        self.lookup.from_disk(Path(path) / FOLDER)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The gazetteer as bytes."""
        return self.lookup.to_bytes()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "GazetteerPipe":
        """Take back what ``to_bytes`` gave."""
        self.lookup.from_bytes(data)
        return self


class GazetteerCandidatePipe(GazetteerPipe):
    """Write a gazetteer's entries as candidates, with a score of 1; see GazetteerPipe.

    candidates_key (str): The group in ``doc.spans``.
    overwrite (bool): As of ``component.CandidatePipe``.
    """

    def __init__(
        self,
        name: str,
        *,
        path: str = "",
        overlapping: bool = True,
        candidates_key: str = "candidates",
        overwrite: bool = False,
        scorer: Optional[Callable] = None,
    ) -> None:
        super().__init__(name, path=path, overlapping=overlapping, scorer=scorer)
        self.candidates_key = candidates_key
        self.overwrite = overwrite

    @property
    def scored_keys(self) -> Dict[str, str]:
        """The component's groups, as our scorers take them."""
        return {"candidates_key": self.candidates_key}

    def annotate(self, docs: Sequence[Doc]) -> None:
        """Write the entries of a batch of docs."""
        found = self.lookup(docs)
        write_candidates(docs, self.candidates_key, found, overwrite=self.overwrite)


class GazetteerRecognizer(GazetteerPipe):
    """Call a gazetteer's entries entities: the papers' baseline. See GazetteerPipe.

    Each span has a score of 1. An entry with several labels gives a span for each, in the order of
    the gazetteer's labels.

    spans_key (str): The group in ``doc.spans``; one that is there is replaced.
    """

    def __init__(
        self,
        name: str,
        *,
        path: str = "",
        overlapping: bool = False,
        spans_key: str = "entities",
        scorer: Optional[Callable] = None,
    ) -> None:
        super().__init__(name, path=path, overlapping=overlapping, scorer=scorer)
        self.spans_key = spans_key

    @property
    def labels(self) -> Tuple[str, ...]:
        """The gazetteer's labels, in order of priority; none before it has been read.

        spaCy asks for them in the midst of loading, when a configured path may lead nowhere.
        """
        return self.gazetteer.labels if self.lookup.is_loaded else ()

    @property
    def scored_keys(self) -> Dict[str, str]:
        """The component's groups, as our scorers take them."""
        return {"entities_key": self.spans_key}

    def annotate(self, docs: Sequence[Doc]) -> None:
        """Write the entries of a batch of docs."""
        for doc, (spans, entries) in zip(docs, self.lookup.find(docs), strict=True):
            label_sets = [self.gazetteer.labels_of(entry) for entry in entries.tolist()]
            each = numpy.repeat(spans, [len(labels) for labels in label_sets], axis=0)
            labels = [label for labels in label_sets for label in labels]
            scores = numpy.ones(len(each))
            doc.spans[self.spans_key] = make_span_group(doc, self.spans_key, each, scores, labels)
