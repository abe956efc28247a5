"""What each stage of pre-training is worth, on data in which names and contexts are all there is.

A name is two characters of its label's, a context two characters beside it. The annotated sentences
have few of either; a dictionary has the names, sentences that it labels have the contexts. Of the
test sentences some can be told by a name of the dictionary alone, some by their context alone.
"""

from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Dict, Iterable, List, Tuple

import numpy
import pytest
import spacy
from decoupled.cases import NAME
from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch
from thinc.api import fix_random_seed
from util import make_example

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.pretraining.settings import read_config
from spacy_hetner.pretraining.train import pretrain
from spacy_hetner.types import LabelledSpan

LABELS = ("PER", "ORG", "O")
KNOWN, SEEN = 24, 4
"""Characters of a label in names, and in contexts, that there are, and that are annotated."""

EPOCHS = 20

Alphabet = Dict[str, List[str]]


def alphabets() -> Tuple[Alphabet, Alphabet, List[str], List[str]]:
    """Characters of names and of contexts by label, of names that no dictionary has, and others."""
    characters = iter(map(chr, range(0x4E00, 0x4E00 + 6 * KNOWN + 40)))
    names, contexts = (
        {label: [next(characters) for _ in range(KNOWN)] for label in LABELS} for _ in range(2)
    )
    return names, contexts, *([next(characters) for _ in range(20)] for _ in range(2))


NAMES, CONTEXTS, RARE, OTHERS = alphabets()


class Sentences:
    """Draws sentences of six characters, of which the third and fourth are a name or none."""

    def __init__(self, seed: int, known: int) -> None:
        self.random = numpy.random.default_rng(seed)
        self.known = known

    def two(self, characters: List[str]) -> List[str]:
        return self.random.choice(characters, 2).tolist()

    def draw(self, by_name: bool, by_context: bool) -> Tuple[List[str], str]:
        """Characters and the label; what does not tell it is rare, or stands anywhere."""
        label = str(self.random.choice(LABELS))
        name = self.two(NAMES[label][: self.known] if by_name else RARE)
        around = self.two(CONTEXTS[label][: self.known] if by_context else OTHERS)
        first, last = self.two(OTHERS)
        return [first, around[0], *name, around[1], last], label


def sentences_of(nlp: Language, seed: int, known: int, count: int) -> List[Example]:
    """Told by name, by context, and by both, in turns; the only candidate is the right one."""
    sentences, kinds = Sentences(seed, known), [(True, False), (False, True), (True, True)]
    drawn = (sentences.draw(*kinds[i % 3]) for i in range(count))
    examples = [
        make_example(nlp, words, [(2, 4, label)] if label != "O" else []) for words, label in drawn
    ]
    return propose(examples)


def propose(examples: Iterable[Example]) -> List[Example]:
    """The examples, with unannotated docs but for the candidate."""
    fresh = [Example(example.predicted.copy(), example.reference) for example in examples]
    for example in fresh:
        example.predicted.spans["candidates"] = [example.predicted[2:4]]
    return fresh


def record_of(words: List[str], start: int, end: int, label: str) -> Record:
    if label == "O":
        return Record(words, [], [False] * len(words), meta={NON_ENTITIES: [[start, end]]})
    return Record(words, [LabelledSpan(start, end, label)], [False] * len(words))


def write_stores(folder: Path) -> None:
    """Names of a dictionary, and sentences in which they were found."""
    for part, seed, count in (("train", 1, 1500), ("dev", 2, 200)):
        sentences = Sentences(seed, KNOWN)
        drawn = [sentences.draw(True, True) for _ in range(count)]
        names = [record_of(words[2:4], 0, 2, label) for words, label in drawn]
        write_parquet(names, folder / "names" / f"{part}.parquet")
        found = [record_of(words, 2, 4, label) for words, label in drawn]
        write_parquet(found, folder / "contexts" / f"{part}.parquet")


def teach(configs: Path, work: Path, stage: str, encoder: Path, run: str) -> Path:
    """An encoder after a stage."""
    name = {"names": "pretrain_mention", "contexts": "pretrain_context"}[stage]
    overrides = {
        "paths.encoder": str(encoder),
        "paths.train": str(work / stage / "train.parquet"),
        "paths.dev": str(work / stage / "dev.parquet"),
        "pretraining.max_epochs": 6,
        "pretraining.accumulate": 1,
        "pretraining.optimizer.learn_rate": 0.005,
        "pretraining.optimizer.head_rate": 1.0,
    }
    config = read_config(configs / f"{name}.cfg", overrides)
    return pretrain(config, work / run, cpu=True).encoder


def blank() -> Language:
    tokenizer = {"@tokenizers": "spacy_hetner.ChineseTokenizer.v1", "per_character": True}
    return spacy.blank("zh", config={"nlp": {"tokenizer": tokenizer}})


def make_scorer(encoder: Path) -> Language:
    nlp = blank()
    settings = {"model": {"name": str(encoder), "dropout": 0.0}, "max_edit_distance": None}
    nlp.add_pipe(NAME, config=settings)
    return nlp


def make_tagger(encoder: Path) -> Language:
    nlp = blank()
    model = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(encoder), "by_token": True}
    nlp.add_pipe("transformer", config={"model": model})
    representation = {"@architectures": "spacy_hetner.TokenRepresentation.v1", "width": 32}
    nlp.add_pipe("tok2vec", config={"model": representation})
    nlp.add_pipe("hetner_tagger", config={"model": {"tok2vec": {"width": 32}}})
    return nlp


def score(nlp: Language, seed: int) -> float:
    """F on all names and contexts, after training on few of either."""
    fix_random_seed(seed)
    examples = sentences_of(nlp, 3 + seed, SEEN, 60)
    optimizer = nlp.initialize(lambda: examples)
    for epoch in range(EPOCHS):
        optimizer.learn_rate = 0.003 * (1 - epoch / EPOCHS)
        for batch in minibatch(examples, 20):
            nlp.update(propose(batch), sgd=optimizer)
    return nlp.evaluate(sentences_of(nlp, 2, KNOWN, 300))["spans_entities_f"]


@pytest.mark.slow
def test_either_stage_helps_and_both_help_more(repo_root: Path, tmp_path: Path) -> None:
    """And both together leave a tagger behind."""
    write_stores(tmp_path)
    alphabet = chain(*NAMES.values(), *CONTEXTS.values(), RARE, OTHERS)
    (tmp_path / "text.txt").write_text("".join(alphabet), encoding="utf8")
    plain = build_encoder("tiny", tmp_path / "plain", vocab_text=tmp_path / "text.txt")
    configs = repo_root / "configs"
    names = teach(configs, tmp_path, "names", plain, "run-names")
    contexts = teach(configs, tmp_path, "contexts", plain, "run-contexts")
    both = teach(configs, tmp_path, "contexts", names, "run-both")
    found = [
        mean(score(make_scorer(encoder), seed) for seed in (0, 10))
        for encoder in (plain, names, contexts, both)
    ]
    assert found[0] < found[1] < found[3] and found[0] < found[2] < found[3], found
    tagger = mean(score(make_tagger(plain), seed) for seed in (0, 10))
    assert 0 < tagger < found[3], (found, tagger)
