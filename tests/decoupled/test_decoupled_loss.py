"""The loss of the decoupled scorer."""

from typing import Any, Callable

import pytest
import torch

from spacy_hetner.decoupled.loss import decoupled_loss


def test_golden_loss(golden: Callable[[str], Any]) -> None:
    cases = golden("decoupled")["loss"]["cases"]
    assert {case["alpha"] for case in cases} == {0.0, 0.5, 1.0}
    for case in cases:
        logits = [
            torch.tensor([case[f"{part}_logits"]], dtype=torch.float64)
            for part in ("global", "mention", "context")
        ]
        labels = torch.tensor([case["label"]])
        alpha, beta = case["alpha"], case["beta"]
        (found,) = decoupled_loss(*logits, labels, alpha=alpha, beta=beta)
        assert found.item() == pytest.approx(case["L"], rel=1e-12)
        (alone,) = decoupled_loss(*logits, labels, alpha=0, beta=0)
        assert alone.item() == pytest.approx(case["L_g"], rel=1e-12)


def test_each_region_has_its_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(4, 3, generator=generator) for _ in range(3)]
    labels = torch.tensor([0, 2, 1, 0])
    found = decoupled_loss(*logits, labels, alpha=0.3, beta=0.8)
    assert found.shape == (4,)
    for i in range(4):
        row = [part[i : i + 1] for part in logits]
        one = decoupled_loss(*row, labels[i : i + 1], alpha=0.3, beta=0.8)
        torch.testing.assert_close(found[i : i + 1], one)
