"""The plans: what they run is what accuracy.py takes."""

from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner


def test_runs_are_in_the_order_of_seeds_and_different(plans: ModuleType) -> None:
    for commands in plans.PLANS.values():
        seeds = [int(command[command.index("--seed") + 1]) for command in commands]
        assert seeds == sorted(seeds)
        assert len({tuple(command) for command in commands}) == len(commands)


def test_each_system_has_a_config(plans: ModuleType, repo_root: Path) -> None:
    folders = [repo_root / "configs", repo_root / "benchmarks" / "systems"]
    for commands in plans.PLANS.values():
        for _, system, *_ in commands:
            assert any((folder / f"{system}.cfg").exists() for folder in folders), system


def test_commands_are_run_one_by_one(
    plans: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = []
    monkeypatch.setattr(plans.subprocess, "run", lambda run, check: runs.append(run))
    app = plans.typer.Typer()
    app.command()(plans.main)
    options = ["--corpus", str(tmp_path), "--encoders", str(tmp_path), "--gpu-id", "1"]
    result = CliRunner().invoke(app, ["nested", "flat", *options])
    assert result.exit_code == 0, result.output
    assert len(runs) == len(plans.PLANS["nested"]) + len(plans.PLANS["flat"])
    first, last = runs[0], runs[-1]
    assert first[2:4] == ["genia", "locate_and_label"] and "minilm-l6-en" in first[-1]
    assert last[2] == "resume" and plans.CHINESE_ENCODER in last[-1]
    assert all(run[run.index("--gpu-id") + 1] == "1" for run in runs)
