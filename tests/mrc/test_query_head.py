"""The heads: starts, ends, and which pairs of them are judged."""

from typing import Any, List, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn.functional import gelu

from spacy_hetner.mrc.module import BoundaryHead, yes_probabilities

WIDTH = 4


def spelling_head(**settings: Any) -> BoundaryHead:
    """A head that reads off its input how sure it is of a start (0) and an end (1)."""
    head = BoundaryHead(WIDTH, **settings).eval()
    for number, part in enumerate((head.start, head.end)):
        part.weight.data.zero_()
        part.bias.data.zero_()
        part.weight.data[1, number] = 1.0
    return head


def tokens_of(starts: Sequence[float], ends: Sequence[float]) -> Tensor:
    tokens = torch.zeros(len(starts), WIDTH)
    tokens[:, 0], tokens[:, 1] = torch.tensor(starts), torch.tensor(ends)
    return tokens


def judged(
    head: BoundaryHead, tokens: Tensor, groups: List[int], **more: Any
) -> List[Tuple[int, int]]:
    with torch.no_grad():
        logits = head(tokens, torch.tensor(groups), **more)
    assert logits.match.shape == (len(logits.pairs),)
    return [tuple(pair) for pair in logits.pairs.tolist()]


def test_without_a_match_head() -> None:
    """What pre-training teaches: two linear layers, by these names."""
    head = BoundaryHead(WIDTH)
    assert {name for name, _ in head.named_parameters()} == {
        f"{side}.{part}" for side in ("start", "end") for part in ("weight", "bias")
    }
    logits = head(torch.randn(3, WIDTH))
    assert logits.start.shape == logits.end.shape == (3, 2)
    assert logits.pairs.shape == (0, 2) and logits.match.shape == (0,)


def test_probabilities() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    expected = torch.tensor([0.5, torch.sigmoid(torch.tensor(2.0)).item()])
    torch.testing.assert_close(torch.from_numpy(yes_probabilities(logits)), expected)


def test_all_pairs_of_predicted_ends_are_judged_within_groups() -> None:
    head = spelling_head(match_width=3)
    tokens = tokens_of([1, -1, 1, 1, 1], [-1, 1, 1, -1, 1])
    assert judged(head, tokens, [0] * 5) == [(0, 1), (0, 2), (0, 4), (2, 2), (2, 4), (3, 4), (4, 4)]
    assert judged(head, tokens, [0, 0, 0, 1, 1]) == [(0, 1), (0, 2), (2, 2), (3, 4), (4, 4)]
    assert judged(head, tokens, [0, 1, 2, 3, 4]) == [(2, 2), (4, 4)]
    assert judged(head, -torch.ones(3, WIDTH), [0] * 3) == []


def test_the_threshold_decides_what_is_judged() -> None:
    head = spelling_head(match_width=3)
    tokens = tokens_of([-1.0, 0.5], [-1.0, 0.5])
    assert judged(head, tokens, [0, 0]) == [(1, 1)]
    assert judged(head, tokens, [0, 0], threshold=0.1) == [(0, 0), (0, 1), (1, 1)]
    assert judged(head, tokens, [0, 0], threshold=0.9) == []


def test_gold_ends_are_judged_with_all_others_in_training() -> None:
    """Gold pairs always; of the others only the surest."""
    tokens = tokens_of([-1, 2, -1, 3], [-1, -1, 2, 3])
    gold = torch.tensor([[0, 2]])
    head = spelling_head(match_width=3)
    everything = [(0, 2), (0, 3), (1, 2), (1, 3), (3, 3)]
    assert judged(head, tokens, [0] * 4, gold=gold) == everything
    few = spelling_head(match_width=3, match_candidates=2).train()
    assert judged(few, tokens, [0] * 4, gold=gold) == [(0, 2), (1, 3), (3, 3)]
    assert judged(few.eval(), tokens, [0] * 4, gold=gold) == everything


def test_the_match_head_is_a_network_over_both_ends() -> None:
    """The definition: an MLP over [first; last]."""
    head = spelling_head(match_width=6)
    match: Any = head.match
    tokens = torch.randn(7, WIDTH)
    with torch.no_grad():
        logits = head(tokens, torch.zeros(7, dtype=torch.int64), torch.tensor([[1, 5], [3, 3]]))
        both = torch.cat((tokens[logits.pairs[:, 0]], tokens[logits.pairs[:, 1]]), dim=1)
        weight = torch.cat((match.first.weight, match.last.weight), dim=1)
        expected = match.output(gelu(both @ weight.T + match.first.bias)).squeeze(1)
    torch.testing.assert_close(logits.match, expected)


def test_settings_rebuild_a_head() -> None:
    head = BoundaryHead(WIDTH, match_width=3, dropout=0.2, match_candidates=7)
    again = BoundaryHead(**head.settings)
    again.load_state_dict(head.state_dict())
    assert again.settings == head.settings
