"""Balance: the golden distributions, draws with replacement, independence of order and shards."""

from itertools import pairwise

import numpy
import pytest

from spacy_hetner.corpora.balance import (
    DRAWN,
    NOT_DRAWN,
    Balance,
    category_probabilities,
    make_balance,
)
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED, RecordTask, count_labels, label_column
from spacy_hetner.corpora.stores import SCHEMA, from_table, to_batch, write_parquet
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import digest, parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.types import LabelledSpan


def record(identity, labels):
    spans = [LabelledSpan(number, number + 1, label) for number, label in enumerate(labels)]
    return Record([f"w{number}" for number in range(4)], spans, [True] * 4, identity)


def counts_of(batch):
    counts = new_counts()
    count_labels(batch, counts)
    counts["rows"]["total"] = len(batch)
    return counts


def test_category_probabilities_are_the_golden_ones(golden):
    for case in golden("ner_bert")["sampling"]["cases"]:
        chances = category_probabilities(case["counts"], case["alpha"])
        assert chances == pytest.approx(case["p"], rel=1e-12)
        natural = category_probabilities(case["counts"], 1.0)
        assert natural == pytest.approx(case["natural"], rel=1e-12)
        boost = {name: chances[name] / natural[name] for name in chances}
        assert boost == pytest.approx(case["boost"], rel=1e-9)
        ordered = sorted(boost, key=case["counts"].__getitem__)
        assert all(boost[a] >= boost[b] - 1e-12 for a, b in pairwise(ordered))


def test_published_probabilities():
    chances = category_probabilities({"a": 100, "b": 10, "c": 1})
    assert [round(chance, 5) for chance in chances.values()] == [0.80688, 0.16099, 0.03212]


@pytest.fixture
def example(golden):
    return golden("ner_bert")["sentence_sampling"]


def test_sentence_probabilities_are_the_closed_form(example):
    batch = to_batch([record(str(n), labels) for n, labels in enumerate(example["sentences"])])
    counts = counts_of(batch)
    assert counts["labels"] == example["entity_counts"]
    balance = make_balance(counts, alpha=example["alpha"], draws=1, seed=0)
    chances = balance.expected_copies(label_column(batch), len(batch))
    assert chances == pytest.approx(example["p_sentence"], rel=1e-12)
    assert chances.sum() == pytest.approx(1)
    whole = make_balance(counts, seed=0).expected_copies(label_column(batch), len(batch))
    assert whole == pytest.approx(6 * numpy.array(example["p_sentence"]), rel=1e-12)


def test_draws_follow_the_closed_form(example):
    """100,000 draws from 2,000 times the golden corpus: each kind of sentence within 3 sigma."""
    kinds, copies, draws = example["sentences"], 2000, 100_000
    batch = to_batch(
        [record(f"{kind}-{n}", labels) for n in range(copies) for kind, labels in enumerate(kinds)]
    )
    balance = make_balance(counts_of(batch), alpha=example["alpha"], draws=draws, seed=11)
    drawn = balance(batch, new_counts())
    assert abs(len(drawn) - draws) < 3 * draws**0.5
    found = numpy.bincount([int(name[0]) for name in drawn["id"].to_pylist()], minlength=len(kinds))
    chances = numpy.array(example["p_sentence"])
    sigma = numpy.sqrt(draws * chances)
    assert (abs(found - draws * chances) < 3 * sigma).all()
    mentions = new_counts()
    count_labels(drawn, mentions)
    for name, expected in example["expected_mentions_per_draw"].items():
        assert mentions["labels"][name] / draws == pytest.approx(expected, rel=0.02)


def test_copies_vary_as_draws_with_replacement_do(example):
    """Copies of equally likely sentences have mean and variance alike, as Poisson counts do."""
    batch = to_batch([record(str(n), ["city"]) for n in range(20_000)])
    counts = new_counts()
    drawn = make_balance(counts_of(batch), seed=5)(batch, counts)
    copies = numpy.bincount([int(name.split("#")[0]) for name in drawn["id"].to_pylist()],
                            minlength=20_000)  # fmt: skip
    assert copies.mean() == pytest.approx(1, abs=0.03) and copies.var() == pytest.approx(
        1, abs=0.05
    )
    assert copies.max() > 3
    assert counts[DROPPED][NOT_DRAWN] == (copies == 0).sum() == counts[DRAWN]["0"]
    assert sum(int(number) * n for number, n in counts[DRAWN].items()) == len(drawn)


def test_copies_have_ids_of_their_own_and_are_equal_else():
    batch = to_batch([record("x", ["city"]), record("y", ["city", "road"])])
    drawn = list(from_table(Balance({"city": 4.0, "road": 3.0}, seed=2)(batch, new_counts())))
    assert len(drawn) > 4
    for name in ("x", "y"):
        same = [found for found in drawn if found.id.split("#")[0] == name]
        numbers = [name, *(f"{name}#{number}" for number in range(2, len(same) + 1))]
        assert [found.id for found in same] == numbers
        assert len({str(found.spans) for found in same}) == 1


def test_order_does_not_matter():
    records = [record(str(n), ["city", "road"][: 1 + n % 2]) for n in range(1000)]
    balance = make_balance(counts_of(to_batch(records)), seed=1)
    drawn = balance(to_batch(records), new_counts())["id"].to_pylist()
    turned = balance(to_batch(records[::-1]), new_counts())["id"].to_pylist()
    assert sorted(drawn) == sorted(turned) and drawn != turned
    other = make_balance(counts_of(to_batch(records)), seed=2)
    assert drawn != other(to_batch(records), new_counts())["id"].to_pylist()


def test_shards_do_not_matter(tmp_path):
    records = [record(str(n), ["city", "road"][: 1 + n % 2]) for n in range(20_000)]
    write_parquet(records, tmp_path / "one.parquet")
    counts = counts_of(to_batch(records))
    task = RecordTask((make_balance(counts, seed=1),))
    digests = set()
    for row_groups in (1, 8):
        shards = parquet_shards(tmp_path / "one.parquet", row_groups=row_groups)
        out = tmp_path / f"out{row_groups}"
        done = LocalEngine(progress=False).map(task, shards, out, key={})
        digests.add((digest(out), done["rows"]["total"], len(shards)))
    assert len({found[:2] for found in digests}) == 1 and {n for _, _, n in digests} == {1, 3}


def test_an_unlabelled_sentence_is_never_drawn():
    batch = to_batch([record("x", []), record("y", ["city"])])
    drawn = Balance({"city": 50.0}, seed=0)(batch, new_counts())
    assert {name.split("#")[0] for name in drawn["id"].to_pylist()} == {"y"}
    assert drawn.schema == SCHEMA


def test_an_empty_batch():
    batch = to_batch([])
    assert len(Balance({"city": 1.0}, seed=0)(batch, new_counts())) == 0


@pytest.mark.parametrize(
    "options, code",
    [({"alpha": 1.5}, "HE002"), ({"alpha": -0.1}, "HE002"), ({"draws": 0}, "HE078")],
)
def test_wrong_settings(options, code):
    with pytest.raises(ValueError, match=code):
        make_balance(counts_of(to_batch([record("x", ["city"])])), seed=0, **options)


def test_wrong_counts():
    with pytest.raises(ValueError, match="HE164"):
        make_balance(counts_of(to_batch([record("x", [])])), seed=0)
    balance = make_balance(counts_of(to_batch([record("x", ["city"])])), seed=0)
    with pytest.raises(ValueError, match=r"HE165.*road"):
        balance(to_batch([record("x", ["road"])]), new_counts())
