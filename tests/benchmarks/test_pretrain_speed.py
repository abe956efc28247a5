"""The speed of the trainer: both loops compute the same, and that is checked."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_loops_compute_the_same(
    pretraining_speed: ModuleType, typed_work: Path, tiny_encoder: Path, precision: str
) -> None:
    app = pretraining_speed.typer.Typer()
    app.command()(pretraining_speed.main)
    threads = torch.get_num_threads()
    try:
        done = CliRunner().invoke(
            app,
            [
                *("--encoder", str(tiny_encoder), "--precision", precision, "--cpu"),
                *("--train", str(typed_work / "litbank.parquet")),
                *("--steps", "3", "--rounds", "2", "--batch-pieces", "64"),
                *("--results", str(typed_work / "results")),
            ],
        )
    finally:
        torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    (path,) = (typed_work / "results").glob("*.json")
    row = json.loads(path.read_text(encoding="utf8"))
    assert row["loss_difference"] < 1e-5 and len(row["losses"]) == row["checked_steps"] == 20
    assert len(row["ratios"]) == 2 and row["instances"] == 100
    assert 0 <= row["padded_share"] < 0.2 and row["pieces_of_step"] <= 128
    assert row["ratio"] == pytest.approx(sum(row["ratios"]) / 2, abs=1e-4)
    assert str(typed_work) not in path.read_text(encoding="utf8")


def test_other_losses_are_an_error(pretraining_speed: ModuleType) -> None:
    assert pretraining_speed.check_losses([2.0, 1.5], [2.0, 1.5 + 1e-6]) == pytest.approx(1e-6)
    with pytest.raises(ValueError, match="do not compute the same"):
        pretraining_speed.check_losses([2.0, 1.5], [2.0, 1.501])
    with pytest.raises(ValueError, match="do not compute the same"):
        pretraining_speed.check_losses([2.0, float("nan")], [2.0, 1.5])
