"""The config that ships with the project: what spacy train does with it."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from mrc.cases import sentence
from spacy.cli.train import train
from spacy.util import load_config
from util import group_of

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.types import LabelledSpan


@pytest.fixture
def config(tmp_path: Path, encoder: Path, repo_root: Path) -> Path:
    records = (
        Record(words, [LabelledSpan(*span) for span in spans], spaces=[False] * len(words))
        for words, spans in map(sentence, range(12))
    )
    write_parquet(records, tmp_path / "corpus.parquet")
    config = load_config(repo_root / "configs" / "mrc_tagger.cfg", interpolate=False)
    corpus = str(tmp_path / "corpus.parquet")
    config["paths"].update(encoder=str(encoder), train=corpus, dev=corpus)
    config["components"]["tagger"]["model"]["dropout"] = 0.0
    config["training"].update(max_steps=60, max_epochs=0, eval_frequency=60)
    config["training"]["batcher"]["size"] = 12
    config["training"]["optimizer"]["learn_rate"] = 0.003
    config.to_disk(tmp_path / "config.cfg")
    return tmp_path / "config.cfg"


def test_spacy_train(config: Path, tmp_path: Path) -> None:
    """From stored records to a pipeline that can be moved."""
    train(config, tmp_path / "out")
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.meta["performance"]["spans_entities_f"] == 1.0
    assert nlp.meta["performance"]["tagger_loss"] > 0
    filled = nlp.config["components"]["tagger"]
    assert set(filled["model"]) > {"window", "standardized", "match_candidates"}, "defaults"
    tagger: Any = nlp.get_pipe("tagger")
    assert tagger.queries["PER"] == "人名和虚构的人物形象"
    words, entities = sentence(5)
    doc = nlp("".join(words))
    assert group_of(doc) == [(ent.start, ent.end, ent.label_) for ent in doc.ents] == entities
