"""The tagger goes on with the head of a stage, without any training."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
import torch
from safetensors.torch import load_file, save_file
from spacy.cli.assemble import assemble_cli
from spacy.language import Language
from spacy.util import load_config, load_model_from_config
from thinc.api import Adam
from transformers import AutoModel, AutoTokenizer
from typer import Typer
from typer.testing import CliRunner
from util import group_of, make_doc, make_example

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.labels.tagset import TagSet
from spacy_hetner.pretraining.settings import read_config
from spacy_hetner.pretraining.train import pretrain
from spacy_hetner.types import LabelledSpan

LABELS = ["PER", "ORG"]
TEXTS = ["abcdefghij", "ba", "jihgfedcbaabcdefghijab", "c"]
WIDTH = 32


def write_head(folder: Path, **changes: Any) -> None:
    """A head of large random weights, so that all tags occur."""
    record = {
        "objective": "gazetteer_extraction",
        "backbone": "tagger",
        "labels": LABELS,
        "scheme": "BMES",
        "pooling": "first",
        "by_token": True,
    }
    (folder / "head.json").write_text(json.dumps({**record, **changes}), encoding="utf8")
    random = torch.Generator().manual_seed(3)
    n_tags = len(TagSet(LABELS, "BMES"))
    weights = {
        "tags.weight": torch.randn(n_tags, WIDTH, generator=random),
        "tags.bias": torch.randn(n_tags, generator=random),
        "clusters.weight": torch.zeros(5, WIDTH),
    }
    save_file(weights, folder / "head.safetensors")


@pytest.fixture
def taught(tiny_encoder: Path, tmp_path: Path) -> Path:
    """An encoder folder with a tagger's head."""
    folder = tmp_path / "taught"
    shutil.copytree(tiny_encoder, folder)
    write_head(folder)
    return folder


def config_of(root: Path, taught: Path, **changes: Any) -> Any:
    """The tagger's config as it is shipped, and what a taught head needs."""
    config = load_config(
        root / "configs" / "tagger.cfg", {"paths.encoder": str(taught)}, interpolate=False
    )
    config["components"]["tok2vec"]["model"].update(width=WIDTH, standardized=False)
    config["components"]["tagger"]["model"]["crf"] = False
    config["components"]["tagger"]["legal_only"] = False
    config["initialize"] = {"components": {"tagger": {"head": "${paths.encoder}"}}}
    for name, value in changes.items():
        *sections, last = name.split(".")
        place = config
        for section in sections:
            place = place[section]
        place[last] = value
    return config


def initialized(config: Any) -> Language:
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize()
    return nlp


def expected(folder: Path, text: str) -> List[Any]:
    """What the stage's model says, by transformers and by hand."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    pieces = tokenizer(list(text), is_split_into_words=True, return_tensors="pt")
    words = pieces.word_ids()
    first = [words.index(i) for i in range(len(text))]
    weights = load_file(folder / "head.safetensors")
    with torch.inference_mode():
        vectors = model.eval()(**pieces).last_hidden_state[0, first]
        tags = (vectors @ weights["tags.weight"].T + weights["tags.bias"]).argmax(1)
    labels = json.loads((folder / "head.json").read_text(encoding="utf8"))["labels"]
    return [tuple(span) for span in TagSet(labels, "BMES").decode(tags.tolist())]


@pytest.mark.parametrize("crf", [False, True])
def test_it_says_what_the_stage_said(repo_root: Path, taught: Path, crf: bool) -> None:
    nlp = initialized(config_of(repo_root, taught, **{"components.tagger.model.crf": crf}))
    assert nlp.get_pipe("tagger").labels == tuple(LABELS)
    found = [group_of(nlp(text)) for text in TEXTS]
    assert found == [expected(taught, text) for text in TEXTS]
    assert {label for spans in found for *_, label in spans} == set(LABELS)


def test_white_space_says_nothing(repo_root: Path, taught: Path) -> None:
    """The stage reads none, whose vector is of no piece: a span goes on behind it."""
    nlp = initialized(config_of(repo_root, taught))
    (text, *_), crossed = TEXTS, 0
    for place in range(len(text) + 1):
        words = [*text[:place], "\u3000", *text[place:]]
        wanted = [
            (start + (start >= place), end + (end > place), label)
            for start, end, label in expected(taught, text)
        ]
        crossed += any(end - start > 1 and start < place < end for start, end, _ in wanted)
        doc = make_doc(nlp, words, spaces=[False] * len(words))
        assert group_of(nlp(doc)) == wanted
    assert crossed


def test_as_assembled_and_saved(repo_root: Path, taught: Path, tmp_path: Path) -> None:
    """By spaCy's own command; the pipeline does not need the folder any more."""
    config_of(repo_root, taught).to_disk(tmp_path / "config.cfg", interpolate=False)
    app = Typer()
    app.command(context_settings={"allow_extra_args": True})(assemble_cli)
    done = CliRunner().invoke(app, [str(tmp_path / "config.cfg"), str(tmp_path / "pipeline")])
    assert done.exit_code == 0, done.output
    wanted = [expected(taught, text) for text in TEXTS]
    shutil.rmtree(taught)
    nlp = spacy.load(tmp_path / "pipeline")
    assert [group_of(nlp(text)) for text in TEXTS] == wanted
    assert [ent.label_ for ent in nlp(TEXTS[0]).ents]


def test_the_head_of_a_stage(repo_root: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    """One that was not written by hand."""
    texts = ["abc", "bca", "cab", "acb"]
    spans = [LabelledSpan(0, 2, "ORG"), LabelledSpan(2, 3, "PER")]
    records = [Record(list(text), spans, [False] * 3) for text in texts * 4]
    write_parquet(records, tmp_path / "train.parquet")
    config = read_config(
        repo_root / "configs" / "pretrain_spans.cfg",
        {
            "paths.encoder": str(tiny_encoder),
            "paths.train": str(tmp_path / "train.parquet"),
            "pretraining.objective.@misc": "spacy_hetner.GazetteerExtraction.v1",
            "pretraining.objective.backbone": "tagger",
            "pretraining.optimizer.learn_rate": 0.005,
            "pretraining.max_epochs": 40,
        },
    )
    outcome = pretrain(config, tmp_path / "run", cpu=True)
    nlp = initialized(config_of(repo_root, outcome.encoder))
    found = [group_of(nlp(text)) for text in [*texts, *TEXTS]]
    assert found == [expected(outcome.encoder, text) for text in [*texts, *TEXTS]]
    assert (0, 2, "ORG") in found[0]


def test_further_labels_come_after_those_of_the_head(repo_root: Path, taught: Path) -> None:
    nlp = load_model_from_config(config_of(repo_root, taught), auto_fill=True)
    examples = [make_example(nlp, list("abc"), [(0, 1, "LAW"), (1, 3, "PER")])]
    nlp.initialize(lambda: examples)
    tagger = nlp.get_pipe("tagger")
    assert tagger.labels == ("PER", "ORG", "LAW")
    (emissions,) = tagger.module.head.emissions
    emissions.bias.data[9:] = -1e3  # tags of the new label
    doc = nlp(make_doc(nlp, list(TEXTS[0]), spaces=[False] * len(TEXTS[0])))
    assert group_of(doc) == expected(taught, TEXTS[0])
    emissions.bias.data[9:] = 0
    optimizer = Adam(0.003)
    losses = [nlp.update(examples, sgd=optimizer)["tagger"] for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"components.tok2vec.model.standardized": True}, "standardized = False"),
        ({"components.tok2vec.model.lstm_layers": 1}, "vector_width = 0, .*lstm_layers = 0"),
        ({"components.transformer.model.pooling": "mean"}, "pooling = first"),
        ({"components.transformer.model.by_token": False}, "by_token = True"),
        ({"components.transformer.model.layers": 2}, "layers of the encoder = 1"),
        ({"components.tagger.model.layers": 2}, "layers = 1"),
        ({"components.tagger.model.extra_layer": True}, "extra_layer = False"),
        ({"components.tagger.scheme": "BIO"}, "scheme = BMES"),
    ],
)
def test_what_does_not_fit_is_told(
    repo_root: Path, taught: Path, changes: Dict[str, Any], told: str
) -> None:
    changes = {"components.tagger.model.heads": 4, **changes}
    with pytest.raises(ValueError, match=rf"HE299.*'tagger'.*Set {told}\."):
        initialized(config_of(repo_root, taught, **changes))


def test_the_encoder_of_another_folder(repo_root: Path, taught: Path, tiny_encoder: Path) -> None:
    config = config_of(repo_root, tiny_encoder)
    config["initialize"]["components"]["tagger"]["head"] = str(taught)
    with pytest.raises(ValueError, match=f"HE299.*name = {taught}"):
        initialized(config)


@pytest.mark.parametrize("damage", ["none", "query", "labels", "cut"])
def test_no_head_of_a_tagger(repo_root: Path, taught: Path, damage: str) -> None:
    reasons = {
        "none": "head.json",
        "query": "backbone = 'query'",
        "labels": "no labels",
        "cut": "header",
    }
    if damage == "none":
        (taught / "head.json").unlink()
    elif damage == "cut":
        weights = taught / "head.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        write_head(taught, **{"query": {"backbone": "query"}, "labels": {"labels": []}}[damage])
    with pytest.raises(ValueError, match=rf"HE298.*{reasons[damage]}.*backbone = 'tagger'"):
        initialized(config_of(repo_root, taught))
