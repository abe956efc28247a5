"""The losses: sums over the tokens of the text, golden numbers, labels that are not known."""

from typing import Any, Callable

import numpy
import pytest
import torch
from mrc.cases import pieces_of

from spacy_hetner.mrc.loss import UNSAID, boundary_loss, match_loss
from spacy_hetner.mrc.module import Pair, PairBatch, PairEncoder


def test_golden_loss(golden: Callable[[str], Any]) -> None:
    """A mean over the n tokens of the text; the published code's has query and padding in it."""
    case = golden("mrc_matching")["loss"]
    context = torch.tensor(case["context_mask"]).bool()
    losses = {}
    for side in ("start", "end"):
        logits = torch.tensor(case[f"{side}_logits"], dtype=torch.float64)[context]
        labels = torch.tensor(case[f"{side}_labels"])[context]
        losses[side] = (boundary_loss(logits, labels) / context.sum()).item()
    assert losses["start"] == pytest.approx(case["L_start"], rel=1e-9)
    assert losses["end"] == pytest.approx(case["L_end"], rel=1e-9)
    assert sum(losses.values()) == pytest.approx(case["L_mrc"], rel=1e-9)
    assert case["L_mrc"] != pytest.approx(case["reference_unmasked_L_mrc"], rel=1e-3)


def test_no_answers_are_learned_too() -> None:
    """y log P with y in {0, 1} would drop all negatives."""
    logits = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    none, yes = torch.tensor([0, 0]), torch.tensor([1, 0])
    assert boundary_loss(logits, none) > boundary_loss(logits, yes) > 0


def test_what_is_not_known_has_no_loss() -> None:
    logits = torch.randn(3, 2)
    known = boundary_loss(logits[:2], torch.tensor([0, 1]))
    assert boundary_loss(logits, torch.tensor([0, 1, UNSAID])) == pytest.approx(known.item())


def test_match_loss_is_a_sum() -> None:
    logits = torch.tensor([2.0, -1.0])
    expected = -torch.log(torch.sigmoid(torch.tensor([2.0, 1.0]))).sum()
    assert match_loss(logits, torch.tensor([1, 0])) == pytest.approx(expected.item())
    assert match_loss(torch.zeros(0), torch.zeros(0)) == 0.0


def encode(encoder: PairEncoder, pairs: Any) -> torch.Tensor:
    numbers = numpy.arange(len(pairs))
    with torch.no_grad():
        return encoder(PairBatch(pairs, numbers, numbers, numpy.zeros((0, 2), dtype="int64"), 0.5))


def test_padding_and_other_pairs_count_for_nothing(make_encoder: Callable[..., Any]) -> None:
    """Nor does the order of pairs; vectors are of the text's own tokens alone."""
    encoder = make_encoder(min_density=0.0)
    lengths = (3, 9, 1, 30)
    query = numpy.array([2, 50, 51, 3])
    pairs = []
    for n in lengths:
        ids = numpy.concatenate((query, pieces_of(n, 60).ids, [3]))
        pairs.append(Pair(ids, 4, numpy.arange(n), numpy.arange(4, 4 + n)))
    together = encode(encoder, pairs)
    assert together.shape == (sum(lengths), 32)
    alone = torch.cat([encode(encoder, [pair]) for pair in pairs])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    backwards = encode(encoder, pairs[::-1]).split(lengths[::-1])
    torch.testing.assert_close(torch.cat(backwards[::-1]), alone, rtol=0, atol=1e-5)


def test_query_and_text_are_told_apart_by_their_types(make_encoder: Callable[..., Any]) -> None:
    """As Hugging Face's BERT does with the types of the tokenizer; not where there are none."""
    encoder = make_encoder()
    ids = numpy.array([2, 50, 51, 3, 60, 61, 3])
    vectors = [
        encode(encoder, [Pair(ids, begin, numpy.arange(2), numpy.array([4, 5]))])
        for begin in (4, len(ids))
    ]
    plain = [
        encoder.transformer(
            input_ids=torch.tensor(ids)[None], token_type_ids=torch.tensor(types)[None]
        ).last_hidden_state[0, 4:6]
        for types in ([0] * 4 + [1] * 3, [0] * 7)
    ]
    for found, expected in zip(vectors, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)
    encoder.transformer.config.type_vocab_size = 1
    torch.testing.assert_close(
        encode(encoder, [Pair(ids, 4, numpy.arange(2), numpy.array([4, 5]))]), vectors[1]
    )
