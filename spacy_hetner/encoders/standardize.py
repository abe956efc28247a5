"""A layer that brings token vectors to zero mean and unit spread, whatever the encoder's scale."""

from itertools import pairwise
from typing import Callable, List, Tuple

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

MIN_SPREAD = 1e-6
NAME = "hetner-standardize"


def standardize() -> Model[List[Floats2d], List[Floats2d]]:
    """Subtract the mean token vector and divide by the spread around it.

    The vectors of sentence encoders share a large common part: in multilingual E5 it is nearly
    twice as long as what tells two tokens apart, and that is a tenth of unit scale, so that a fresh
    head learns almost nothing for hundreds of steps. Mean and spread are those of the first batch
    that is trained on (data-dependent initialization: Salimans and Kingma, 2016); from then on they
    are constants, saved with the model. Before that the vectors pass unchanged.

    Shape: a list of (n_tokens, width), in and out.
    """
    return Model(NAME, forward, params={"mean": None, "spread": None})


def fit_standardization(model: Model, docs: List[Doc]) -> None:
    """Let the layers of a model standardize by these docs, not by the first batch trained on.

    model: One that holds ``standardize`` behind an encoder; its layers that have mean and spread
        already are left as they are.
    """
    for node in model.walk():
        for source, layer in pairwise(node.layers):
            if layer.name == NAME and not layer.has_param("mean"):
                _fit(layer, source.predict(docs))


def pass_unchanged(model: Model, width: int) -> None:
    """Let the layers of a model pass their vectors as they are, whatever it is trained on: what is
    taken over from elsewhere was taught on these."""
    for layer in model.walk():
        if layer.name == NAME:
            layer.set_param("mean", layer.ops.alloc1f(width))
            layer.set_param("spread", layer.ops.alloc1f(1) + 1)


def forward(
    model: Model, vectors: List[Floats2d], is_train: bool
) -> Tuple[List[Floats2d], Callable[[List[Floats2d]], List[Floats2d]]]:
    """One array a doc; see ``standardize``."""
    if is_train and not model.has_param("mean"):
        _fit(model, vectors)
    if not model.has_param("mean"):
        return vectors, lambda d_vectors: d_vectors
    mean, spread = model.get_param("mean"), model.get_param("spread")
    return (
        [(doc - mean) / spread if len(doc) else doc for doc in vectors],
        lambda d_vectors: [doc / spread for doc in d_vectors],
    )


def _fit(model: Model, vectors: List[Floats2d]) -> None:
    """Take mean (width,) and spread (1,) from a batch; of fewer than two tokens there is none."""
    filled = [doc for doc in vectors if len(doc)]
    if not filled:
        return
    rows = model.ops.xp.concatenate(filled)
    mean = rows.mean(axis=0)
    spread = (rows - mean).std().reshape(1)
    if len(rows) > 1 and spread > MIN_SPREAD:
        model.set_param("mean", mean)
        model.set_param("spread", spread)
