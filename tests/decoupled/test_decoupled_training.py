"""A whole config with the decoupled scorer: what spacy train does with it."""

from pathlib import Path

import pytest
import spacy
from decoupled.cases import NAME, sentence
from spacy.cli.train import train
from thinc.api import Config
from util import group_of

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.types import LabelledSpan

CONFIG = """
[paths]
train = null
encoder = null

[system]
seed = 0

[nlp]
lang = "zh"
pipeline = ["candidates", "more", "hetner_decoupled_scorer", "resolver"]

[nlp.tokenizer]
@tokenizers = "spacy_hetner.ChineseTokenizer.v1"
per_character = true

[components]

[components.candidates]
factory = "hetner_candidates"

[components.candidates.proposers]

[components.candidates.proposers.two]
@misc = "spacy_hetner.NgramCandidates.v1"
lengths = [2]

[components.more]
factory = "hetner_candidates"

[components.more.proposers]

[components.more.proposers.one]
@misc = "spacy_hetner.NgramCandidates.v1"
lengths = [1]

[components.hetner_decoupled_scorer]
factory = "hetner_decoupled_scorer"

[components.hetner_decoupled_scorer.model]
@architectures = "spacy_hetner.DecoupledScorer.v1"
name = ${paths.encoder}
dropout = 0.0

[components.resolver]
factory = "hetner_resolver"
policy = "longest_split"

[corpora]

[corpora.train]
@readers = "spacy_hetner.RecordCorpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy_hetner.RecordCorpus.v1"
path = ${paths.train}

[training]
seed = ${system.seed}
gpu_allocator = null
max_steps = 30
eval_frequency = 30
annotating_components = ["candidates", "more"]

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 12

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.003

[training.score_weights]
spans_entities_f = 1.0

[initialize]
"""


@pytest.fixture
def config(tmp_path: Path, encoder: Path) -> Path:
    records = (
        Record(words, [LabelledSpan(*span) for span in spans], spaces=[False] * len(words))
        for words, spans in map(sentence, range(12))
    )
    write_parquet(records, tmp_path / "train.parquet")
    paths = {"paths.train": str(tmp_path / "train.parquet"), "paths.encoder": str(encoder)}
    path = tmp_path / "config.cfg"
    Config().from_str(CONFIG, interpolate=False, overrides=paths).to_disk(path)
    return path


def test_spacy_train(config: Path, tmp_path: Path) -> None:
    """From stored records to a pipeline that can be moved: candidates of two components."""
    train(config, tmp_path / "out")
    nlp = spacy.load(tmp_path / "out" / "model-best")
    performance = nlp.meta["performance"]
    assert performance["spans_entities_f"] == performance["candidates_recall"] == 1.0
    assert performance[f"{NAME}_loss"] > 0
    filled = nlp.config["components"][NAME]
    assert set(filled["model"]) > {"window", "standardized", "cache_size"}, "defaults"
    words, entities = sentence(5)
    doc = nlp("".join(words))
    assert group_of(doc) == [(ent.start, ent.end, ent.label_) for ent in doc.ents] == entities
    assert len(doc.spans["candidates"]) == 2 * len(words) - 1
