"""Length buckets: mostly real pieces on any mix of lengths, told from the encoder's own input."""

from itertools import pairwise
from typing import Any, Callable, Dict, List, Tuple

import numpy
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.training import Example

from spacy_hetner.encoders.batching import grouped_buckets, length_buckets
from spacy_hetner.encoders.spacy_adapter import torch_encoder


def density(lengths: numpy.ndarray, buckets: List[numpy.ndarray]) -> float:
    return lengths.sum() / sum(len(bucket) * lengths[bucket].max() for bucket in buckets)


def allowed(lengths: numpy.ndarray, bucket: numpy.ndarray, minimum: float, limit: int) -> bool:
    padded = len(bucket) * lengths[bucket].max()
    return bool(lengths[bucket].sum() >= minimum * padded and padded <= limit)


@given(
    st.lists(st.integers(1, 600), max_size=80),
    st.floats(0, 1) | st.sampled_from([0.9, 1.0]),
    st.integers(1, 4096),
)
@example([2**i for i in range(10)], 0.9, 4096)
@example([10, 8] * 40, 0.9, 4096)
def test_buckets_partition_the_sequences_and_are_dense(
    sizes: List[int], minimum: float, limit: int
) -> None:
    lengths = numpy.array(sizes, dtype="int64")
    buckets = length_buckets(lengths, minimum, limit)
    assert sorted(i for bucket in buckets for i in bucket) == list(range(len(sizes)))
    for bucket in buckets:
        assert len(bucket) == 1 or allowed(lengths, bucket, minimum, limit)
    for bucket, following in pairwise(buckets):
        assert lengths[bucket].min() >= lengths[following].max()
        # No bucket is closed before it has to be.
        assert not allowed(lengths, numpy.append(bucket, following[0]), minimum, limit)


@given(st.lists(st.integers(1, 512), min_size=1, max_size=200))
def test_nine_tenths_of_all_padded_pieces_are_real(sizes: List[int]) -> None:
    lengths = numpy.array(sizes, dtype="int64")
    padded = sum(
        len(bucket) * int(lengths[bucket].max()) for bucket in length_buckets(lengths, 0.9, 4096)
    )
    assert 10 * int(lengths.sum()) >= 9 * padded


def test_the_ends_of_the_range_of_density() -> None:
    lengths = numpy.array([5, 1, 5, 3, 1, 1])
    assert density(lengths, length_buckets(lengths, 1.0, 100)) == 1.0
    assert len(length_buckets(lengths, 1.0, 100)) == 3
    assert len(length_buckets(lengths, 0.0, 100)) == 1
    assert [len(bucket) for bucket in length_buckets(lengths, 0.0, 15)] == [3, 3]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), max_size=30), st.integers(1, 300))
def test_groups_that_fit_are_buckets(items: List[Tuple[int, int]], limit: int) -> None:
    """Whatever their density; the others are batched by length."""
    lengths, groups = numpy.array(items, dtype="int64").reshape(-1, 2).T
    buckets = grouped_buckets(lengths, groups, 0.9, limit)
    assert sorted(i for bucket in buckets for i in bucket) == list(range(len(items)))
    found = {tuple(sorted(bucket.tolist())) for bucket in buckets}
    rest = []
    for group in set(groups.tolist()):
        members = numpy.flatnonzero(groups == group)
        if len(members) * lengths[members].max() <= limit:
            assert tuple(members.tolist()) in found
        else:
            rest += members.tolist()
    expected = length_buckets(lengths[rest], 0.9, limit)
    plain = [bucket for bucket in buckets if bucket[0] in rest]
    assert [len(bucket) for bucket in plain] == [len(bucket) for bucket in expected]
    for bucket in buckets:
        assert (numpy.diff(lengths[bucket]) <= 0).all()


@pytest.mark.parametrize("minimum", [-0.1, 1.1, float("nan")])
def test_a_density_that_is_no_share_is_an_error(minimum: float) -> None:
    with pytest.raises(ValueError, match=r"\[HE002\] min_density"):
        length_buckets(numpy.array([1, 2]), minimum, 10)


def mixed_texts(n: int) -> List[str]:
    """Texts of 0 to 300 words, most of them short, in no order."""
    rng = numpy.random.default_rng(0)
    counts = [0, 1, 300, *(rng.pareto(1.0, n - 3) * 5).astype(int).clip(0, 300)]
    words = ["Oslo", "a", "lake", ",", "friends", "3.14"]
    return [" ".join(rng.choice(words, count)) for count in rng.permutation(counts)]


class InputMeter:
    """Counts what the transformer is really given."""

    def __init__(self, nlp: Language) -> None:
        self.module = torch_encoder(nlp.get_pipe("transformer").model)
        self.before = self.module.padding_use
        self.real = self.padded = 0
        assert self.module.transformer is not None
        self.module.transformer.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, transformer: torch.nn.Module, args: Any, kwargs: Dict[str, Any]) -> None:
        mask = kwargs["attention_mask"]
        size = kwargs["input_ids"].numel()
        self.padded += size
        self.real += size if mask is None else int(mask.sum())

    def check(self) -> None:
        assert self.real > 0
        assert self.module.padding_use.real - self.before.real == self.real
        assert self.module.padding_use.padded - self.before.padded == self.padded
        assert 10 * self.real >= 9 * self.padded


@pytest.mark.parametrize("max_batch_items", [64, 4096])
def test_a_stream_of_mixed_texts_is_encoded_without_waste(
    pipeline: Callable[..., Language], max_batch_items: int
) -> None:
    nlp = pipeline(max_batch_items=max_batch_items)
    meter = InputMeter(nlp)
    texts = mixed_texts(150)
    docs = list(nlp.pipe(texts))
    assert [doc.text for doc in docs] == texts
    assert all(doc.tensor.shape == (len(doc), 32) for doc in docs)
    meter.check()


def test_training_on_mixed_texts_is_without_waste(
    pipeline: Callable[..., Language], tagged_examples: Callable[..., List[Example]]
) -> None:
    nlp = pipeline(tagger=True)
    meter = InputMeter(nlp)
    losses = nlp.update(tagged_examples(nlp, mixed_texts(40)))
    assert losses["tagger"] > 0
    meter.check()


def test_a_lower_density_makes_larger_batches(pipeline: Callable[..., Language]) -> None:
    calls = []
    for minimum in (0.0, 0.9):
        nlp = pipeline(min_density=minimum)
        transformer = torch_encoder(nlp.get_pipe("transformer").model).transformer
        seen: List[int] = []
        transformer.register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        list(nlp.pipe(mixed_texts(50)))
        calls.append(len(seen))
    assert calls[0] < calls[1]
