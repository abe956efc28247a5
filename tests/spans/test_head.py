"""The two-layer head: equal to the paper's, without its memory."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spacy_hetner.classify.module import SpanClassifier
from spacy_hetner.locate.module import SpanProposer
from spacy_hetner.spans.head import SpanHead, outer_words
from spacy_hetner.spans.pooling import pool_for
from spacy_hetner.spans.seeds import enumerate_seeds

LENGTHS = [1, 2, 3, 4, 5, 7, 9, 11, 13, 15]


def all_spans(n):
    return torch.from_numpy(enumerate_seeds(n, range(1, n + 1)))


def whole_text(spans, n):
    return torch.tensor([[0, n]]).expand(len(spans), 2)


@pytest.mark.parametrize("training", [True, False])
def test_factored_layer_is_one_linear_over_the_concatenation(training):
    """Values and gradients of Linear(3d, h) over [pooled; left; right]."""
    torch.manual_seed(0)
    n, width = 9, 5
    head = SpanHead(width, 7, 2, dropout=0.0).double().train(training)
    plain = torch.nn.Linear(3 * width, 7).double()
    with torch.no_grad():
        weights = (head.pooled.weight, head.left.weight, head.right.weight)
        plain.weight.copy_(torch.cat(weights, dim=1))
        plain.bias.copy_(head.pooled.bias)
    rows = torch.randn(n, width, dtype=torch.float64, requires_grad=True)
    spans = all_spans(n)
    left, right = spans[:, 0], spans[:, 1] - 1
    scores = head(rows, pool_for(rows, spans), spans, left, right)
    pooled = torch.stack([rows[start:end].amax(0) for start, end in spans.tolist()])
    features = torch.cat((pooled, rows[left], rows[right]), dim=1)
    expected = head.output(torch.nn.functional.gelu(plain(features)))
    torch.testing.assert_close(scores, expected)
    upstream = torch.randn_like(scores)
    (gradient,) = torch.autograd.grad(scores, rows, upstream)
    (same,) = torch.autograd.grad(expected, rows, upstream)
    torch.testing.assert_close(gradient, same)


def test_dropout_is_drawn_for_each_span():
    """In training two equal spans differ, and prediction has no dropout."""
    torch.manual_seed(0)
    head = SpanHead(16, 16, 1, dropout=0.5)
    rows, spans = torch.randn(4, 16), torch.tensor([[0, 2], [0, 2]])

    def score():
        return head(rows, pool_for(rows, spans), spans, spans[:, 0], spans[:, 1] - 1)[:, 0]

    first, second = score()
    assert first != second
    head.eval()
    first, second = score()
    assert first == second
    assert torch.equal(score(), score())


def test_initial_scale_is_that_of_one_layer():
    """Three layers that add up start as one Linear(3d, h) would, not as three Linear(d, h)."""
    torch.manual_seed(0)
    head, plain = SpanHead(64, 64, 1, 0.0), torch.nn.Linear(192, 64)
    for layer in (head.pooled, head.left, head.right):
        assert layer.weight.std().item() == pytest.approx(plain.weight.std().item(), rel=0.05)


def test_outer_words():
    spans = torch.tensor([[0, 2], [1, 3], [3, 5], [4, 6], [0, 3]])
    bounds = torch.tensor([[0, 3], [0, 3], [3, 6], [3, 6], [0, 3]])
    left, right = outer_words(spans, bounds, 6, "sentinel")
    assert left.tolist() == [6, 0, 6, 3, 6]
    assert right.tolist() == [2, 7, 5, 7, 7]
    left, right = outer_words(spans, bounds, 6, "clamp")
    assert left.tolist() == [0, 0, 3, 3, 0]
    assert right.tolist() == [2, 2, 5, 5, 2]


class AllocationMeter(TorchDispatchMode):
    """Counts the bytes of the storages that torch operations make; views make none."""

    def __init__(self):
        super().__init__()
        self.total = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        known = {t.untyped_storage()._cdata for t in self._tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in self._tensors(result):
            if tensor.untyped_storage()._cdata not in known:
                size = tensor.untyped_storage().nbytes()
                self.total += size
                self.largest = max(self.largest, size)
        return result

    @staticmethod
    def _tensors(tree):
        return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def measure(run):
    with AllocationMeter() as meter:
        run()
    return meter


def proposer_training(n, width):
    proposer = SpanProposer(width, width, width, 0.5, "sentinel")
    spans = torch.from_numpy(enumerate_seeds(n, LENGTHS))
    tokens = torch.randn(n, width, requires_grad=True)

    def run():
        logits, offsets = proposer(tokens, spans, whole_text(spans, n))
        (logits.sum() + offsets.sum()).backward()

    return run


def proposer_prediction(n, width):
    proposer = SpanProposer(width, width, width, 0.5, "sentinel").eval()
    spans = torch.from_numpy(enumerate_seeds(n, LENGTHS))
    tokens, bounds = torch.randn(n, width), whole_text(spans, n)

    @torch.no_grad()
    def run():
        kept, _, _ = proposer.propose(tokens, spans, bounds, -float("inf"))
        assert len(kept) == len(spans)

    return run


def classifier_training(n, width):
    classifier = SpanClassifier(width, width, 4, 0.5)
    spans = torch.from_numpy(enumerate_seeds(n, LENGTHS))
    tokens = torch.randn(n, width, requires_grad=True)
    return lambda: classifier(tokens, spans, spans).sum().backward()


@pytest.mark.parametrize("setup", [proposer_training, proposer_prediction, classifier_training])
def test_memory_is_linear_in_the_text(setup):
    """No tensor of [spans, words, hidden]: nothing is larger than all spans' input vectors."""
    width = 32
    half, whole = measure(setup(256, width)), measure(setup(512, width))
    assert half.total > 256 * width * 4, "the meter sees the work"
    assert whole.total < 2.2 * half.total
    n_spans = len(enumerate_seeds(512, LENGTHS))
    assert whole.largest <= n_spans * width * 4


def test_filter_scores_in_chunks():
    """Chunks bound the memory of prediction and change no result."""
    torch.manual_seed(0)
    tokens = torch.randn(40, 8)
    spans = torch.from_numpy(enumerate_seeds(40, LENGTHS))
    bounds = whole_text(spans, 40)
    proposer = SpanProposer(8, 8, 8, 0.0, "sentinel").eval()
    with torch.no_grad():
        whole = proposer.propose(tokens, spans, bounds, 0.0)
        proposer.chunk = 7
        pieces = proposer.propose(tokens, spans, bounds, 0.0)
        largest = measure(lambda: proposer._filter(tokens, pool_for(tokens, spans), spans)).largest
        chunked = measure(lambda: proposer.propose(tokens, spans, bounds, float("inf"))).largest
    assert 0 < len(whole[0]) < len(spans)
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other)
    assert chunked < largest
