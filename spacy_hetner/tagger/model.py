"""The token tagger as a thinc model: token vectors, then the torch head."""

from typing import List, Optional

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..sequences.head import check_chain
from ..sequences.model import chain_model
from ..spans.batch import token_width
from ..validation import check_heads, check_range
from .module import TokenTagger


def build_token_tagger_model(
    tok2vec: Model[List[Doc], List[Floats2d]],
    *,
    crf: bool = True,
    layers: int = 1,
    extra_layer: bool = False,
    heads: int = 12,
    dropout: float = 0.1,
    transition_rate: float = 50.0,
    width: Optional[int] = None,
) -> Model:
    """Token tagger: a linear layer over token vectors, and a CRF or a softmax.

    tok2vec (Model[List[Doc], List[Floats2d]]): Token vectors, usually a listener.
    crf (bool): Score pairs of neighbouring tags; off for a softmax over each token's tags.
    layers (int): Layers of tags, which together can say nested entities.
    extra_layer (bool): Put one more transformer layer below the tags.
    heads (int): Attention heads of that layer.
    dropout (float): Dropout on the vectors that the tags are read from, and in the extra layer.
    transition_rate (float): How many times as fast as the other weights the CRF learns.
    width (int): Width of the token vectors, where tok2vec does not say it.
    RETURNS (Model): From (docs, pieces, bounds) to the scores of a linear chain. The number of tags
        is set by ``resize_head`` when the component knows the labels.
    RAISES (ValueError): HE002, HE005, HE006, HE011, HE078 for settings that make no sense.
    """
    width = token_width(tok2vec, width)
    layers, transition_rate = check_chain(layers, transition_rate)
    module = TokenTagger(
        width,
        n_tags=1,
        layers=layers,
        crf=crf,
        transition_rate=transition_rate,
        dropout=check_range("dropout", dropout, 0, 1),
        extra_layer=extra_layer,
        heads=check_heads(heads, width) if extra_layer else heads,
    )
    return chain_model("hetner-token-tagger", tok2vec, module)
