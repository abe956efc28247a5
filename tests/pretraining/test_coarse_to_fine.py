"""The chain of CoFEE's stages: what is trained on what, what is kept, and where it goes on."""

import json
from dataclasses import replace

import numpy
import pytest
import torch
from safetensors.torch import load_file
from thinc.api import Config

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.engine.tables import digest
from spacy_hetner.pretraining import coarse_to_fine as chain_module
from spacy_hetner.pretraining.coarse_settings import SECTION, STAGES, read_chain, run_config
from spacy_hetner.pretraining.coarse_to_fine import coarse_to_fine
from spacy_hetner.pretraining.settings import read_config, resolve_settings
from spacy_hetner.pretraining.stage import (
    Stage,
    describe_encoder,
    hash_weights,
    read_stage,
    write_stage,
)
from spacy_hetner.pretraining.trainer import Trainer
from spacy_hetner.types import LabelledSpan

NAMES = {"PER": ("abcdefgh", "ijklmnop"), "LOC": ("stuv", "qr")}
OTHERS = "wxyz"


def make_wiki(count, labels, seed=0, share=0.3):
    """Sentences of letters, in which some pairs are names, as gold, as a gazetteer knows them, and
    as links. The gazetteer has a share of the names of each label."""
    random = numpy.random.default_rng(seed)
    names = {label: [a + b for a in NAMES[label][0] for b in NAMES[label][1]] for label in labels}
    known = {
        name
        for own in names.values()
        for name in numpy.random.default_rng(0).permutation(own)[: round(share * len(own))]
    }
    parts = {"gold": [], "distant": [], "entities": []}
    for number in range(count):
        tokens, spans = [], []
        for _ in range(3):
            tokens += random.choice(list(OTHERS), random.integers(1, 4)).tolist()
            label = str(random.choice(labels))
            spans.append(LabelledSpan(len(tokens), len(tokens) + 2, label))
            tokens += list(str(random.choice(names[label])))
        tokens.append("w")
        found = [s for s in spans if "".join(tokens[s.start : s.end]) in known]
        links = [span._replace(label="Entity") for span in spans]
        for part, own in (("gold", spans), ("distant", found), ("entities", links)):
            parts[part].append(Record(tokens, own, id=str(number)))
    return parts


@pytest.fixture
def wiki(tmp_path):
    for part, records in make_wiki(30, ["PER", "LOC"]).items():
        write_parquet(records, tmp_path / f"{part}.parquet")
    return tmp_path


@pytest.fixture
def make_config(wiki, calm_encoder):
    """The config of a chain of 1, 3 and 2 epochs, with some settings replaced."""

    def make(common=(), **settings):
        section = {
            "encoder": str(calm_encoder),
            "entities": str(wiki / "entities.parquet"),
            "distant": str(wiki / "distant.parquet"),
            "dev": str(wiki / "gold.parquet"),
            "queries": {"PER": "p", "LOC": "l", "Entity": "e"},
            "clusters": 4,
            **settings,
        }
        for name, epochs in zip(STAGES, (1, 3, 2), strict=True):
            own = {"epochs": epochs, "learn_rate": 0.005, "patience": 0}
            section[name] = {**own, **settings.get(name, {})}
        common = {"log_frequency": 50, **dict(common)}
        return Config({SECTION: section, "pretraining": common})

    return make


class ScriptedTraining:
    """Runs that teach nothing: each moves the head a little, and has the next of some scores.

    What it adds to the encoder, a norm takes off: the weights are others, the vectors are not.
    """

    def __init__(self, scores=None):
        self.scores = None if scores is None else iter(scores)
        self.folders = []
        self.configs = []

    def __call__(self, config, folder):
        self.folders.append(folder.name)
        self.configs.append(config)
        settings = resolve_settings(config)
        facts = settings.objective.inspect(settings.train_stores)
        torch.manual_seed(settings.seed)
        tokenizer, transformer = load_encoder(settings.encoder)
        learner = settings.objective.learner(transformer, facts)
        with torch.no_grad():
            transformer.get_input_embeddings().weight.add_(0.01)
            for name, weight in learner.head.named_parameters():
                if not name.startswith("clusters"):
                    weight.add_(0.3 * torch.randn_like(weight))
        (folder / "checkpoints").mkdir()
        scores = {} if self.scores is None else {"best": {"step": 1, "f": next(self.scores)}}
        write_stage(
            folder / "encoder",
            tokenizer=tokenizer,
            learner=learner,
            head=settings.objective.head_record(facts),
            stage=Stage(
                name=folder.name,
                parent=describe_encoder(settings.encoder),
                objective=settings.objective,
                data={},
                config={},
                seed=settings.seed,
                steps=7,
                epochs=1.0,
                scores=scores,
                precision="fp32",
                processes=1,
            ),
        )
        return True


@pytest.fixture
def run(make_config, tmp_path):
    """A chain in a folder of some name, with scripted training unless it is told otherwise."""

    def start(name="run", scores=None, *, train=None, resume=False, common=(), **settings):
        train = train or ScriptedTraining(scores)
        config = make_config(common, **settings)
        return train, coarse_to_fine(config, tmp_path / name, train=train, resume=resume, cpu=True)

    return start


def off(*names):
    return {name: {"enabled": False} for name in names}


def result(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf8"))


def taught(folder):
    """What the encoder of a chain was taught, stage by stage, the first one first."""
    record = read_stage(folder / "encoder")
    names = []
    while record is not None and "objective" in record:
        names.append(record["name"])
        record = record["parent"]
    return names[::-1]


def test_the_best_round_is_kept_with_the_labels_it_was_trained_on(run, tmp_path):
    train, outcome = run(scores=[0.1, 0.3, 0.5, 0.4, 0.2, 0.1])
    assert train.folders == [
        "span_identification",
        *(f"gazetteer_extraction-{number}" for number in (1, 2, 3)),
        *("fine_typing-1", "fine_typing-2"),
    ]
    folder = tmp_path / "run"
    # Round 2 was the best, and trained on what round 1 had picked; not on what it picked itself.
    assert digest(folder / "labels") == digest(folder / "labels-2")
    assert digest(folder / "labels") != digest(folder / "labels-3")
    assert [str(config["pretraining"]["train"][0]) for config in train.configs[1:4]] == [
        str(tmp_path / "distant.parquet"),
        str(folder / "labels-2"),
        str(folder / "labels-3"),
    ]
    # Fine typing began at round 2, and its own scores are compared, which are all lower.
    assert taught(folder) == [
        "span_identification",
        "gazetteer_extraction-1",
        "gazetteer_extraction-2",
        "fine_typing-1",
    ]
    best = [done["run"] for done in result(folder)["rounds"] if done["best"]]
    assert best == ["span_identification", "gazetteer_extraction-2", "fine_typing-1"]
    assert outcome.finished and outcome.scores == {"f": 0.2} and outcome.steps == 6 * 7


def test_rounds_end_where_dev_declines(run):
    train, _ = run(
        scores=[0.1, 0.3, 0.5, 0.4, 0.2, 0.1],
        gazetteer_extraction={"epochs": 6, "patience": 1},
        **off("fine_typing"),
    )
    assert train.folders[-1] == "gazetteer_extraction-3"


def test_a_head_goes_on_and_a_schedule_spans_its_stage(run):
    train, _ = run(scores=[0.1] * 6)
    sections = [config["pretraining"] for config in train.configs]
    assert sections[0]["objective"]["head"] is None and sections[0]["max_epochs"] == 1
    for section in sections[1:]:
        assert section["objective"]["head"] == section["encoder"]
    parts = [(s["schedule"]["part"], s["schedule"]["parts"]) for s in sections[1:]]
    assert parts == [(0, 3), (1, 3), (2, 3), (0, 2), (1, 2)]


def test_the_report_shows_scores_and_changes(run, tmp_path):
    run(scores=[0.1, 0.3, 0.5, 0.4, 0.2, 0.1])
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf8")
    assert "| gazetteer_extraction | 2 | 7 | 50.00 | yes |" in report
    assert "## Labels picked after round 2" in report and "sentences changed." in report
    changes = json.loads((tmp_path / "run" / "changes-2.json").read_text(encoding="utf8"))
    assert changes["records"] == 30 and set(changes["labels"]) == {"LOC", "PER"}


@pytest.mark.parametrize(
    "left_out, scores, lineage",
    [
        (
            ("span_identification", "fine_typing"),
            [0.1, 0.3, 0.2],
            ["gazetteer_extraction-1", "gazetteer_extraction-2"],
        ),
        (
            ("fine_typing",),
            [0.1, 0.3, 0.2, 0.1],
            ["span_identification", "gazetteer_extraction-1"],
        ),
        (("gazetteer_extraction", "fine_typing"), [0.1], ["span_identification"]),
        (
            ("gazetteer_extraction",),
            [0.1, 0.2, 0.3],
            ["span_identification", "fine_typing-1", "fine_typing-2"],
        ),
    ],
)
def test_stages_can_be_left_out(run, tmp_path, left_out, scores, lineage):
    train, outcome = run(scores=scores, **off(*left_out))
    assert outcome.finished and len(train.folders) == len(scores)
    assert taught(tmp_path / "run") == lineage


@pytest.mark.parametrize("enabled", [(), ("fine_typing",)])
def test_what_is_left_must_be_a_chain(make_config, enabled):
    with pytest.raises(ValueError, match="HE294"):
        read_chain(make_config(**off(*(name for name in STAGES if name not in enabled))))


@pytest.mark.parametrize(
    "settings, common, code",
    [
        ({"entities": None}, {}, "HE293.*no entities"),
        ({"distant": []}, {}, "HE293.*no distant"),
        ({"colour": "red"}, {}, r"HE292.*\[coarse_to_fine\].*colour"),
        ({"fine_typing": {"colour": 1}}, {}, r"HE292.*coarse_to_fine.fine_typing.*colour"),
        ({"encoder": None}, {}, "HE292.*encoder, which is missing"),
        ({}, {"max_epochs": 3}, r"HE292.*\[pretraining\].*max_epochs"),
        ({"delta": 2}, {}, "HE002"),
        ({"clusters": 0}, {}, "HE078"),
        ({"weights": "heavy"}, {}, "HE004"),
        ({"features": "odd"}, {}, "HE004"),
        ({"gazetteer_extraction": {"epochs": 0}}, {}, "HE078"),
    ],
)
def test_wrong_settings_are_told(make_config, settings, common, code):
    with pytest.raises(ValueError, match=code):
        read_chain(make_config(common, **settings))


def test_a_last_stage_that_makes_no_sense_is_told_before_the_first_is_run(run):
    train = ScriptedTraining([])
    with pytest.raises(ValueError, match="HE002"):
        run(train=train, gamma=0.1, dropout=3.0)
    assert train.folders == []


def test_the_threshold_grows_if_it_is_to(make_config):
    settings, _ = read_chain(make_config(delta=0.3, delta_growth=True))
    assert [settings.delta_of(number) for number in (1, 2, 3, 4)] == pytest.approx(
        [0.3, 0.6, 0.9, 1.0]
    )


def test_without_dev_the_last_round_is_the_result(run, tmp_path):
    with pytest.warns(UserWarning, match="HW292"):
        train, outcome = run(dev=None)
    assert len(train.folders) == 6 and outcome.scores == {}
    assert train.configs[0]["pretraining"]["dev"] is None
    assert taught(tmp_path / "run")[-3:] == [
        "gazetteer_extraction-3",
        "fine_typing-1",
        "fine_typing-2",
    ]
    assert digest(tmp_path / "run" / "labels") == digest(tmp_path / "run" / "labels-3")


def test_a_model_that_picks_nothing_ends_its_stage(run, tmp_path):
    with pytest.warns(UserWarning, match="HW293"):
        train, _ = run(scores=[0.1, 0.3, 0.2, 0.1], delta=1.0)
    assert train.folders[-3:] == ["gazetteer_extraction-1", "fine_typing-1", "fine_typing-2"]
    assert digest(tmp_path / "run" / "labels") == digest(tmp_path / "distant.parquet")
    assert "no label was picked" in (tmp_path / "run" / "report.md").read_text(encoding="utf8")


def test_what_finished_runs_needed_is_deleted(run, tmp_path):
    run(scores=[0.1] * 6)
    left = {path.name for path in (tmp_path / "run" / "fine_typing-1").iterdir()}
    assert left == {"config.cfg", "encoder", "round.json"}
    assert not [path for path in (tmp_path / "run").rglob("vectors")]
    assert not (tmp_path / "run" / "parts").exists()


class Killed(BaseException):
    """What a test ends a chain with."""


@pytest.mark.parametrize("step", range(6))
def test_a_chain_that_is_killed_between_runs_ends_the_same(run, tmp_path, step):
    scores = [0.1, 0.3, 0.5, 0.4, 0.2, 0.3]
    run("straight", scores)
    train = ScriptedTraining(scores)

    def dying(config, folder):
        if len(train.folders) == step:
            raise Killed
        return train(config, folder)

    with pytest.raises(Killed):
        run("cut", train=dying)
    run("cut", train=train, resume=True)
    assert len(train.folders) == len(set(train.folders)) == 6
    assert result(tmp_path / "cut") == result(tmp_path / "straight")
    for name in ("encoder/model.safetensors", "encoder/head.safetensors"):
        first, second = (load_file(tmp_path / run / name) for run in ("cut", "straight"))
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert digest(tmp_path / "cut" / "labels") == digest(tmp_path / "straight" / "labels")


@pytest.mark.parametrize("what", ["relabel", "compare_stores", "write_vectors", "write_clusters"])
def test_a_chain_that_is_killed_between_its_runs_goes_on(run, tmp_path, monkeypatch, what):
    scores = [0.1, 0.3, 0.5, 0.4, 0.2, 0.3]
    train = ScriptedTraining(scores)
    plain = getattr(chain_module, what)
    calls = []

    def dying(*arguments, **settings):
        calls.append(what)
        if len(calls) == 2:
            raise Killed
        return plain(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(chain_module, what, dying)
        with pytest.raises(Killed):
            run("cut", train=train)
    run("cut", train=train, resume=True)
    run("straight", scores)
    assert len(train.folders) == len(set(train.folders)) == 6
    assert result(tmp_path / "cut") == result(tmp_path / "straight")
    assert digest(tmp_path / "cut" / "labels") == digest(tmp_path / "straight" / "labels")


def test_a_chain_goes_on_only_if_asked_to_and_with_the_same_settings(run, wiki):
    scores = [0.1] * 6
    run(scores=scores)
    with pytest.raises(ValueError, match="HE195"):
        run(scores=scores)
    train, outcome = run(resume=True)
    assert outcome.finished and train.folders == []
    for settings, changed in (
        ({"delta": 0.2}, "delta"),
        ({"common": {"accumulate": 3}}, "pretraining.accumulate"),
        ({"fine_typing": {"learn_rate": 0.1}}, "fine_typing"),
    ):
        with pytest.raises(ValueError, match=rf"HE193.*changed: {changed}\."):
            run(resume=True, **settings)
    write_parquet(make_wiki(31, ["PER"])["distant"], wiki / "distant.parquet")
    with pytest.raises(ValueError, match=r"HE193.*distant"):
        run(resume=True)


def test_a_person_may_end_the_picking_of_labels(run, tmp_path):
    """One who has seen enough after round 2 goes on with fine typing, which begins there."""
    train = ScriptedTraining([0.1, 0.3, 0.4, 0.5, 0.2, 0.2, 0.2, 0.3])
    run(train=train)
    assert taught(tmp_path / "run")[-2] == "gazetteer_extraction-3"
    run(train=train, resume=True, gazetteer_extraction={"epochs": 2})
    assert train.folders[-2:] == ["fine_typing-1", "fine_typing-2"]
    assert taught(tmp_path / "run")[-3:-1] == ["gazetteer_extraction-2", "fine_typing-1"]
    assert digest(tmp_path / "run" / "labels") == digest(tmp_path / "run" / "labels-2")


def test_a_run_that_was_told_to_stop_stops_the_chain(run):
    train = ScriptedTraining([0.1] * 6)
    _, outcome = run(train=lambda config, folder: len(train.folders) < 2 and train(config, folder))
    assert not outcome.finished and len(train.folders) == 2
    assert run(train=train, resume=True)[1].finished


@pytest.mark.parametrize("cluster_head", ["match", "reset"])
def test_clusters_keep_their_numbers_if_they_are_matched(run, wiki, tmp_path, cluster_head):
    """Scripted training leaves the vectors as they are, so that rounds find the same clusters, of
    spans of equal length, but in another order. A head that goes on must mean the same ones."""
    records = [
        replace(record, spans=[s._replace(end=s.end - (s.label == "LOC")) for s in record.spans])
        for record in read_stores([wiki / "gold.parquet"])
    ]
    write_parquet(records, wiki / "distant.parquet")
    train, _ = run(
        scores=[0.1, 0.3, 0.2, 0.1],
        cluster_head=cluster_head,
        clusters=2,
        common={"seed": 3},
        gazetteer_extraction={"epochs": 1},
    )
    objectives = [config["pretraining"]["objective"] for config in train.configs[-2:]]
    assert [objective["cluster_head"] for objective in objectives] == [cluster_head] * 2
    clusters = [
        numpy.concatenate([record.meta.get("clusters", []) for record in read_stores([path])])
        for path in sorted((tmp_path / "run").glob("clusters-*/records.parquet"))
    ]
    heads = [
        load_file(tmp_path / "run" / f"fine_typing-{number}" / "encoder" / "head.safetensors")
        for number in (1, 2)
    ]
    goes_on = torch.equal(heads[0]["clusters.weight"], heads[1]["clusters.weight"])
    assert goes_on == (cluster_head == "match")
    lengths = numpy.array([span.end - span.start for record in records for span in record.spans])
    for found in clusters:
        assert numpy.array_equal(found == found[0], lengths == lengths[0])
    assert numpy.array_equal(*clusters) == goes_on


@pytest.mark.parametrize("features", ["raw", "whitened"])
def test_a_folder_of_clusters_says_what_it_holds(run, tmp_path, features):
    run(scores=[0.1] * 6, features=features, dims=3, clusters=200)
    folder = tmp_path / "run" / "clusters-1"
    told = json.loads((folder / "clusters.json").read_text(encoding="utf8"))
    weights = json.loads((folder / "weights.json").read_text(encoding="utf8"))
    spans = sum(len(record.spans) for record in read_stores([tmp_path / "run" / "labels"]))
    assert told["clusters"] == len(weights) == len(told["counts"]) == min(200, spans)
    assert sum(told["counts"]) == spans
    assert sum(weights) == pytest.approx(1)


def test_the_config_that_comes_along_is_complete(repo_root, calm_encoder, wiki):
    path = repo_root / "configs" / "coarse_to_fine.cfg"
    given = {"encoder": calm_encoder, "entities": wiki / "entities.parquet"}
    given["distant"] = wiki / "distant.parquet"
    config = read_config(path, {f"paths.{name}": str(value) for name, value in given.items()})
    settings, common = read_chain(config)
    untold = {name for name in vars(settings) if name not in config[SECTION]}
    assert not untold and settings.dev is None
    for name in STAGES:
        more = {"clusters": 4} if name == "fine_typing" else {}
        train = ["a.parquet"]
        found = run_config(settings, common, name, 2, encoder="x", train=train, head=None, **more)
        resolved = resolve_settings(found)
        assert resolved.optimizer.learn_rate == settings.stage(name).learn_rate
        assert resolved.objective.name == name and resolved.objective.by_token


@pytest.mark.parametrize("backbone", ["query", "tagger"])
def test_picking_finds_names_that_no_gazetteer_has(calm_encoder, tmp_path, backbone):
    """Real training, without any annotation: a gazetteer of 30 % of the names."""
    parts = make_wiki(250, ["PER"])
    for part, records in parts.items():
        write_parquet(records, tmp_path / f"{part}.parquet")
    config = Config(
        {
            SECTION: {
                "encoder": str(calm_encoder),
                "entities": str(tmp_path / "entities.parquet"),
                "distant": str(tmp_path / "distant.parquet"),
                "backbone": backbone,
                "queries": {"PER": "p", "Entity": "e"} if backbone == "query" else None,
                "clusters": 4,
                "span_identification": {"epochs": 1, "learn_rate": 0.005},
                "gazetteer_extraction": {"epochs": 2, "learn_rate": 0.005},
                "fine_typing": {"epochs": 1, "learn_rate": 0.005},
            },
            "pretraining": {
                "sampler": {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 128},
                "schedule": {"@misc": "spacy_hetner.WarmupConstant.v1"},
            },
        }
    )
    with pytest.warns(UserWarning, match="HW292"):
        outcome = coarse_to_fine(config, tmp_path / "run", cpu=True)
    assert outcome.finished
    matched, picked = (
        sum(len({*a.spans} & {*b.spans}) for a, b in zip(parts["gold"], labels, strict=True))
        for labels in (parts["distant"], list(read_stores([tmp_path / "run" / "labels"])))
    )
    assert picked > 1.2 * matched


def test_a_chain_that_is_killed_inside_of_a_run_ends_the_same(make_config, tmp_path, monkeypatch):
    config = make_config({"checkpoint_frequency": 1, "max_steps": 3}, **off("span_identification"))
    plain = Trainer.step
    straight = coarse_to_fine(config, tmp_path / "straight", cpu=True)
    steps = []

    def dying(trainer, planned, number, *, stop):
        steps.append(number)
        if len(steps) == 5:  # the second of the second round
            raise Killed
        return plain(trainer, planned, number, stop=stop)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", dying)
        with pytest.raises(Killed):
            coarse_to_fine(config, tmp_path / "cut", cpu=True)
    resumed = coarse_to_fine(config, tmp_path / "cut", cpu=True, resume=True)
    assert (resumed.steps, resumed.scores) == (straight.steps, straight.scores)
    assert hash_weights(resumed.encoder) == hash_weights(straight.encoder)


def test_a_person_may_end_the_picking_of_labels_inside_of_a_run(make_config, tmp_path, monkeypatch):
    """The round that was cut off is begun anew, for its learning rate was that of other rounds."""
    sampler = {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 128}
    common = {"checkpoint_frequency": 1, "max_steps": 2, "sampler": sampler}
    config = make_config(common, **off("span_identification"))
    plain = Trainer.step
    seconds = []

    def dying(trainer, planned, number, *, stop):
        if number == 1:
            seconds.append(number)
            if len(seconds) in (2, 5):  # of the second round, and of that of fine typing
                raise Killed
        return plain(trainer, planned, number, stop=stop)

    def go_on(epochs):
        config[SECTION]["gazetteer_extraction"]["epochs"] = epochs
        return coarse_to_fine(config, tmp_path / "run", cpu=True, resume=True)

    monkeypatch.setattr(Trainer, "step", dying)
    with pytest.raises(Killed):
        go_on(3)
    assert (tmp_path / "run" / "gazetteer_extraction-2" / "checkpoints").is_dir()
    with pytest.raises(Killed):
        go_on(2)
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf8")
    assert "gazetteer_extraction-2 was begun anew" in report
    assert (tmp_path / "run" / "fine_typing-2" / "checkpoints").is_dir()
    # Fine typing starts from another round now, so what its second one had learned is of no use.
    assert go_on(1).finished
    assert taught(tmp_path / "run")[0] == "gazetteer_extraction-1"
    rounds = {done["run"]: done for done in result(tmp_path / "run")["rounds"]}
    assert sorted(rounds) == ["fine_typing-1", "fine_typing-2", "gazetteer_extraction-1"]
    config_path = tmp_path / "run" / "fine_typing-2" / "config.cfg"
    assert Config().from_disk(config_path)["pretraining"]["schedule"]["parts"] == 2
