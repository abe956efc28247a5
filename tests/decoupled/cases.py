"""Sentences of characters, and how the vectors of a scorer are read."""

from typing import Any, List, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from util import Annotation, make_example

from spacy_hetner.decoupled.model import row_encoder

NAME = "hetner_decoupled_scorer"
CANDIDATES = "hetner_candidates"
PEOPLE, PLACES = ["张三", "李四", "王五", "赵六"], ["北京", "上海", "南京"]
TEXT = (
    "我在北京大学学习。张三李四王五赵六住来自上海南京市。篮协成立于1956年6月 "
    "word words 10 km é hello hello words words"
)
"""What the tiny encoder's vocabulary is made of."""


def sentence(i: int) -> Tuple[List[str], List[Annotation]]:
    """Characters, and the entities among them: who lives is a person, where is a place."""
    person, place = PEOPLE[i % 4], PLACES[i % 3]
    return [*person, "住", "在", *place], [(0, 2, "PER"), (4, 6, "GPE")]


def make_examples(nlp: Language, n: int = 8) -> List[Example]:
    return [make_example(nlp, *sentence(i)) for i in range(n)]


def by_character(tokens: Sequence[str]) -> Tuple[str, numpy.ndarray]:
    """Tokens without blanks: their text, and their character offsets."""
    ends = numpy.cumsum([len(token) for token in tokens])
    return "".join(tokens), numpy.stack((ends - [len(token) for token in tokens], ends), axis=1)


def sides(nlp: Language, docs: List[Doc], spans: List[Any]) -> List[Any]:
    """The vectors of regions, as the classifiers get them: of mentions and of contexts."""
    seen: List[Any] = []
    head = nlp.get_pipe(NAME).model.get_ref("head").shims[0]._model
    hook = head.register_forward_pre_hook(lambda module, args: seen.extend(args))
    arrays = [numpy.array(part, dtype="int64").reshape(-1, 2) for part in spans]
    nlp.get_pipe(NAME).model.predict((docs, arrays))
    hook.remove()
    return [part.numpy() for part in seen]


def forget(nlp: Language) -> None:
    """Empty the cache of mentions."""
    row_encoder(nlp.get_pipe(NAME).model, "mention").cache.clear()
