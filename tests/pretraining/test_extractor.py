"""What the encoder and the head of a stage say of records."""

import json

import numpy
import pytest
import torch
from pretraining.objectives.conftest import characters
from safetensors.torch import load_file, save_file

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder, load_tokenizer, save_encoder
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.pretraining.extractor import load_extractor
from spacy_hetner.pretraining.objectives.extraction_heads import edge_probabilities, sum_spans
from spacy_hetner.pretraining.objectives.fine_typing import make_fine_typing
from spacy_hetner.pretraining.objectives.gazetteer_extraction import make_gazetteer_extraction
from spacy_hetner.types import LabelledSpan

BACKBONES = ("query", "tagger")
QUERIES = {"GPE": "南", "ORG": "篮协"}
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of
RECORDS = [
    characters("我在北京大学看", (2, 6, "ORG"), (2, 4, "GPE")),
    characters("人"),
    Record(["北京", SWALLOWED, "的"], [LabelledSpan(0, 2, "GPE"), LabelledSpan(1, 2, "GPE")]),
    characters("看天安门", (1, 4, "GPE"), (1, 4, "ORG")),
]


@pytest.fixture
def write_stage(character_encoder, tmp_path):
    """Write an encoder folder with a new head, as a stage leaves it."""

    def write(objective):
        facts = {
            "labels": ["GPE", "ORG"],
            "queries": QUERIES if objective.backbone == "query" else None,
            "clusters": getattr(objective, "clusters", 0),
            "cluster_weights": [1.0] * getattr(objective, "clusters", 0),
        }
        torch.manual_seed(1)
        tokenizer, transformer = load_encoder(character_encoder)
        learner = objective.learner(transformer, facts)
        folder = tmp_path / f"{objective.name}-{objective.backbone}-{objective.max_pieces}"
        save_encoder(folder, tokenizer, transformer)
        save_file(dict(learner.head.state_dict()), folder / "head.safetensors")
        record = json.dumps(objective.head_record(facts))
        (folder / "head.json").write_text(record, encoding="utf8")
        return folder

    return write


def vectors_by_hand(folder, text, query=None):
    """The vector of each character, one text at a time, without padding."""
    tokenizer, transformer = load_tokenizer(folder), load_encoder(folder).transformer.eval()
    inputs = tokenizer(*([text] if query is None else [query, text]), return_tensors="pt")
    states = transformer(**inputs).last_hidden_state[0].detach()
    return states[-1 - len(text) : -1]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_probabilities_are_those_of_the_head_over_each_token(write_stage, backbone):
    folder = write_stage(make_gazetteer_extraction(backbone=backbone))
    extractor = load_extractor(folder, max_batch_pieces=40)
    assert extractor.labels == ["GPE", "ORG"] and extractor.backbone == backbone
    told = extractor.probabilities(RECORDS)
    assert [list(of) for of in told] == [["GPE", "ORG"]] * len(RECORDS)
    weights = load_file(folder / "head.safetensors")
    for record, of in zip(RECORDS, told, strict=True):
        for number, label in enumerate(extractor.labels):
            starts, ends = of[label]
            assert starts.shape == ends.shape == (len(record.tokens),)
            assert starts.dtype == ends.dtype == numpy.float32
            if record is RECORDS[2]:
                continue
            if backbone == "query":
                vectors = vectors_by_hand(folder, record.text, QUERIES[label])
                expected = [
                    torch.nn.functional.linear(
                        vectors, weights[f"{edge}.weight"], weights[f"{edge}.bias"]
                    ).softmax(1)[:, 1]
                    for edge in ("start", "end")
                ]
            else:
                vectors = vectors_by_hand(folder, record.text)
                logits = vectors @ weights["tags.weight"].T + weights["tags.bias"]
                expected = [edges[:, number] for edges in edge_probabilities(logits)]
            numpy.testing.assert_allclose(starts, expected[0], atol=1e-5)
            numpy.testing.assert_allclose(ends, expected[1], atol=1e-5)
    # What has no piece is no start and no end.
    starts, ends = told[2]["GPE"]
    assert (starts > 0).tolist() == (ends > 0).tolist() == [True, False, True]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_vectors_of_spans_are_sums_under_the_query_of_their_label(write_stage, backbone):
    """Check 8.2.9."""
    folder = write_stage(make_gazetteer_extraction(backbone=backbone))
    extractor = load_extractor(folder)
    vectors = extractor.span_vectors(RECORDS)
    assert vectors.shape == (6, extractor.width) and vectors.dtype == numpy.float32
    queries = QUERIES if backbone == "query" else {"GPE": None, "ORG": None}
    expected = [
        vectors_by_hand(folder, record.text, queries[span.label])[span.start : span.end].sum(0)
        for record in (RECORDS[0], RECORDS[3])
        for span in record.spans
    ]
    numpy.testing.assert_allclose(vectors[[0, 1, 4, 5]], torch.stack(expected), atol=1e-4)
    if backbone == "query":
        assert not numpy.allclose(vectors[4], vectors[5], atol=1e-2)
    assert vectors[2].any() and not vectors[3].any()  # a span without pieces is zero
    assert extractor.span_vectors([]).shape == (0, extractor.width)
    assert extractor.span_vectors([RECORDS[1]]).shape == (0, extractor.width)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_clustered_is_what_is_taught(write_stage, backbone, tmp_path):
    """The vector of a span is that which the layer over clusters sees in training."""
    records = [
        characters("我在北京大学看", (2, 6, "ORG")),
        characters("看天安门的人在上海", (1, 4, "GPE"), (7, 9, "ORG")),
    ]
    for record in records:
        record.meta["clusters"] = [0] * len(record.spans)
    objective = make_fine_typing(backbone=backbone, clusters=2, max_pieces=6, overlap=2)
    folder = write_stage(objective)
    vectors = load_extractor(folder).span_vectors(records)
    write_parquet(records, tmp_path / "records.parquet")
    facts = {
        "labels": ["GPE", "ORG"],
        "queries": QUERIES if backbone == "query" else None,
        "clusters": 2,
        "cluster_weights": [1.0, 1.0],
    }
    (shard,) = parquet_shards(tmp_path / "records.parquet")
    task = objective.task(folder, facts)
    rows = [row for batch in task(shard, new_counts()) for row in batch.to_pylist()]
    rows = [{n: numpy.array(row[n], "int32") for n in task.schema.names[1:]} for row in rows]
    learner = objective.learner(load_encoder(folder).transformer, facts).eval()
    tensors = objective.collate(rows, numpy.random.default_rng(0)).tensors
    start, end, _, _ = tensors["spans"].unbind(1)
    taught = sum_spans(learner.vectors(tensors), start, end).detach().numpy()
    assert len(taught) == 3
    for vector in vectors:
        assert numpy.abs(taught - vector).max(1).min() < 1e-4


def test_a_span_that_no_window_holds_has_parts_in_several(write_stage):
    text = "我在北京大学习看天安门的人"
    long = characters(text, (1, 12, "GPE"))
    short = load_extractor(
        write_stage(make_gazetteer_extraction(backbone="tagger", max_pieces=6, overlap=2))
    )
    parts = [characters(text, (1, 5, "GPE")), characters(text, (5, 8, "GPE"))]
    parts.append(characters(text, (8, 12, "GPE")))
    whole = short.span_vectors([long])
    numpy.testing.assert_allclose(whole, short.span_vectors(parts).sum(0, keepdims=True), atol=1e-4)
    starts, ends = short.probabilities([long])[0]["GPE"]
    assert (starts > 0).all() and (ends > 0).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_batches_make_no_difference(write_stage, backbone):
    folder = write_stage(make_gazetteer_extraction(backbone=backbone))
    small, large = (load_extractor(folder, max_batch_pieces=n) for n in (1, 10000))
    for one, other in zip(small.probabilities(RECORDS), large.probabilities(RECORDS), strict=True):
        for label in one:
            numpy.testing.assert_allclose(one[label], other[label], atol=1e-5)
    numpy.testing.assert_allclose(
        small.span_vectors(RECORDS), large.span_vectors(RECORDS), atol=1e-4
    )
    use = small.encoder.padding_use
    assert use.real == use.padded > 0


def test_a_head_under_queries_can_be_asked_for_other_labels(write_stage):
    folder = write_stage(make_gazetteer_extraction())
    record = characters("我在长江", (2, 4, "river"))
    with pytest.raises(ValueError, match=r"HE287.*river.*GPE, ORG"):
        load_extractor(folder).span_vectors([record])
    extractor = load_extractor(folder, queries={"river": "江"})
    assert list(extractor.probabilities([record])[0]) == ["river"]
    expected = vectors_by_hand(folder, record.text, "江")[2:].sum(0)
    numpy.testing.assert_allclose(extractor.span_vectors([record])[0], expected, atol=1e-4)
    tagger = write_stage(make_gazetteer_extraction(backbone="tagger"))
    with pytest.raises(ValueError, match=r"HE286.*tagger"):
        load_extractor(tagger, queries={"river": "江"})
    assert load_extractor(tagger).span_vectors([record]).any()


def test_folders_and_settings_that_cannot_be_used(write_stage, character_encoder):
    with pytest.raises(ValueError, match=r"HE298.*'query' or 'tagger'"):
        load_extractor(character_encoder)
    folder = write_stage(make_gazetteer_extraction())
    for wrong, code in [
        ({"precision": "fp8"}, "HE004"),
        ({"min_density": 2.0}, "HE002"),
        ({"max_batch_pieces": 0}, "HE078"),
        ({"queries": {"GPE": "南" * 400}}, "HE270"),
    ]:
        with pytest.raises(ValueError, match=code):
            load_extractor(folder, **wrong)
    weights = load_file(folder / "head.safetensors")
    save_file({"start.weight": weights["start.weight"]}, folder / "head.safetensors")
    with pytest.raises(ValueError, match=r"HE281.*start\.bias, end\.weight"):
        load_extractor(folder)


def test_nothing_is_trained(write_stage):
    extractor = load_extractor(write_stage(make_gazetteer_extraction()))
    again = [extractor.span_vectors(RECORDS) for _ in range(2)]
    numpy.testing.assert_array_equal(*again)
    assert not extractor.encoder.training and not extractor.head.training
