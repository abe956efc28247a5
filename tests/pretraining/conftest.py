"""A small typed corpus, and runs over it."""

import json
import shutil
from pathlib import Path

import numpy
import pytest
from thinc.api import Config

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.pretraining.train import pretrain
from spacy_hetner.types import LabelledSpan

# A character is enough to tell them apart: this is about the trainer, not about learning.
NAMES = {"person": ["ada", "grace", "zed"], "city": ["rome", "oslo", "lima"], "band": ["queen"]}
WORDS = ["saw", "the", "in", "but", "why", "met"]
CHARACTERS = "篮协成立于年月我在北京大学习看天安门的人东西南上海长江桥"


def typed_records(count, seed=0):
    """Sentences of random words, some of them names; every name has one label."""
    random = numpy.random.default_rng(seed)
    labels = {name: label for label, names in NAMES.items() for name in names}
    for number in range(count):
        tokens = random.choice([*labels, *WORDS], random.integers(2, 20)).tolist()
        spans = [LabelledSpan(i, i + 1, labels[t]) for i, t in enumerate(tokens) if t in labels]
        yield Record(tokens, spans, id=str(number))


@pytest.fixture(scope="session")
def typed_corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    write_parquet(typed_records(120), folder / "train.parquet")
    write_parquet(typed_records(30, seed=1), folder / "dev.parquet")
    return folder


@pytest.fixture(scope="session")
def calm_encoder(tiny_encoder, tmp_path_factory) -> Path:
    """The tiny encoder without dropout."""
    folder = tmp_path_factory.mktemp("encoders") / "calm"
    shutil.copytree(tiny_encoder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    calm = {name: 0.0 if name.endswith("dropout_prob") else value for name, value in config.items()}
    (folder / "config.json").write_text(json.dumps(calm), encoding="utf8")
    return folder


@pytest.fixture(scope="session")
def character_encoder(tmp_path_factory) -> Path:
    """A tiny encoder that knows the characters of the records here."""
    folder = tmp_path_factory.mktemp("characters")
    (folder / "text.txt").write_text(CHARACTERS * 2, encoding="utf8")
    return build_encoder("tiny", folder / "encoder", vocab_text=folder / "text.txt")


@pytest.fixture
def make_config(tiny_encoder, typed_corpus):
    """The config of a short run, with some settings replaced: dotted names."""

    def make(changes=(), **settings):
        section = {
            "encoder": str(tiny_encoder),
            "train": str(typed_corpus / "train.parquet"),
            "dev": str(typed_corpus / "dev.parquet"),
            "objective": {"@misc": "spacy_hetner.TypedTagging.v1"},
            "optimizer": {"@misc": "spacy_hetner.AdamW.v1", "learn_rate": 0.002},
            "max_epochs": 2,
            "sampler": {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 256},
            "accumulate": 4,
            "log_frequency": 1,
            **settings,
        }
        config = Config({"pretraining": section})
        for name, value in dict(changes).items():
            *path, last = name.split(".")
            place = config["pretraining"]
            for key in path:
                place = place[key]
            place[last] = value
        return config

    return make


@pytest.fixture
def run(make_config, tmp_path):
    """Pre-train in a folder of some name, and return how it ended."""

    def start(name, *, resume=False, processes=None, **settings):
        return pretrain(
            make_config(**settings), tmp_path / name, resume=resume, processes=processes, cpu=True
        )

    return start


def read_log(folder, event="step"):
    """The lines of a log about one kind of event."""
    lines = (Path(folder) / "log.jsonl").read_text(encoding="utf8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def losses(folder):
    """The losses of all steps, by their numbers."""
    return {line["step"]: line["losses"]["typed_tagging"] for line in read_log(folder)}
