"""What the trainable components over spans have in common."""

import warnings
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ..errors import Errors, Warnings
from .batch import resize_head


class SpanPipe(TrainablePipe):
    """A trainable component that reads or writes span groups.

    settings: the component's settings, among them ``spans_key`` (entities) and ``candidates_key``.
    Not named cfg: spaCy saves that beside the config, and the copy would win at loading.

    RAISES (ValueError): HE015 where both groups are the same.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        scorer: Optional[Callable],
        settings: Dict[str, Any],
    ) -> None:
        if settings["spans_key"] == settings["candidates_key"]:
            raise ValueError(Errors.HE015.format(name=name, key=settings["spans_key"]))
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.settings = settings
        self._sentence_setter: Optional[str] = None
        self._warned_of_crossing = False

    def score(self, examples: Iterable[Example], **settings: Any) -> Dict[str, Any]:
        """Scores by the configured scorer, which is told this component's groups."""
        if self.scorer is None:
            return {}
        keys = {
            "entities_key": self.settings["spans_key"],
            "candidates_key": self.settings["candidates_key"],
        }
        return self.scorer(examples, **{**settings, **keys})

    def before(self, nlp: Optional[Language]) -> List[Tuple[str, Any]]:
        """Names and components before this one in a pipeline.

        With the disabled ones: spaCy disables frozen components while it initializes the others.
        """
        components = [] if nlp is None else list(nlp.components)
        names = [name for name, _ in components]
        return components[: names.index(self.name)] if self.name in names else []

    def expect_sentences(self, nlp: Optional[Language]) -> None:
        """Note which component before this one sets sentence boundaries, if there is any."""
        setters = [name for name, _ in self.before(nlp) if nlp and _sets_sentences(nlp, name)]
        self._sentence_setter = setters[-1] if setters else None
        self._warned_of_crossing = False

    def warn_of_missing_sentences(self, docs: List[Doc]) -> None:
        """Say once (HW003) that sentence boundaries of prediction time are absent in training."""
        if self._sentence_setter and not all(doc.has_annotation("SENT_START") for doc in docs):
            setter, self._sentence_setter = self._sentence_setter, None
            warnings.warn(Warnings.HW003.format(setter=setter, name=self.name), stacklevel=3)

    def warn_of_crossing(self, doc: Doc, crossing: int) -> None:
        """Say once (HW002) that gold spans reach over sentence ends, where none is learned."""
        if crossing and not self._warned_of_crossing:
            self._warned_of_crossing = True
            message = Warnings.HW002.format(n=crossing, text=doc.text[:60], name=self.name)
            warnings.warn(message, stacklevel=3)


class LabelledPipe(SpanPipe):
    """A component whose head has outputs for each label."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # What was learned, not what was set: see SpanPipe.
        self.cfg: Dict[str, Any] = {"labels": []}

    @property
    def labels(self) -> Tuple[str, ...]:
        """The labels, in the order of the model's outputs."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> List[str]:
        """What ``initialize(labels=...)`` takes; saved by ``spacy init labels``."""
        return list(self.labels)

    def head_settings(self) -> Dict[str, Any]:
        """Settings of the torch head that depend on the labels."""
        raise NotImplementedError

    def start_with(self, labels: Iterable[str], known: Sequence[str] = ()) -> None:
        """Take a new head for the labels that were added before and these.

        known: Labels that come before all others.
        RAISES (ValueError): HE003 without any.
        """
        self.cfg["labels"] = list(dict.fromkeys([*known, *self.labels, *labels]))
        if not self.labels:
            raise ValueError(Errors.HE003.format(name=self.name, key=self.settings["spans_key"]))
        for label in self.labels:
            self.vocab.strings.add(label)
        resize_head(self.model, **self.head_settings())

    def add_label(self, label: str) -> int:
        """Add a label; what the head learned about the others is kept.

        RETURNS: 1, or 0 if the label was there.
        """
        if label in self.labels:
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        resize_head(self.model, keep_weights=True, **self.head_settings())
        return 1

    def check_label(self, label: str) -> None:
        """RAISES (ValueError): HE007 for a label that the component does not have."""
        if label not in self.labels:
            known = ", ".join(self.labels)
            raise ValueError(Errors.HE007.format(label=label, name=self.name, labels=known))


def _sets_sentences(nlp: Language, name: str) -> bool:
    return "token.is_sent_start" in nlp.get_pipe_meta(name).assigns
