"""What the trainable components over spans have in common."""

from typing import Any, Callable, Dict, Iterable, Optional

from spacy.pipeline import TrainablePipe
from spacy.training import Example


class SpanPipe(TrainablePipe):
    """A trainable component that reads or writes span groups.

    settings: the component's settings, among them ``spans_key`` (entities) and ``candidates_key``.
    Not named cfg: spaCy saves that beside the config, and the copy would win at loading.
    """

    settings: Dict[str, Any]
    scorer: Optional[Callable]

    def score(self, examples: Iterable[Example], **settings: Any) -> Dict[str, Any]:
        """Scores by the configured scorer, which is told this component's groups."""
        if self.scorer is None:
            return {}
        keys = {
            "entities_key": self.settings["spans_key"],
            "candidates_key": self.settings["candidates_key"],
        }
        return self.scorer(examples, **{**settings, **keys})
