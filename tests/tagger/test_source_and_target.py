"""Two steps: a tagger is trained on a source with the labels of both, then on the target."""

import json
import re
import textwrap

import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from util import group_of, make_doc

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stored_labels import count_stored_labels
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.evaluation.fewshot import FewShot
from spacy_hetner.types import LabelledSpan

PEOPLE, PLACES = "张李王赵", "京沪津渝"
SHORT = {
    "training.max_steps": 25,
    "training.eval_frequency": 25,
    "training.optimizer.learn_rate.initial_rate": 0.01,
    "training.optimizer.learn_rate.warmup_steps": 1,
}


def sentence(i, label):
    """A person, and a place that is a GPE in the source, and a FAC in the target."""
    words = [PEOPLE[i % 4], "在", PLACES[i * 3 % 4], "工", "作"]
    return words, [(0, 1, "PER"), (2, 3, label)]


def write(path, label, n):
    sentences = (sentence(i, label) for i in range(n))
    write_parquet(
        (Record(words, [LabelledSpan(*s) for s in spans]) for words, spans in sentences), path
    )
    return path


def documented_labels_block(repo_root):
    """What the head of tagger_target.cfg says to add to tagger.cfg."""
    head = (repo_root / "configs" / "tagger_target.cfg").read_text("utf8").split("\n[", 1)[0]
    lines = re.findall(r"^#(   (?:\[|@|path|require).*|)$", head, re.M)
    return textwrap.dedent("\n".join(lines))


def train_to(folder, config):
    folder.mkdir()
    nlp = init_nlp(config)
    train(nlp, folder)
    return folder / "model-best"


@pytest.fixture(scope="module")
def steps(repo_root, tiny_encoder, tmp_path_factory):
    """The folder of the two stores, the config of the second step, and the source's pipeline."""
    folder = tmp_path_factory.mktemp("steps")
    source = write(folder / "source.parquet", "GPE", 40)
    target = write(folder / "target.parquet", "FAC", 40)
    labels = folder / "labels.json"
    labels.write_text(json.dumps(list(count_stored_labels([source, target]))), "utf8")
    block = documented_labels_block(repo_root)
    assert block.count('path = "labels.json"') == 1
    base = (repo_root / "configs" / "tagger.cfg").read_text("utf8")
    path = folder / "source.cfg"
    path.write_text(base + "\n" + block.replace("labels.json", str(labels)), "utf8")
    settings = {
        "paths.encoder": str(tiny_encoder),
        "paths.train": str(source),
        "paths.dev": str(source),
        "components.tok2vec.model.width": 32,
        "training.max_epochs": 0,
    }
    config = load_config(path, {**SHORT, **settings}, interpolate=False)
    return folder, repo_root / "configs" / "tagger_target.cfg", train_to(folder / "one", config)


def spans_of(nlp, i):
    return group_of(nlp(make_doc(nlp, sentence(i, "")[0])))


def test_a_label_of_the_target_alone_has_no_source_example_and_is_learned(steps):
    folder, path, source = steps
    assert list(count_stored_labels([folder / "source.parquet"])) == ["GPE", "PER"]
    first = spacy.load(source)
    assert first.get_pipe("tagger").labels == ("FAC", "GPE", "PER")
    assert spans_of(first, 0) == sentence(0, "GPE")[1]

    target = str(folder / "target.parquet")
    paths = {"paths.source": str(source), "paths.train": target, "paths.dev": target}
    config = load_config(path, {**SHORT, **paths}, interpolate=False)
    nlp = init_nlp(config)
    assert nlp.get_pipe("tagger").labels == ("FAC", "GPE", "PER")
    assert spans_of(nlp, 0) == sentence(0, "GPE")[1], "what the source taught is where it starts"
    second = spacy.load(train_to(folder / "two", config))
    for i in range(12):
        assert spans_of(second, i) == sentence(i, "FAC")[1]


def test_a_label_that_the_source_was_not_told_of_is_refused(steps, tmp_path):
    _, path, source = steps
    write(tmp_path / "other.parquet", "NEW", 4)
    other = str(tmp_path / "other.parquet")
    paths = {"paths.source": str(source), "paths.train": other, "paths.dev": other}
    nlp = init_nlp(load_config(path, {**SHORT, **paths}, interpolate=False))
    with pytest.raises(ValueError, match=r"HE007.*'NEW'.*FAC, GPE, PER"):
        train(nlp, tmp_path)


def test_few_shot_runs_start_from_a_source(steps, tmp_path):
    folder, path, source = steps
    config = load_config(
        path, {**SHORT, "training.max_steps": 3, "training.eval_frequency": 3}, interpolate=False
    )
    target = folder / "target.parquet"
    plan = FewShot(config, target, target, target, sources={"chinese": source})
    (row,) = plan.run(tmp_path, counts=[4], seeds=[1])
    assert (row["n"], row["start"]) == (4, "chinese")
    per_label = row["scores"]["per_label"]
    assert per_label["PER"]["f"] > 0.9, "known from the source"
