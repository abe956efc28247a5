"""What a model says of a whole corpus: the labels it picks, the vectors of its spans."""

import json
import pickle

import numpy
import pytest
import torch
from pretraining.objectives.conftest import characters
from safetensors.torch import save_file

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.records import UNKNOWN, Record
from spacy_hetner.corpora.stores import read_parquet, read_stores, write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder, save_encoder
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import digest
from spacy_hetner.pretraining import relabel as relabel_module
from spacy_hetner.pretraining.clusters import read_vectors
from spacy_hetner.pretraining.extractor import load_extractor
from spacy_hetner.pretraining.objectives.gazetteer_extraction import make_gazetteer_extraction
from spacy_hetner.pretraining.relabel import (
    Asking,
    RelabelTask,
    pick_labels,
    relabel,
    write_clusters,
    write_vectors,
)

CPU = Asking(device="cpu")
LABELS = ["GPE", "ORG"]
RECORDS = [
    characters("我在北京大学看", (2, 6, "ORG"), (2, 4, "GPE"), id="a"),
    characters("人", id="b"),
    characters("看天安门", (1, 4, "GPE"), id="c", others=[(0, 1)]),
]


@pytest.fixture(params=["query", "tagger"])
def model(request, character_encoder, tmp_path):
    """An encoder folder with a random head of one of the backbones."""
    objective = make_gazetteer_extraction(backbone=request.param)
    queries = {"GPE": "南", "ORG": "篮协"} if request.param == "query" else None
    facts = {"labels": LABELS, "queries": queries}
    torch.manual_seed(1)
    tokenizer, transformer = load_encoder(character_encoder)
    learner = objective.learner(transformer, facts)
    folder = tmp_path / request.param
    save_encoder(folder, tokenizer, transformer)
    save_file(dict(learner.head.state_dict()), folder / "head.safetensors")
    (folder / "head.json").write_text(json.dumps(objective.head_record(facts)), encoding="utf8")
    return folder


@pytest.fixture
def store(tmp_path):
    write_parquet(RECORDS, tmp_path / "distant.parquet")
    return tmp_path / "distant.parquet"


def edges(**of_label):
    """Probabilities of three tokens, starts before ends."""
    return {label: tuple(map(numpy.array, both)) for label, both in of_label.items()}


def test_the_golden_probabilities_pick_the_golden_spans(golden):
    for case in golden("tagger_self_picking")["cases"]:
        told = {"X": (numpy.array(case["p_start"]), numpy.array(case["p_end"]))}
        picked = pick_labels(told, case["delta"])
        assert [[s.start, s.end - 1] for s in picked] == case["spans_inclusive"]


def test_starts_above_a_higher_delta_are_above_a_lower_one_too(golden):
    for case in golden("tagger_self_picking")["cases"]:
        told = {"X": (numpy.array(case["p_start"]), numpy.array(case["p_end"]))}
        low, high = ({s.start for s in pick_labels(told, delta)} for delta in (0.1, 0.5))
        assert high <= low


def test_a_probability_of_delta_is_not_above_it():
    told = edges(A=([0.5, 0.1, 0.0], [0.0, 0.5, 0.1]))
    assert pick_labels(told, 0.1) == [(0, 2, "A")]


def test_labels_are_picked_apart_or_the_most_probable():
    told = edges(
        A=([0.6, 0.0, 0.0], [0.0, 0.0, 0.6]), B=([0.0, 0.9, 0.0], [0.0, 0.9, 0.0]), C=([0] * 3,) * 2
    )
    assert pick_labels(told, 0.1) == [(0, 3, "A"), (1, 2, "B")]
    assert pick_labels(told, 0.1, disjoint=True) == [(1, 2, "B")]
    assert pick_labels(told, 0.9, disjoint=True) == []


def test_labels_are_replaced_by_those_of_the_model(model, store, tmp_path):
    extractor = load_extractor(model)
    starts = numpy.concatenate(
        [of[label][0] for of in extractor.probabilities(RECORDS) for label in LABELS]
    )
    delta = float(numpy.median(starts))
    counts = relabel([store], tmp_path / "out", model, LocalEngine(), delta=delta, asking=CPU)
    found = list(read_stores([tmp_path / "out"]))
    disjoint = extractor.backbone == "tagger"
    for before, after, told in zip(RECORDS, found, extractor.probabilities(RECORDS), strict=True):
        assert after.spans == pick_labels(told, delta, disjoint=disjoint)
        assert (after.tokens, after.spaces, after.id) == (before.tokens, before.spaces, before.id)
        assert after.meta == {}  # regions of no entity were those of the labels before
    assert counts["totals"]["sentences"] == 3
    assert sum(counts["labels"].values()) == sum(len(record.spans) for record in found) > 0


def test_nothing_is_kept_that_the_model_does_not_pick(model, tmp_path):
    meta = {UNKNOWN: [[0, 1]], NON_ENTITIES: [[1, 2]], "clusters": [3], "page": "x"}
    write_parquet([Record(["人"], [], meta=meta)], tmp_path / "a.parquet")
    relabel([tmp_path / "a.parquet"], tmp_path / "out", model, LocalEngine(), delta=1.0, asking=CPU)
    (record,) = read_stores([tmp_path / "out"])
    assert record.spans == [] and record.meta == {"page": "x"}


def test_a_job_goes_on_where_it_was(model, tmp_path, monkeypatch):
    records = [characters("我在北京大学看", (2, 6, "ORG"), id=str(n)) for n in range(3)]
    for number in range(3):
        write_parquet([records[number]], tmp_path / "in" / f"{number}.parquet")
    plain = RelabelTask.__call__
    begun = []

    def dying(task, shard, counts):
        begun.append(shard.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return plain(task, shard, counts)

    def run(name):
        arguments = [[tmp_path / "in"], tmp_path / name, model, LocalEngine()]
        return relabel(*arguments, delta=0.1, asking=CPU)

    with monkeypatch.context() as patch:
        patch.setattr(RelabelTask, "__call__", dying)
        with pytest.raises(KeyboardInterrupt):
            run("cut")
        counts = run("cut")
    assert begun == ["00000", "00001", "00001", "00002"]
    assert counts == run("straight")
    assert digest(tmp_path / "cut") == digest(tmp_path / "straight")
    with pytest.raises(ValueError, match="HE125"):
        relabel([tmp_path / "in"], tmp_path / "cut", model, LocalEngine(), delta=0.2, asking=CPU)


def test_a_task_travels_and_loads_its_model_once(model, store, monkeypatch):
    task = pickle.loads(pickle.dumps(RelabelTask(str(model), 0.1, CPU)))
    loads = []

    def counting(*arguments, **settings):
        loads.append(arguments)
        return load_extractor(*arguments, **settings)

    monkeypatch.setattr(relabel_module, "load_extractor", counting)
    relabel_module._load_once.cache_clear()
    first = relabel_module.extractor_of(task.encoder, CPU)
    assert relabel_module.extractor_of(task.encoder, CPU) is first and len(loads) == 1


def test_vectors_are_those_of_the_extractor(model, store, tmp_path):
    arguments = [[store, store], tmp_path / "vectors", model, LocalEngine()]
    width = write_vectors(*arguments, parts=tmp_path / "parts", asking=CPU)
    expected = load_extractor(model).span_vectors(RECORDS)
    found = read_vectors(tmp_path / "vectors", width)
    assert found == pytest.approx(numpy.concatenate([expected, expected]), abs=1e-5)


def test_a_corpus_without_spans_has_no_vectors(model, tmp_path):
    write_parquet([characters("人")], tmp_path / "none.parquet")
    arguments = [[tmp_path / "none.parquet"], tmp_path / "vectors", model, LocalEngine()]
    with pytest.raises(ValueError, match="HE288"):
        write_vectors(*arguments, parts=tmp_path / "parts", asking=CPU)


def test_each_span_is_told_its_cluster(store, tmp_path):
    write_clusters([store, store], tmp_path / "c.parquet", numpy.array([4, 0, 2, 1, 3, 0]))
    clusters = [record.meta.get("clusters") for record in read_parquet(tmp_path / "c.parquet")]
    assert clusters == [[4, 0], None, [2], [1, 3], None, [0]]


def test_clusters_of_other_spans_go(tmp_path):
    write_parquet([Record(["a"], [], meta={"clusters": [3], "page": 1})], tmp_path / "a.parquet")
    write_clusters([tmp_path / "a.parquet"], tmp_path / "c.parquet", numpy.zeros(0, "int32"))
    assert [record.meta for record in read_parquet(tmp_path / "c.parquet")] == [{"page": 1}]
