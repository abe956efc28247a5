"""Few-shot runs over a tiny encoder: sizes, seeds, starts, and rows that are kept."""

import json
import shutil
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.util import registry
from thinc.api import Config
from thinc.util import has_gpu

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_docbin, write_parquet
from spacy_hetner.evaluation.evaluate import evaluate_model
from spacy_hetner.evaluation.fewshot import ROWS, FewShot, fingerprint
from spacy_hetner.types import LabelledSpan

PEOPLE = ["Ada", "Grace", "Alan", "Barbara", "Donald", "Edsger"]
PLACES = ["Paris", "Oslo", "Lima", "Quito", "Delhi", "Cairo", "Rome"]

CONFIG = """
[paths]
encoder = null
labels = null

[system]
seed = 0
gpu_allocator = null

[nlp]
lang = "en"
pipeline = ["transformer", "tagger"]

[components]

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy_hetner.Encoder.v1"
name = ${paths.encoder}

[components.tagger]
factory = "hetner_tagger"

[components.tagger.model]
@architectures = "spacy_hetner.TokenTagger.v1"
dropout = 0.0

[components.tagger.model.tok2vec]
@architectures = "spacy_hetner.TokenRepresentation.v1"
width = 32

[corpora]

[corpora.train]
@readers = "spacy_hetner.RecordCorpus.v1"
path = null

[corpora.dev]
@readers = "spacy_hetner.RecordCorpus.v1"
path = null

[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = ${system.seed}
gpu_allocator = ${system.gpu_allocator}
max_steps = 6
eval_frequency = 3

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.01

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 8

[training.score_weights]
spans_entities_f = 1.0
"""


def sentence(i):
    person, place = PEOPLE[i % 6], PLACES[i * 3 % 7]
    words = f"{person} went to {place} yesterday .".split()
    return Record(words, [LabelledSpan(0, 1, "PER"), LabelledSpan(3, 4, "GPE")], id=f"s{i}")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_parquet(map(sentence, range(40)), folder / "train.parquet")
    write_parquet(map(sentence, range(40, 50)), folder / "dev.parquet")
    write_docbin(map(sentence, range(50, 70)), folder / "test.spacy")
    return folder


@pytest.fixture
def plan(data, tiny_encoder):
    def make(text=CONFIG, **settings):
        given = {
            "train": data / "train.parquet",
            "dev": data / "dev.parquet",
            "test": data / "test.spacy",
            "encoders": {"tiny": tiny_encoder},
            **settings,
        }
        return FewShot(Config().from_str(text, interpolate=False), **given)

    return make


@pytest.fixture
def trained(monkeypatch):
    """The sizes and seeds of the runs that were trained, and not taken from rows."""
    runs = []
    train_and_score = FewShot.train_and_score

    def spy(self, config, log):
        runs.append((config["corpora"]["train"]["sample_count"], config["system"]["seed"]))
        return train_and_score(self, config, log)

    monkeypatch.setattr(FewShot, "train_and_score", spy)
    return runs


def without_times(rows):
    return [{name: row[name] for name in row if name != "train_seconds"} for row in rows]


def test_each_size_with_each_seed_from_each_start(plan, tiny_encoder, data, tmp_path, trained):
    other = tmp_path / "other"
    shutil.copytree(tiny_encoder, other)
    config = json.loads((other / "config.json").read_text("utf8"))
    (other / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}), "utf8")
    told = []
    few_shot = plan(encoders={"tiny": tiny_encoder, "other": other})
    rows = few_shot.run(
        tmp_path / "out", percents=[10, 100], counts=[4], seeds=[0, 7], tell=told.append
    )
    # A tenth of 40 and the count 4 are one size.
    assert [(row["n"], row["seed"], row["start"]) for row in rows] == [
        (n, seed, start) for n in (4, 40) for seed in (0, 7) for start in ("tiny", "other")
    ]
    assert trained == [(n, seed) for n in (4, 40) for seed in (0, 0, 7, 7)]
    assert all(row["total"] == 40 for row in rows)
    assert len(list((tmp_path / "out" / ROWS).iterdir())) == len(rows) == len(told)
    assert told[0].startswith("4 of 40 sentences, seed 0, tiny: F ")
    strict = [row["scores"]["strict"] for row in rows]
    assert all(one["gold"] == 40 for one in strict)
    assert len({json.dumps(one) for one in strict}) > 2, "the runs differ"
    best = max(one["f"] for one in strict)
    assert best > 0.5, "something is learned"
    assert not list((tmp_path / "out").rglob("*.safetensors")), "pipelines are not kept"
    logs = [path.read_text("utf8") for path in (tmp_path / "out" / "logs").glob("*.txt")]
    assert len(logs) == len(rows) and all("LOSS TAGGER" in text for text in logs)


def test_samples_of_a_seed_are_nested(plan):
    few_shot = plan()
    nlp = spacy.blank("en")

    def sample(n, seed):
        config = few_shot.run_config(few_shot.starts()[0], n, seed).interpolate()
        corpus = registry.resolve({"corpus": config["corpora"]["train"]})["corpus"]
        found = [eg.reference.user_data["id"] for eg in corpus(nlp)]
        assert len(found) == len(set(found)) == n
        return set(found)

    for seed in (0, 1):
        assert sample(3, seed) < sample(10, seed) < sample(40, seed)
    assert sample(10, 0) != sample(10, 1)


def test_a_run_does_not_depend_on_those_before_it(plan, tmp_path):
    together = plan().run(tmp_path / "a", counts=[3, 12], seeds=[0, 1])
    alone = plan().run(tmp_path / "b", counts=[12], seeds=[1])
    assert without_times(alone) == without_times(together[-1:])


def test_the_best_step_is_scored_as_evaluate_does(plan, data, tmp_path, monkeypatch):
    """And not the last one."""
    kept = tmp_path / "kept"
    few_shot = plan()

    def evaluate(path, *args, **settings):
        assert Path(path).name == "model-best"
        shutil.copytree(path, kept)
        return evaluate_model(path, *args, **settings)

    monkeypatch.setattr("spacy_hetner.evaluation.fewshot.evaluate_model", evaluate)
    (row,) = few_shot.run(tmp_path / "out", counts=[20])
    report = evaluate_model(kept, data / "test.spacy").to_dict()
    assert json.loads(json.dumps(report["spans"])) == row["scores"]
    dev = evaluate_model(kept, data / "dev.parquet").spans.strict.f
    assert row["dev"]["spans_entities_f"] == pytest.approx(dev)


def test_rows_are_kept_until_something_changes(plan, data, tiny_encoder, tmp_path, trained):
    out = tmp_path / "out"
    labels = tmp_path / "labels.json"
    labels.write_text('["PER"]', "utf8")
    config = CONFIG.replace("labels = null", f'labels = "{labels}"')

    def run(text=config, counts=(3,), **settings):
        trained.clear()
        rows = plan(text, **settings).run(out, counts=counts)
        return rows, list(trained)

    first, done = run()
    assert done == [(3, 0)]
    assert run() == (first, [])
    # Names are not content: of the start, of the files, of where the results are.
    moved = shutil.copytree(data, tmp_path / "moved")
    rows, done = run(
        train=moved / "train.parquet", encoders={"e": shutil.copytree(tiny_encoder, moved / "e")}
    )
    assert done == [] and rows == [{**first[0], "start": "e"}]
    assert run(counts=(3, 4))[1] == [(4, 0)]
    # Content counts: of the config, the data, what it starts from, and whatever [paths] names.
    assert run(config.replace("0.01", "0.02"))[1] == [(3, 0)]
    for part, last in (("train.parquet", 41), ("dev.parquet", 42)):
        write_parquet(map(sentence, range(last)), moved / part)
        assert run(**{part.partition(".")[0]: moved / part})[1] == [(3, 0)]
    write_docbin(map(sentence, range(9)), moved / "test.spacy")
    assert run(test=moved / "test.spacy")[1] == [(3, 0)]
    changed = moved / "e" / "config.json"
    changed.write_text(changed.read_text("utf8") + "\n", "utf8")
    assert run(encoders={"e": moved / "e"})[1] == [(3, 0)]
    labels.write_text('["PER", "GPE"]', "utf8")
    assert run()[1] == [(3, 0)]
    assert run(spans_key="entities")[1] == []


def test_files_that_are_named_outside_of_paths_count(plan, tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    read_labels = """
[initialize]

[initialize.components]

[initialize.components.tagger]

[initialize.components.tagger.labels]
@readers = "spacy.read_labels.v1"
path = "${paths.labels}/labels.json"
require = true
"""
    text = CONFIG.replace("labels = null", 'labels = "given"') + read_labels
    labels, code = Path("given", "labels.json"), Path("code.py")
    labels.parent.mkdir()
    labels.write_text('["PER", "GPE"]', "utf8")
    code.write_text("", "utf8")

    def run(name="given"):
        trained.clear()
        plan(text.replace('"given"', f'"{name}"'), code=code).run("out", counts=[3])
        return len(trained)

    assert [run(), run()] == [1, 0]
    shutil.copytree("given", "moved")
    assert run("moved") == 0, "names are not content"
    labels.write_text('["PER", "GPE", "FAC"]', "utf8")
    assert [run(), run()] == [1, 0]
    code.write_text("# changed", "utf8")
    assert [run(), run()] == [1, 0]


@pytest.mark.parametrize("name", [".", "results", "\\u0000", "x" * 5000, "empty"])
def test_texts_that_name_no_data_are_not_followed(plan, tmp_path, monkeypatch, trained, name):
    """Such as the folder that holds the results, which change with each run."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    text = CONFIG.replace("labels = null", f'labels = "{name}"')
    for _ in range(2):
        plan(text).run("results/out", counts=[3])
    assert len(trained) == 1


def test_a_pipeline_that_was_never_scored_once_trained_is_no_result(plan, tmp_path):
    text = CONFIG.replace("max_steps = 6", "max_steps = 300\nmax_epochs = 5")
    text = text.replace("eval_frequency = 3", "eval_frequency = 200")
    message = (
        r"HE214.*eval_frequency = 200.*max_steps = 300.*max_epochs = 5.*patience = \d+.*"
        r"--training\.max_epochs 0.*--training\.eval_frequency"
    )
    with pytest.raises(ValueError, match=message):
        plan(text).run(tmp_path, counts=[4])
    assert not (tmp_path / ROWS).exists()
    (row,) = plan(text.replace("= 200", "= 4")).run(tmp_path, counts=[4])
    assert row["n"] == 4


@pytest.mark.filterwarnings("ignore:.*HW001")
def test_a_sample_without_entities_is_told_before_the_first_run(plan, tmp_path, trained):
    store = tmp_path / "train.parquet"
    plain = [Record(["Nothing", "here"], [], id=f"p{i}") for i in range(30)]
    untyped = Record(["Ada", "left"], [LabelledSpan(0, 1, "")], id="u")
    write_parquet([*plain, untyped, sentence(0)], store)
    few_shot = plan(train=store)
    with pytest.raises(ValueError, match=r"HE146.* 2 sentence.*seed 5.*larger size.*another seed"):
        few_shot.run(tmp_path / "out", counts=[32, 2], seeds=[5])
    assert not trained
    (row,) = few_shot.run(tmp_path / "out", counts=[32], seeds=[5])
    assert row["n"] == 32


def test_without_starts_the_config_says_what_it_starts_from(plan, tiny_encoder, tmp_path):
    text = CONFIG.replace("encoder = null", f'encoder = "{tiny_encoder}"')
    (row,) = plan(text, encoders={}).run(tmp_path / "a", counts=[2])
    (same,) = plan().run(tmp_path / "b", counts=[2])
    assert row["start"] == tiny_encoder.name
    assert without_times([row]) == without_times([{**same, "start": tiny_encoder.name}])


def test_the_limits_of_the_config_hold(plan):
    text = CONFIG.replace("path = null", "path = null\nlimit = 30\nsample_share = 0.5", 1)
    assert plan(text).count_sentences() == 30


def test_a_fingerprint_is_of_content_and_names_within(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").write_bytes(b"1")
    (tmp_path / "a" / "y").write_bytes(b"23")
    first = fingerprint(tmp_path / "a")
    assert fingerprint(shutil.copytree(tmp_path / "a", tmp_path / "b")) == first
    (tmp_path / "b" / "y").rename(tmp_path / "b" / "z")
    assert fingerprint(tmp_path / "b") != first
    (tmp_path / "a" / "deep" / "x").write_bytes(b"2")
    assert fingerprint(tmp_path / "a") != first
    assert fingerprint(tmp_path / "a" / "deep" / "x") != fingerprint(tmp_path / "a" / "y")
    with pytest.raises(ValueError, match="HE075"):
        fingerprint(tmp_path / "none")


@pytest.mark.parametrize(
    "settings,sizes,message",
    [
        ({}, {"counts": [41]}, "HE215.*sample of 41 .*there are 40"),
        ({}, {"counts": [0]}, "HE078.*count.*0"),
        ({}, {"percents": [101]}, "HE217"),
        ({}, {"counts": [1], "seeds": [-1]}, "HE078.*seed.*-1"),
        ({"encoders": {"e": "nowhere"}}, {}, "HE020.*nowhere"),
        (
            {"encoders": {}, "sources": {"s": "nowhere"}},
            {},
            r"HE219.*\$\{paths\.source\}.*--source",
        ),
        ({"train": "nowhere.parquet"}, {}, "HE075.*nowhere"),
        ({"test": "folder"}, {}, "HE077.*folder"),
        ({"dev": "nowhere.spacy"}, {}, "HE075.*nowhere"),
        ({"test": "nowhere.spacy"}, {}, "HE075.*nowhere"),
        pytest.param(
            {"gpu_id": 3},
            {},
            "HE220.*GPU 3",
            marks=pytest.mark.skipif(has_gpu, reason="there is a GPU"),
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_the_first_run(
    plan, tmp_path, trained, settings, sizes, message
):
    with pytest.raises(ValueError, match=message):
        plan(**settings).run(tmp_path, **{"counts": [2], **sizes})
    assert not trained


@pytest.mark.parametrize(
    "old,new,message",
    [
        (
            '"spacy_hetner.RecordCorpus.v1"',
            '"spacy.Corpus.v1"',
            r"HE218.*\[corpora\.train\].*Corpus",
        ),
        ("${paths.encoder}", "null", r"HE219.*\$\{paths\.encoder\}.*--encoder.*tagger\.cfg"),
    ],
)
def test_configs_that_do_not_fit(plan, tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        plan(CONFIG.replace(old, new)).run(tmp_path, counts=[2])


def test_names_of_starts_are_unique_over_encoders_and_sources(plan, tiny_encoder, tmp_path):
    with pytest.raises(ValueError, match=r"HE222.*--source.*a name of its own.*'tiny'"):
        plan(sources={"other": tmp_path, "tiny": tmp_path}).run(tmp_path, counts=[2])


def test_a_source_has_to_be_a_pipeline(plan, tmp_path):
    text = CONFIG.replace("${paths.encoder}", "${paths.source}")
    with pytest.raises(ValueError, match=r"HE093.*config\.cfg"):
        plan(text, encoders={}, sources={"s": tmp_path}).run(tmp_path, counts=[2])


def test_a_damaged_row_is_told(plan, tmp_path):
    plan().run(tmp_path, counts=[2])
    (path,) = (tmp_path / ROWS).iterdir()
    for damaged in ("{", "[]", '{"scores": {}}'):
        path.write_text(damaged, "utf8")
        with pytest.raises(ValueError, match=rf"HE224.*{path.name}.*Delete it"):
            plan().run(tmp_path, counts=[2])


def test_a_pipeline_without_labels_has_no_score(plan, tmp_path):
    text = CONFIG.replace("hetner_tagger", "hetner_span_proposer").replace(
        "TokenTagger.v1", "SpanProposer.v1"
    )
    text = text.replace("spans_entities_f", "candidates_recall")
    with pytest.raises(ValueError, match=r"HE223.*'entities'"):
        plan(text).run(tmp_path, counts=[2])


def test_entities_of_a_doc_are_scored_where_there_are_no_groups(plan, tmp_path):
    start, end = CONFIG.index("[components.tagger]\n"), CONFIG.index("[corpora]")
    ner = '[components.tagger]\nfactory = "ner"\n'
    text = CONFIG[:start] + ner + CONFIG[end:].replace("spans_entities_f", "ents_f")
    text = text.replace('["transformer", "tagger"]', '["tagger"]')
    (row,) = plan(text, encoders={}).run(tmp_path, percents=[100])
    assert row["scores"]["strict"]["gold"] == 40 and row["start"] == "config"
    assert numpy.isfinite(row["scores"]["strict"]["f"])
