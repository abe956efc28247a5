"""One vector a row, whatever it is batched with; vectors kept; the three classifiers."""

from pathlib import Path
from typing import Any, Callable, List, Sequence

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.decoupled.module import DecoupledHead, PieceRows, RowEncoder, VectorCache
from spacy_hetner.encoders.hugging_face import load_encoder


@pytest.fixture
def encoder_module(encoder: Path) -> Callable[..., RowEncoder]:
    def make(**settings: Any) -> RowEncoder:
        defaults = {
            "cache_size": 100,
            "precision": "fp32",
            "min_density": 0.9,
            "max_batch_pieces": 4096,
        }
        module = RowEncoder(**{**defaults, **settings})
        module.tokenizer, module.transformer = load_encoder(encoder)
        return module.eval()

    return make


def random_rows(lengths: Sequence[int], lasting: bool = False) -> PieceRows:
    rng = numpy.random.default_rng(0)
    rows = [rng.integers(10, 150, length) for length in lengths]
    return PieceRows(rows, numpy.array([rng.integers(length) for length in lengths]), lasting)


def one_by_one(module: RowEncoder, batch: PieceRows) -> torch.Tensor:
    """By the definition: a row alone, and its vector at its place."""
    assert module.transformer is not None
    states = [module.transformer(torch.from_numpy(row)[None]) for row in batch.rows]
    return torch.stack(
        [s.last_hidden_state[0, i] for s, i in zip(states, batch.places.tolist(), strict=True)]
    )


@pytest.mark.parametrize("settings", [{}, {"min_density": 0.1}, {"max_batch_pieces": 1}])
def test_vectors_and_gradients_equal_each_row_alone(
    encoder_module: Callable[..., RowEncoder], settings: Any
) -> None:
    batch = random_rows([5, 9, 5, 2, 30, 9, 1])
    module, plain = encoder_module(**settings), encoder_module()
    found, expected = module(batch), one_by_one(plain, batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    real, padded = module.padding_use
    assert real == sum(map(len, batch.rows)) >= module.min_density * padded
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    for (name, own), (_, other) in zip(
        module.named_parameters(), plain.named_parameters(), strict=True
    ):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_golden_single_mask_is_a_row_of_the_states(golden: Callable[[str], Any]) -> None:
    """In unified training nothing is averaged: the vector is that at the mask."""
    case = golden("decoupled")["context_pooling"]
    states = torch.tensor(case["H"], dtype=torch.float64)
    module = RowEncoder(cache_size=0, precision="fp32", min_density=0.9, max_batch_pieces=100)
    module.encode = lambda rows: iter([(numpy.array([0]), states[None])])  # type: ignore[assignment]
    place = numpy.array([case["unified_single_mask_position"]])
    (found,) = module(PieceRows([numpy.arange(len(states))], place)).tolist()
    assert found == case["unified"]
    assert found != case["pretrain_avg"]


def test_no_rows(encoder_module: Callable[..., RowEncoder]) -> None:
    module = encoder_module()
    for lasting in (False, True):
        assert module(PieceRows([], numpy.zeros(0, "int64"), lasting)).shape == (0, 32)


# Vectors that are kept


def test_only_lasting_rows_are_kept_and_only_in_prediction(
    encoder_module: Callable[..., RowEncoder],
) -> None:
    module = encoder_module()
    batch = random_rows([4, 6, 3])
    module(batch)
    module.train()
    module(batch._replace(lasting=True))
    assert len(module.cache) == module.cache.asked == 0
    module.eval()
    first = module(batch._replace(lasting=True))
    work = module.padding_use
    again = module(PieceRows(batch.rows[::-1], batch.places[::-1], True))
    assert module.padding_use == work, "nothing was encoded"
    assert (module.cache.asked, module.cache.hits, len(module.cache)) == (6, 3, 3)
    assert torch.equal(again, first.flip(0))


def test_another_place_in_the_same_row_is_another_vector(
    encoder_module: Callable[..., RowEncoder],
) -> None:
    module, row = encoder_module(), random_rows([4]).rows[0]
    one, other = (module(PieceRows([row], numpy.array([i]), True)) for i in (1, 2))
    assert module.cache.hits == 0 and not torch.equal(one, other)


def test_a_new_revision_forgets(encoder_module: Callable[..., RowEncoder]) -> None:
    module, batch = encoder_module(), random_rows([4, 6], lasting=True)
    before = module(batch)
    with torch.no_grad():
        next(module.parameters()).mul_(2)
    module.revision += 1
    assert not torch.equal(module(batch), before)
    assert module.cache.hits == 0 and len(module.cache) == 2


class Spy:
    """Stands for an encoder: the vector of a row is its first number and revision."""

    def __init__(self) -> None:
        self.revision = 0
        self.asked: List[List[int]] = []

    def __call__(self, batch: PieceRows) -> torch.Tensor:
        self.asked.append([int(row[0]) for row in batch.rows])
        return torch.tensor([[row[0], self.revision] for row in batch.rows])

    def fetch(self, cache: VectorCache, numbers: Sequence[int]) -> List[List[int]]:
        rows = [numpy.array([number]) for number in numbers]
        batch = PieceRows(rows, numpy.zeros(len(rows), "int64"), True)
        return cache.fetch(batch, self, self.revision).tolist()


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    spy, cache = Spy(), VectorCache(3)
    for numbers in ([1, 2, 3], [1], [4, 5], [1, 2], [2, 3, 4, 5], [9, 8, 7, 6], [6, 9]):
        assert spy.fetch(cache, numbers) == [[number, 0] for number in numbers]
        assert len(cache) <= 3
    # [1] finds 1; [4, 5] put out 2 and 3; of [1, 2] only 2 is new, and puts out 4; of the four
    # after that 2 and 5 are known; of four new ones the last three are kept.
    assert spy.asked == [[1, 2, 3], [4, 5], [2], [3, 4], [9, 8, 7, 6], [9]]
    assert (cache.asked, cache.hits) == (18, 5)


@given(
    size=st.integers(0, 4),
    batches=st.lists(
        st.one_of(st.none(), st.lists(st.integers(0, 6), unique=True, min_size=1)), max_size=12
    ),
)
def test_a_cache_is_never_wrong_nor_too_large(size: int, batches: List[Any]) -> None:
    """None stands for new weights."""
    spy, cache = Spy(), VectorCache(size)
    for numbers in batches:
        if numbers is None:
            spy.revision += 1
        else:
            assert spy.fetch(cache, numbers) == [[n, spy.revision] for n in numbers]
            assert len(cache) <= size
    assert cache.hits == cache.asked - sum(map(len, spy.asked))


# Classifiers


def test_golden_global_classifier(golden: Callable[[str], Any]) -> None:
    case = golden("decoupled")["global_classifier"]
    head = DecoupledHead(4, 4, n_labels=4, dropout=0.5).double().eval()
    with torch.no_grad():
        head.both.weight.copy_(torch.tensor(case["W_g"]))
        head.both.bias.copy_(torch.tensor(case["b_g"]))
        parts = (torch.tensor([case[name]], dtype=torch.float64) for name in ("h_m", "h_c"))
        (found,) = head(*parts).both.tolist()
    assert found == pytest.approx(case["logits"], rel=1e-6)


def test_each_partial_classifier_sees_its_part_alone() -> None:
    torch.manual_seed(0)
    head = DecoupledHead(6, 3, n_labels=2, dropout=0.0)
    mentions, contexts = torch.randn(5, 6), torch.randn(5, 3)
    found = head(mentions, contexts)
    assert [part.shape for part in found] == [(5, 3)] * 3
    other = head(mentions, contexts + 1)
    assert torch.equal(found.mention, other.mention)
    assert not torch.equal(found.context, other.context)
    assert not torch.equal(found.both, other.both)
    other = head(mentions + 1, contexts)
    assert torch.equal(found.context, other.context)
    assert not torch.equal(found.mention, other.mention)
