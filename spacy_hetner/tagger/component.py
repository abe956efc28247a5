"""The component ``hetner_tagger``: a plain token tagger that writes scored spans."""

from typing import Callable, Optional

from spacy.language import Language
from thinc.api import Config, Model

from ..sequences.pipe import TagPipe
from ..sequences.split import PUNCTUATION

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
