"""The filters of NER-BERT: golden cases, rates, order of the steps, independence of order."""

import numpy
import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED, RecordTask, count_labels, label_column
from spacy_hetner.corpora.stores import SCHEMA, from_table, to_batch, write_parquet
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.types import LabelledSpan
from spacy_hetner.wiki.filters import (
    COMMON_SENTENCE,
    NOTHING_TYPED,
    RARE_MENTION,
    RARE_SENTENCE,
    RELABELLED,
    DropRare,
    DropUntyped,
    ThinCommon,
    common_labels,
    drop_probabilities,
    rare_labels,
)


def record(identity, labels):
    spans = [LabelledSpan(number, number + 1, label) for number, label in enumerate(labels)]
    return Record([f"w{number}" for number in range(12)], spans, [True] * 12, identity)


def batch_of(*sentences):
    return to_batch([record(str(number), labels) for number, labels in enumerate(sentences)])


def labels_of(batch):
    return [[span.label for span in found.spans] for found in from_table(batch)]


@pytest.fixture
def rules(golden):
    return golden("ner_bert")["filter"]


def test_golden_drop_probabilities(rules):
    batch = batch_of(*(case["entities"] for case in rules["cases"]))
    chances = drop_probabilities(label_column(batch), len(batch), rules["top20_inferred"])
    assert chances.tolist() == [case["drop_probability"] for case in rules["cases"]]
    assert len(chances) == 16


def test_golden_rates_over_ten_thousand_seeds(rules):
    """Each golden sentence in 10,000 draws: 100 ids under 100 seeds each."""
    common, cases = rules["top20_inferred"], rules["cases"]
    batch = to_batch(
        [
            record(f"{number}-{copy}", case["entities"])
            for number, case in enumerate(cases)
            for copy in range(100)
        ]
    )
    dropped = numpy.zeros(len(cases))
    for seed in range(100):
        for name in ThinCommon(common, seed)(batch, new_counts())["id"].to_pylist():
            dropped[int(name.split("-")[0])] += 1
    rates = 1 - dropped / 10_000
    expected = numpy.array([case["drop_probability"] for case in cases])
    assert (abs(rates - expected) < 0.02).all()
    assert (
        rates[(expected == 0) | (expected == 1)] == expected[(expected == 0) | (expected == 1)]
    ).all()


def test_golden_rare_categories(golden):
    case = golden("ner_bert")["rare_category_drop"]
    assert rare_labels(case["counts"], min_count=case["min_count"]) == case["dropped"]


def test_untyped_is_never_rare_but_can_be_common():
    mentions = {"ENTITY": 3, "a": 9, "b": 10, "c": 30, "d": 30, "e": 0}
    assert rare_labels(mentions) == ["a", "e"]
    assert common_labels(mentions, top=3) == ["c", "d", "b"]
    assert common_labels(mentions) == ["c", "d", "b", "a", "ENTITY"]
    assert common_labels({"ENTITY": 100, **{f"c{n:02d}": n for n in range(1, 30)}})[0] == "ENTITY"
    assert len(common_labels({"ENTITY": 100, **{f"c{n:02d}": n for n in range(1, 30)}})) == 20
    assert rare_labels({"X": 3, "a": 3}, untyped="X") == ["a"]


@pytest.mark.parametrize(
    "action, expected, dropped",
    [
        ("entity", [["ENTITY", "b"], ["b", "ENTITY"], ["ENTITY"], []], {}),
        ("drop_mention", [["b"], ["b", "ENTITY"], [], []], {RARE_MENTION: 2}),
        ("drop_sentence", [["b", "ENTITY"], []], {RARE_SENTENCE: 2}),
    ],
)
def test_rare_mentions(action, expected, dropped):
    counts = new_counts()
    batch = batch_of(["a", "b"], ["b", "ENTITY"], ["a"], [])
    filtered = DropRare(["a"], action)(batch, counts)
    assert labels_of(filtered) == expected
    assert dict(counts[DROPPED]) == dropped
    assert counts[RELABELLED] == ({RARE_MENTION: 2} if action == "entity" else {})
    assert filtered.schema == SCHEMA


def test_bounds_stay_with_their_labels():
    filtered = DropRare(["a"], "drop_mention")(batch_of(["a", "b", "a", "c"]), new_counts())
    assert next(from_table(filtered)).spans == [(1, 2, "b"), (3, 4, "c")]


def test_sentences_that_type_nothing_go():
    counts = new_counts()
    batch = batch_of([], ["ENTITY"], ["ENTITY", "a"], ["a"], ["ENTITY"] * 5)
    assert labels_of(DropUntyped()(batch, counts)) == [["ENTITY", "a"], ["a"]]
    assert counts[DROPPED] == {NOTHING_TYPED: 3}
    assert labels_of(DropUntyped("X")(batch_of(["X"], ["ENTITY"]), counts)) == [["ENTITY"]]


def test_rare_goes_before_common_is_counted(tmp_path):
    """A sentence whose only category is rare types nothing any more, and does not count."""
    sentences = [["rare", "ENTITY"]] * 9 + [["city", "ENTITY"]] * 10 + [["road"]] * 30
    write_parquet(
        [record(str(n), labels) for n, labels in enumerate(sentences)], tmp_path / "in.parquet"
    )
    before = new_counts()
    count_labels(batch_of(*sentences), before)
    rare = rare_labels(before["labels"])
    assert rare == ["rare"]
    counts = LocalEngine(progress=False).map(
        RecordTask((DropRare(rare), DropUntyped())),
        parquet_shards(tmp_path / "in.parquet"),
        tmp_path / "out",
        key={},
    )
    assert counts["labels"] == {"city": 10, "road": 30, "ENTITY": 10}
    assert counts["rows"]["total"] == 40
    assert counts[DROPPED] == {NOTHING_TYPED: 9} and counts[RELABELLED] == {RARE_MENTION: 9}
    assert common_labels(counts["labels"], top=2) == ["road", "ENTITY"]


def test_neither_order_nor_batches_matter():
    common = ["person", "ENTITY"]
    records = [record(str(n), ["person"] + ["ENTITY"] * (n % 7)) for n in range(2000)]
    counts = new_counts()
    kept = ThinCommon(common, 1)(to_batch(records), counts)["id"].to_pylist()
    turned = ThinCommon(common, 1)(to_batch(records[::-1]), new_counts())["id"].to_pylist()
    pieces = [
        ThinCommon(common, 1)(to_batch(records[start : start + 37]), new_counts())["id"].to_pylist()
        for start in range(0, 2000, 37)
    ]
    assert kept == turned[::-1] == [name for piece in pieces for name in piece]
    assert kept != ThinCommon(common, 2)(to_batch(records), new_counts())["id"].to_pylist()
    assert counts[DROPPED] == {COMMON_SENTENCE: 2000 - len(kept)}


def test_one_rare_category_saves_a_sentence():
    batch = batch_of(*[["person", "volcano"] + ["ENTITY"] * 9] * 1)
    for seed in range(50):
        assert len(ThinCommon(["person", "ENTITY"], seed)(batch, new_counts())) == 1


def test_untyped_outside_the_common_ones_saves_a_sentence():
    """Where untyped mentions are not among the most frequent, a sentence with one is not common."""
    labels = label_column(batch_of(["person", "ENTITY", "ENTITY", "ENTITY"]))
    assert drop_probabilities(labels, 1, ["person"]).tolist() == [0.0]
    assert drop_probabilities(labels, 1, ["person", "ENTITY"]).tolist() == [0.3]


def test_empty_batches():
    batch = batch_of()
    for step in (DropRare(["a"]), DropUntyped(), ThinCommon(["a"], 0)):
        assert len(step(batch, new_counts())) == 0
