"""The chain against sums over all tag sequences, golden numbers, and what must never happen."""

from itertools import pairwise, product

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchcrf import CRF

from spacy_hetner.labels.tagset import TagSet
from spacy_hetner.sequences.chain import (
    Chain,
    Marginals,
    Packing,
    best_tags,
    log_partition,
    negative_log_likelihood,
    score_tags,
)

N_TAGS = 3


def random_chain(n_tokens, layers=1, n_tags=N_TAGS, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Chain(
        normal(layers, n_tokens, n_tags),
        normal(layers, n_tags),
        normal(layers, n_tags, n_tags),
        normal(layers, n_tags),
    )


def masked(chain, tag_set):
    """With what the scheme forbids."""
    return Chain(
        chain.emissions,
        *(
            part.masked_fill(~torch.from_numpy(mask), -torch.inf)
            for part, mask in zip(chain[1:], tag_set.legal(), strict=True)
        ),
    )


def packed(chain, packing):
    return chain._replace(emissions=chain.emissions[:, packing.order])


def path_score(chain, layer, tokens, path):
    """Of one sentence, the sum written out."""
    score = chain.start[layer, path[0]] + chain.end[layer, path[-1]]
    score = score + sum(chain.emissions[layer, t, y] for t, y in zip(tokens, path, strict=True))
    return score + sum(chain.transitions[layer, a, b] for a, b in pairwise(path))


def all_paths(chain, layer, tokens):
    """Every tag sequence of a sentence and its score."""
    paths = list(product(range(chain.start.shape[1]), repeat=len(tokens)))
    return paths, torch.stack([path_score(chain, layer, tokens, path) for path in paths])


def sentences_of(lengths):
    ends = numpy.cumsum(lengths)
    return [range(end - n, end) for end, n in zip(ends, lengths, strict=True)]


LENGTHS = [[1], [4], [2, 4, 1, 4, 3], [3, 1, 1]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_packing_orders_tokens_by_time(lengths):
    packing = Packing(lengths)
    sentences = sentences_of(lengths)
    assert sorted(packing.order.tolist()) == list(range(sum(lengths)))
    assert packing.order[packing.rows].tolist() == list(range(sum(lengths)))
    for number, tokens in enumerate(sentences):
        rows = packing.rows[list(tokens)]
        assert packing.sentence[rows].tolist() == [number] * len(tokens)
        assert (packing.first[number], packing.last[number]) == (rows[0], rows[-1])
        for row, preceding in zip(rows[1:], rows, strict=False):
            assert packing.previous[row - packing.sizes[0]] == preceding
    assert packing.sizes == [sum(n > t for n in lengths) for t in range(max(lengths))]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_partition_marginals_and_best_tags_are_those_of_all_sequences(lengths):
    """For two layers at once, each with transitions of its own."""
    packing, chain = Packing(lengths), random_chain(sum(lengths), layers=2)
    log_z = log_partition(packed(chain, packing), packing)
    best = best_tags(packed(chain, packing), packing)[:, packing.rows]
    marginals = Marginals(packed(chain, packing), packing).probabilities[:, packing.rows]
    for layer in range(2):
        for number, tokens in enumerate(sentences_of(lengths)):
            paths, scores = all_paths(chain, layer, tokens)
            torch.testing.assert_close(log_z[layer, number], scores.logsumexp(0))
            assert best[layer, list(tokens)].tolist() == list(paths[scores.argmax()])
            for place, token in enumerate(tokens):
                expected = torch.zeros(N_TAGS, dtype=torch.float64)
                for path, p in zip(paths, scores.softmax(0), strict=True):
                    expected[path[place]] += p
                torch.testing.assert_close(marginals[layer, token], expected)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients_are_those_of_the_written_out_likelihood(lengths):
    packing = Packing(lengths)
    chain = Chain(*(part.requires_grad_() for part in random_chain(sum(lengths), layers=2)))
    tags = torch.randint(N_TAGS, (2, sum(lengths)), generator=torch.Generator().manual_seed(1))
    losses = negative_log_likelihood(packed(chain, packing), tags[:, packing.order], packing)
    weights = torch.arange(1.0, losses.numel() + 1).view_as(losses)
    found = torch.autograd.grad((weights * losses).sum(), chain)
    total = torch.zeros((), dtype=torch.float64)
    for layer in range(2):
        for number, tokens in enumerate(sentences_of(lengths)):
            _, scores = all_paths(chain, layer, tokens)
            gold = path_score(chain, layer, tokens, tags[layer, list(tokens)].tolist())
            torch.testing.assert_close(losses[layer, number], scores.logsumexp(0) - gold)
            total = total + weights[layer, number] * (scores.logsumexp(0) - gold)
    # Sentences of one token use no transition.
    total = total + 0 * chain.transitions.sum()
    expected = torch.autograd.grad(total, chain)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_golden(golden):
    case = golden("crf")
    chain = Chain(
        *(
            torch.tensor([case[name]], dtype=torch.float64)
            for name in ("emissions", "start", "transitions_from_to", "end")
        )
    )
    packing = Packing([len(case["emissions"])])
    assert log_partition(chain, packing).item() == pytest.approx(case["logZ"], abs=1e-9)
    best = best_tags(chain, packing)
    assert best.tolist() == [case["best_path"]]
    assert score_tags(chain, best, packing).item() == pytest.approx(case["best_score"], abs=1e-9)
    for given_path in case["nll_of_path"]:
        nll = negative_log_likelihood(chain, torch.tensor([given_path["path"]]), packing)
        assert nll.item() == pytest.approx(given_path["nll"], abs=1e-9)


@pytest.mark.parametrize("scheme", ["BIO", "BMES"])
@pytest.mark.parametrize("lengths", [[1], [4, 2], [5]])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_span_probability_is_the_sum_over_sequences_that_say_the_span(scheme, lengths, scale):
    """That say just this span: one that goes on is another."""
    tag_set = TagSet(["X", "Y"], scheme)
    chain = masked(random_chain(sum(lengths), n_tags=len(tag_set), seed=2, scale=scale), tag_set)
    packing = Packing(lengths)
    tags = best_tags(packed(chain, packing), packing)[:, packing.rows]
    marginals = Marginals(packed(chain, packing), packing)
    n_spans = 0
    for tokens in sentences_of(lengths):
        paths, scores = all_paths(chain, 0, tokens)
        said = [tag_set.decode(path) for path in paths]
        for span in tag_set.decode(tags[0, list(tokens)].tolist()):
            n_spans += 1
            expected = sum(
                p.item()
                for p, spans in zip(scores.softmax(0), said, strict=True)
                if p > 0 and span in spans
            )
            place = torch.tensor([[span.start + tokens[0], span.end + tokens[0]]])
            continuations = torch.from_numpy(tag_set.continuations())
            (found,) = marginals.span_probabilities(tags, place, torch.tensor([0]), continuations)
            assert found.item() == pytest.approx(expected, abs=1e-9)
    assert n_spans


@pytest.mark.parametrize("scheme", ["BIO", "BMES", "BIOES"])
def test_nothing_illegal_is_ever_decoded(scheme):
    """1,000 sentences of random scores: each is well formed, and no likelihood is above one."""
    tag_set = TagSet(["A", "B", "C"], scheme)
    lengths = numpy.random.default_rng(0).integers(1, 12, 1000)
    packing = Packing(lengths)
    chain = random_chain(lengths.sum(), n_tags=len(tag_set), seed=3, scale=4.0)
    chain = packed(masked(chain, tag_set), packing)
    best = best_tags(chain, packing)[:, packing.rows]
    faulty = 0
    for tokens in sentences_of(lengths):
        tags = best[0, list(tokens)].tolist()
        assert tag_set.decode(tags, "strict") == tag_set.decode(tags, "conlleval")
        faulty += len(tag_set.decode(tags)) > 0
    assert faulty > 900
    nll = negative_log_likelihood(chain, best[:, packing.order], packing)
    assert (nll >= -1e-9).all() and torch.isfinite(nll).all()


@pytest.mark.parametrize("scheme", [None, "BIO", "BMES"])
@pytest.mark.parametrize("scale", [10.0, 300.0, 2000.0])
def test_scores_far_apart_neither_overflow_nor_vanish(scheme, scale):
    """Where exp(score) is neither a number nor above 0, and the likely tags are forbidden."""
    lengths = [3, 1]
    packing, tag_set = Packing(lengths), TagSet(["X"], scheme or "BIO")
    for seed in range(30):
        chain = random_chain(sum(lengths), n_tags=len(tag_set), seed=seed, scale=scale)
        if scheme:
            chain = masked(chain, tag_set)
        parts = [part.requires_grad_() for part in chain]
        log_z = log_partition(packed(chain, packing), packing)
        marginals = Marginals(packed(chain, packing), packing).probabilities[0, packing.rows]
        expected = torch.stack(
            [all_paths(chain, 0, tokens)[1].logsumexp(0) for tokens in sentences_of(lengths)]
        )
        torch.testing.assert_close(log_z[0], expected)
        found, wanted = (torch.autograd.grad(z.sum(), parts) for z in (log_z, expected))
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(marginals, wanted[0][0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("offset", [-5000.0, 5000.0])
def test_large_scores_that_lie_close_together(offset):
    """What all sequences have in common changes neither gradients nor marginals."""
    packing, chain = Packing([4, 2]), random_chain(6)
    moved = Chain(*(part + offset for part in chain))
    found, expected = [], []
    for given_chain, results in ((moved, found), (chain, expected)):
        parts = [part.requires_grad_() for part in given_chain]
        log_z = log_partition(packed(given_chain, packing), packing)
        results += [log_z.detach(), *torch.autograd.grad(log_z.sum(), parts)]
    # One score a token, one before, after and between tokens.
    torch.testing.assert_close(found[0], expected[0] + offset * torch.tensor([[9.0, 5.0]]))
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_was_decoded_is_scored_of_each_layer():
    """Two layers with scores of their own, whose spans are asked for at once."""
    tag_set, lengths = TagSet(["X"], "BMES"), [3, 2]
    chain = masked(random_chain(5, layers=2, n_tags=len(tag_set), seed=7), tag_set)
    packing, continuations = Packing(lengths), torch.from_numpy(tag_set.continuations())
    numbers = {tag: number for number, tag in enumerate(tag_set.tags)}
    tags = torch.tensor([[numbers[f"{p}-X"] for p in path] for path in ("BESBE", "SBESS")])
    spans = torch.tensor([[0, 2], [2, 3], [3, 5], [0, 1], [1, 3], [4, 5]])
    layers = torch.tensor([0, 0, 0, 1, 1, 1])
    marginals = Marginals(packed(chain, packing), packing)
    found = marginals.span_probabilities(tags, spans, layers, continuations)
    for (start, end), layer, p in zip(spans.tolist(), layers.tolist(), found, strict=True):
        tokens = next(tokens for tokens in sentences_of(lengths) if start in tokens)
        paths, scores = all_paths(chain, layer, tokens)
        place = slice(start - tokens[0], end - tokens[0])
        wanted = tuple(tags[layer, start:end].tolist())
        same = torch.tensor([path[place] == wanted for path in paths])
        torch.testing.assert_close(p, scores.softmax(0)[same].sum())


def test_without_transitions_it_is_a_softmax():
    packing, n = Packing([3, 1]), 4
    emissions = random_chain(n).emissions
    nothing = torch.zeros(1, N_TAGS, dtype=torch.float64)
    chain = Chain(emissions, nothing, nothing[:, :, None] * nothing[:, None], nothing)
    tags = torch.tensor([[0, 2, 1, 1]])
    nll = negative_log_likelihood(packed(chain, packing), tags[:, packing.order], packing)
    expected = torch.nn.functional.cross_entropy(emissions[0], tags[0], reduction="sum")
    torch.testing.assert_close(nll.sum(), expected)
    best = best_tags(packed(chain, packing), packing)[:, packing.rows]
    assert best.tolist() == emissions.argmax(2).tolist()


def test_pytorch_crf_says_the_same():
    """Loss, its gradients and the best tags, of sentences of many lengths."""
    torch.manual_seed(0)
    lengths = numpy.random.default_rng(0).integers(1, 40, 32)
    longest, n_tags = lengths.max(), 9
    crf = CRF(n_tags, batch_first=True)
    real = torch.arange(longest) < torch.from_numpy(lengths)[:, None]
    padded = torch.randn(len(lengths), longest, n_tags, requires_grad=True)
    tags = torch.randint(n_tags, (len(lengths), longest))
    theirs = -crf(padded, tags, mask=real, reduction="none")
    packing = Packing(lengths)
    parts = (padded[real], crf.start_transitions, crf.transitions, crf.end_transitions)
    chain = packed(Chain(*(part[None] for part in parts)), packing)
    ours = negative_log_likelihood(chain, tags[real][None][:, packing.order], packing)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    wanted = [padded, *crf.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours.sum(), wanted),
        torch.autograd.grad(theirs.sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    best = best_tags(chain, packing)[0, packing.rows].tolist()
    assert best == [tag for sentence in crf.decode(padded, mask=real) for tag in sentence]
