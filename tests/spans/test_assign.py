"""Gold spans and training targets of seeds and candidates."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.spans.assign import (
    assign_labels,
    assign_seeds,
    pair_candidates,
    sample_seeds,
    soft_weights,
    with_pairs,
)
from spacy_hetner.spans.iou import iou
from spacy_hetner.spans.seeds import enumerate_seeds
from spacy_hetner.types import GoldSpans, PairedSpans

LENGTHS = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15]
GOLD = GoldSpans(span_array([(0, 10), (0, 2), (5, 6)]), ["ORG", "GPE", "PER"])


def seeds_of_twelve(**settings):
    return assign_seeds(enumerate_seeds(12, LENGTHS), GOLD.spans, 0.7, **settings)


def draw(targets, ratio, extra, seed=0):
    return sample_seeds(targets, ratio, extra, numpy.random.default_rng(seed))


def test_golden_positives(golden):
    case = golden("seed_spans")["assignment"][0]
    gold = span_array(case["gold"])
    targets = assign_seeds(enumerate_seeds(case["n"], case["lengths"]), gold, case["alpha1"])
    assert len(targets.spans) == case["n_seeds"]
    assert targets.positive.sum() == case["n_pos"] == 11
    found = [
        {
            "span": targets.spans[i].tolist(),
            "pair": targets.pair[i],
            "iou": pytest.approx(targets.iou[i], abs=1e-12),
            "positive": True,
            "label": case["gold"][targets.pair[i]][2],
            "target_offset": targets.offsets[i].tolist(),
        }
        for i in numpy.flatnonzero(targets.positive)
    ]
    assert found == case["positives"]
    assert [item["label"] for item in found].count("ORG") == 9
    one_to_five = draw(targets, case["n_neg_sampled_at_1_to_5"] / case["n_pos"], 0)
    assert (~one_to_five.positive).sum() == case["n_neg_sampled_at_1_to_5"] == 55
    published = draw(targets, 5, 2)
    assert (~published.positive).sum() == case["n_neg_sampled_reference"] == 57


def test_positives_by_hand():
    targets = seeds_of_twelve()
    assert len(targets.spans) == 69 and targets.positive.sum() == 11
    assert (targets.pair[targets.positive] == 0).sum() == 9
    assert (~draw(targets, 5, 0).positive).sum() == 55
    assert (~draw(targets, 5, 2).positive).sum() == 57


def test_golden_every_seed(golden):
    """Among them ties, which go to the first gold span, and seeds that nothing overlaps."""
    case = golden("seed_spans")["assignment"][1]
    targets = assign_seeds(
        enumerate_seeds(case["n"], case["lengths"]), span_array(case["gold"]), case["alpha1"]
    )
    assert targets.spans.tolist() == [item["span"] for item in case["all"]]
    pairs = [-1 if item["pair"] is None else item["pair"] for item in case["all"]]
    assert targets.pair.tolist() == pairs
    numpy.testing.assert_allclose(targets.iou, [item["iou"] for item in case["all"]], atol=1e-12)
    assert targets.positive.tolist() == [item["positive"] for item in case["all"]]
    offsets = [item["target_offset"] or [0, 0] for item in case["all"]]
    assert targets.offsets.tolist() == offsets


def test_targets_lead_from_seed_to_gold():
    targets = seeds_of_twelve()
    by_span = {tuple(s): o.tolist() for s, o in zip(targets.spans, targets.offsets, strict=True)}
    assert by_span[3, 10] == [-3, 0]
    assert by_span[2, 11] == [-2, -1]
    moved = (targets.spans + targets.offsets)[targets.positive]
    assert moved.tolist() == GOLD.spans[targets.pair[targets.positive]].tolist()


def test_add_gold():
    """A gold span of a length that no seed has joins as its own positive, once."""
    plain, extended = seeds_of_twelve(), seeds_of_twelve(add_gold=True)
    assert len(extended.spans) == len(plain.spans) + 1
    assert extended.spans[-1].tolist() == [0, 10]
    assert extended.iou[-1] == 1.0 and extended.positive[-1]
    assert extended.offsets[-1].tolist() == [0, 0]
    nothing_else = assign_seeds(span_array([]), GOLD.spans, 0.7, add_gold=True)
    assert sorted(nothing_else.spans.tolist()) == sorted(GOLD.spans.tolist())


def test_each_step_draws_other_negatives():
    """A fresh sample a step, the positives always in it, seeds in order and never twice."""
    targets = seeds_of_twelve(add_gold=True)
    positives = targets.spans[targets.positive].tolist()
    rng = numpy.random.default_rng(0)
    samples = [sample_seeds(targets, 2.0, 2, rng) for _ in range(3)]
    for sample in samples:
        assert sample.spans[sample.positive].tolist() == positives
        assert (~sample.positive).sum() == 2 * len(positives) + 2
        assert len(numpy.unique(sample.spans, axis=0)) == len(sample.spans)
    assert samples[0].spans.tolist() != samples[1].spans.tolist()
    assert samples[1].spans.tolist() != samples[2].spans.tolist()
    assert draw(targets, 2, 2).spans.tolist() == draw(targets, 2, 2).spans.tolist()


def test_sentences_without_entities_give_negatives():
    targets = assign_seeds(enumerate_seeds(6, [1, 2]), span_array([]), 0.7, add_gold=True)
    assert not targets.positive.any()
    assert targets.pair.tolist() == [-1] * 11
    assert len(draw(targets, 5, 2).spans) == 2
    assert len(draw(targets, 5, 100).spans) == 11


@given(spans_within(10), spans_within(10, 6), st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_pairs_are_the_first_of_largest_overlap(seeds, gold, threshold):
    targets = assign_seeds(span_array(seeds), span_array(gold), threshold)
    for i, seed in enumerate(seeds):
        overlaps = [float(iou(numpy.array(seed), numpy.array(other))) for other in gold]
        best = max(overlaps, default=0.0)
        assert targets.iou[i] == best
        assert targets.pair[i] == (overlaps.index(best) if best > 0 else -1)
        assert targets.positive[i] == (bool(gold) and best >= threshold)


def test_soft_weights_golden(golden):
    for case in golden("soft_weights")["cases"]:
        weight = soft_weights(numpy.array([case["iou"]]), case["alpha"], case["eta"])
        assert weight[0] == pytest.approx(case["weight"], abs=1e-12), case


def test_what_nothing_overlaps_is_a_negative_at_any_threshold():
    assert soft_weights(numpy.array([0.0, 0.5]), 0.0, 1.0).tolist() == [1.0, 0.5]


def test_stage_two_golden(golden):
    for case in golden("stage2_assign")["cases"]:
        pair = case["pair"] or [0, 0, ""]
        paired = PairedSpans(span_array([case["adjusted"]]), span_array([pair]), [pair[2]])
        targets = assign_labels(paired, case["alpha2"])
        assert (targets.labels[0] or "NONE") == case["label"], case
        assert targets.iou[0] == pytest.approx(case["iou"], abs=1e-12), case
        weight = soft_weights(targets.iou, case["alpha2"], case["eta"])
        assert weight[0] == pytest.approx(case["weight"], abs=1e-12), case


@pytest.mark.parametrize(("eta", "weight"), [(1.0, 0.1), (0.0, 1.0), (2.0, 0.01)])
def test_only_exact_matches_get_the_label(eta, weight):
    """At alpha 2 = 1 a strict > could never hold; off by one of ten is NONE, weighted down."""
    paired = with_pairs(span_array([(0, 10), (0, 9)]), numpy.array([0, 0]), GOLD)
    targets = assign_labels(paired, 1.0)
    assert targets.labels == ["ORG", ""]
    assert soft_weights(targets.iou, 1.0, eta).tolist() == pytest.approx([1.0, weight])


def test_a_negative_seed_that_hits_its_pair_gets_the_label():
    """Too far from its gold span for the first stage, but moved onto it."""
    targets = assign_seeds(span_array([(0, 5)]), GOLD.spans, 0.7)
    assert not targets.positive[0] and targets.pair[0] == 0
    moved = with_pairs(span_array([(0, 10)]), targets.pair, GOLD)
    assert assign_labels(moved, 1.0).labels == ["ORG"]


def test_candidates_of_any_origin():
    paired = pair_candidates(span_array([(0, 10), (1, 2), (10, 12)]), GOLD)
    assert paired.pair_spans.tolist() == [[0, 10], [0, 2], [0, 0]]
    assert paired.pair_labels == ["ORG", "GPE", ""]
    assert pair_candidates(span_array([]), GOLD).spans.shape == (0, 2)
    assert pair_candidates(span_array([(0, 1)]), GoldSpans(span_array([]), [])).pair_labels == [""]
