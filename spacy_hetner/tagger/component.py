"""The component ``hetner_tagger``: a plain token tagger that writes scored spans."""

from typing import Callable, Iterable, List, Optional

from spacy.language import Language
from spacy.training import Example
from thinc.api import Config, Model

from ..encoders.heads import read_head
from ..errors import Errors
from ..sequences.pipe import TagPipe
from ..sequences.split import PUNCTUATION
from .head import settings_to_change, take_over

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.TokenTagger.v1"
crf = true
layers = 1
extra_layer = false
heads = 12
dropout = 0.1
transition_rate = 50.0
width = null

[model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 384
upstream = "*"
"""
)["model"]


@Language.factory(
    "hetner_tagger",
    assigns=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": None,
        "scheme": "BMES",
        "legal_only": True,
        "max_length": 256,
        "cut_after": PUNCTUATION,
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_token_tagger(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: Optional[str],
    scheme: str,
    legal_only: bool,
    max_length: int,
    cut_after: str,
    scorer: Optional[Callable],
) -> "TokenTagger":
    """Build the tagger; see ``TagPipe`` for the settings."""
    return TokenTagger(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        scheme=scheme,
        legal_only=legal_only,
        max_length=max_length,
        cut_after=cut_after,
        scorer=scorer,
    )


class TokenTagger(TagPipe):
    """A linear layer and a CRF, or a softmax, over the shared encoder.

    The baseline of three papers, and the backbone of NER-BERT and of CoFEE's plain tagger. See
    ``TagPipe`` for the settings, and ``build_token_tagger_model`` for those of the model.
    """

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
        head: Optional[str] = None,
    ) -> None:
        """Learn the labels, and build a head for their tags or go on with one that was taught.

        Warns as ``TagPipe.initialize``.

        labels (List[str]): By default those of the examples' gold spans. Labels added before stay.
        head (str): An encoder folder of a stage that taught a tagger (backbone = "tagger"), the
            one that the pipeline's encoder is read from. Its head goes on here, so that the
            pipeline says what the stage's model did before it is trained. Its labels come first;
            tags of others start anew.
        RAISES (ValueError): HE003 where there is no label at all; HE298 for a folder without such a
            head, HE299 for settings of the pipeline that do not fit it.
        """
        if head is None:
            self.begin(get_examples, nlp, labels)
            return
        taught = read_head(head, "tagger")
        models = [component.model for component in self.encoders(nlp)] + [self.model]
        own = {**self.module.settings, "scheme": self.settings["scheme"]}
        if changes := settings_to_change(taught, own, models):
            wanted = ", ".join(f"{setting} = {value}" for setting, value in changes.items())
            message = Errors.HE299.format(name=self.name, path=taught.folder, settings=wanted)
            raise ValueError(message)
        self.begin(get_examples, nlp, labels, known=taught.labels)
        take_over(self.module.head, taught)
