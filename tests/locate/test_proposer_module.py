"""Which words the filter and the regressor see."""

import pytest
import torch

from spacy_hetner.locate.module import SpanProposer

WIDTH = 6


@pytest.fixture(params=["sentinel", "clamp"])
def proposer(request):
    torch.manual_seed(0)
    module = SpanProposer(WIDTH, 8, 4, 0.5, request.param).eval()
    torch.nn.init.normal_(module.sentinels)
    return module


def words_that_matter(proposer, n, span, bounds):
    """Tokens whose vectors change the filter's and the regressor's outputs, and the sentinels."""
    tokens = torch.randn(n, WIDTH, requires_grad=True)
    logits, offsets = proposer(tokens, torch.tensor([span]), torch.tensor([bounds]))

    def seen(output):
        grads = torch.autograd.grad(
            output.sum(), [tokens, proposer.sentinels], retain_graph=True, allow_unused=True
        )
        by_token, by_sentinel = (
            set() if g is None else set(g.abs().sum(1).nonzero().flatten().tolist()) for g in grads
        )
        return by_token, by_sentinel

    return seen(logits), seen(offsets)


def test_regressor_sees_the_outer_words(proposer):
    """The filter sees the span alone, the regressor also the two words around it, nothing else."""
    (of_filter, _), (of_regressor, sentinels) = words_that_matter(proposer, 10, [3, 6], [0, 10])
    assert of_filter <= {3, 4, 5} and {3, 5} <= of_filter
    assert of_regressor <= {2, 3, 4, 5, 6} and {2, 6} <= of_regressor
    assert not sentinels


@pytest.mark.parametrize(
    ("span", "bounds"),
    [
        ([0, 10], [0, 10]),  # the whole text: no wrap-around to the other end
        ([0, 3], [0, 10]),
        ([7, 10], [0, 10]),
        ([3, 6], [3, 6]),  # a sentence, or a doc, in the middle of a batch
        ([3, 5], [3, 6]),
        ([4, 6], [3, 6]),
    ],
)
def test_no_word_of_a_neighbour_is_seen(proposer, span, bounds):
    """At a sentence end stands the sentinel or the span's own last word."""
    (of_filter, _), (of_regressor, sentinels) = words_that_matter(proposer, 10, span, bounds)
    start, end = span
    assert of_filter <= set(range(start, end))
    outside = {start - 1, end} & set(range(*bounds))
    assert of_regressor <= set(range(start, end)) | outside
    assert outside <= of_regressor
    at_ends = {i for i, touches in enumerate([start == bounds[0], end == bounds[1]]) if touches}
    if proposer.outer_boundary == "sentinel":
        assert sentinels == at_ends
    else:
        assert not sentinels
        assert {start, end - 1} <= of_regressor


def test_clamp_is_the_own_last_word():
    torch.manual_seed(0)
    proposer = SpanProposer(WIDTH, 8, 4, 0.0, "clamp").eval()
    tokens = torch.randn(4, WIDTH)
    _, clamped = proposer(tokens, torch.tensor([[0, 4]]), torch.tensor([[0, 4]]))
    padded = torch.cat((tokens[:1], tokens, tokens[-1:]))
    _, spelled_out = proposer(padded, torch.tensor([[1, 5]]), torch.tensor([[0, 6]]))
    torch.testing.assert_close(clamped, spelled_out)


def test_propose_is_forward_on_what_the_filter_keeps(proposer):
    tokens = torch.randn(8, WIDTH)
    spans = torch.tensor([(i, j) for i in range(8) for j in range(i + 1, 9)])
    bounds = torch.tensor([[0, 8]]).expand(len(spans), 2)
    with torch.no_grad():
        logits, offsets = proposer(tokens, spans, bounds)
        threshold = logits.median().item()
        kept, kept_logits, kept_offsets = proposer.propose(tokens, spans, bounds, threshold)
    assert kept.tolist() == (logits >= threshold).nonzero().flatten().tolist()
    assert 0 < len(kept) < len(spans)
    torch.testing.assert_close(kept_logits, logits[kept])
    torch.testing.assert_close(kept_offsets, offsets[kept])
