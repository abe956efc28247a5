"""How a proposer passes training candidates to the classifier within one update.

``nlp.update`` calls the components one after the other on the same docs. Passing the adjusted
seeds as arrays on the doc spares the second encoder pass that spaCy's ``annotating_components``
would cost.
"""

from typing import Optional

from spacy.tokens import Doc

from ..types import PairedSpans

_KEY = "spacy_hetner.training_candidates"


def hand_over(doc: Doc, candidates: PairedSpans) -> None:
    """Leave the candidates on the doc for the component that trains on them next."""
    doc.user_data[_KEY] = candidates


def handed_over(doc: Doc) -> Optional[PairedSpans]:
    """The candidates left on the doc; None where no proposer left any.

    They stay there for a second classifier: ``nlp.update`` works on copies of the docs.
    """
    return doc.user_data.get(_KEY)
