"""The Classification Attention tagger as a thinc model: token vectors, then the torch head."""

from typing import List, Literal, Optional

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..errors import Errors
from ..sequences.head import check_chain
from ..sequences.model import chain_model
from ..spans.batch import token_width
from ..validation import check_choice, check_heads, check_range
from .module import AXES, MERGES, ClassAttentionTagger


def build_class_attention_model(
    tok2vec: Model[List[Doc], List[Floats2d]],
    *,
    heads: int = 12,
    merge: Literal["concat", "sum", "mean", "max"] = "concat",
    axis: Literal["position", "class"] = "position",
    rescale: bool = False,
    trained_classes: bool = False,
    dropout: float = 0.1,
    crf: bool = True,
    layers: int = 1,
    transition_rate: float = 50.0,
    width: Optional[int] = None,
) -> Model:
    """Classification Attention over token vectors, then a linear layer and a CRF.

    tok2vec (Model[List[Doc], List[Floats2d]]): Token vectors, usually a listener.
    heads (int): Attention heads, a divisor of the width.
    merge (str): How the results of all classes become one. All but "concat" come down to one weight
        a head, which no longer says for which class it is.
    axis (str): Weights are a softmax over the "position"s of the sentence, or over the "class"es.
    rescale (bool): Multiply the weights by the number of positions, so that the values of a long
        sentence are as large as those of a short one. Only with axis = "position".
    trained_classes (bool): Train the class embeddings too.
    dropout (float): Dropout on the weights, on both sub-layers and on what the tags are read from.
    crf, layers, transition_rate: As in ``build_token_tagger_model``.
    width (int): Width of the token vectors, where tok2vec does not say it.
    RETURNS (Model): From (docs, pieces, bounds) to the scores of a linear chain. The numbers of
        tags and classes are set by ``resize_head`` when the labels are known.
    RAISES (ValueError): HE002, HE004-006, HE011, HE016, HE078 for settings that make no sense.
    """
    width = token_width(tok2vec, width)
    layers, transition_rate = check_chain(layers, transition_rate)
    if rescale and axis != "position":
        raise ValueError(Errors.HE016.format(axis=axis))
    module = ClassAttentionTagger(
        width,
        n_tags=1,
        n_classes=1,
        layers=layers,
        crf=crf,
        transition_rate=transition_rate,
        heads=check_heads(heads, width),
        merge=check_choice("merge", merge, MERGES),
        axis=check_choice("axis", axis, AXES),
        rescale=rescale,
        trained_classes=trained_classes,
        dropout=check_range("dropout", dropout, 0, 1),
    )
    return chain_model("hetner-class-attention-tagger", tok2vec, module)
