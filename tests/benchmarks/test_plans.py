"""The plans: what they run is what accuracy.py takes."""

from pathlib import Path
from types import ModuleType
from typing import List

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


def encoder_of(run: List[str]) -> str:
    return run[run.index("--encoder") + 1]


def test_commands_are_run_one_by_one(
    plans: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = []
    monkeypatch.setattr(plans.subprocess, "run", lambda run, check: runs.append(run))
    app = plans.typer.Typer()
    app.command()(plans.main)
    for name in (plans.ENGLISH_ENCODER, plans.CHINESE_ENCODER):
        (tmp_path / name).mkdir()
    options = ["--corpus", str(tmp_path), "--encoders", str(tmp_path), "--gpu-id", "1"]
    result = CliRunner().invoke(app, ["nested", "flat", *options])
    assert result.exit_code == 0, result.output
    assert len(runs) == len(plans.PLANS["nested"]) + len(plans.PLANS["flat"])
    first, last = runs[0], runs[-1]
    assert first[2:4] == ["genia", "locate_and_label"] and last[2] == "resume"
    assert encoder_of(first) == str(tmp_path / plans.ENGLISH_ENCODER)
    assert encoder_of(last) == str(tmp_path / plans.CHINESE_ENCODER)
    assert all(run[run.index("--gpu-id") + 1] == "1" for run in runs)


def test_every_encoder_is_fine_tuned_alike(plans: ModuleType) -> None:
    commands = plans.PLANS["pretrained"]
    assert len(commands) == len(plans.PRETRAINED_ENCODERS) * (5 * 5 + 4 * 3)
    for name in plans.PRETRAINED_ENCODERS:
        own = [command[:-1] for command in commands if command[-1] == name]
        assert own == [command[:-1] for command in commands if command[-1] == plans.ENGLISH_ENCODER]
    assert all(str(plans.PRETRAINED_RESULTS) in command for command in commands)


def test_what_cofee_taught_is_fine_tuned_where_it_lies(plans: ModuleType) -> None:
    """By the names that `coarse_to_fine.py` gives, of the encoders that the page starts from."""
    starts = {"ecommerce": plans.CHINESE_START, "twitter2015": plans.ENGLISH_ENCODER}
    commands = plans.PLANS["coarse_to_fine"]
    for data, start in starts.items():
        own = {command[-1] for command in commands if command[0] == data}
        assert {start, f"{start}-cofee-tagger-s0", f"{start}-cofee-s0"} < own
        assert all(name.startswith(start) for name in own)


def test_adapted_encoders_are_compared_on_dev(plans: ModuleType, repo_root: Path) -> None:
    commands = plans.PLANS["adapted"]
    assert len(commands) == (len(plans.ADAPTED_ENCODERS) + 1) * 4 * 3
    spread = [command for command in commands if command[-1] == plans.FULL_VOCABULARY]
    assert len(spread) == 4 * 3 and all(command[1:4] == plans.PIECES[:3] for command in spread)
    for name in plans.ADAPTED_ENCODERS:
        own = [command[:-1] for command in commands if command[-1] == name]
        assert own == [command[:-1] for command in commands if command[-1] == plans.CHINESE_ENCODER]
    assert all(command[command.index("--split") + 1] == "dev" for command in commands)
    assert all(str(plans.ADAPTED_RESULTS) in command for command in commands)
    (size,) = {
        command[command.index("--train-sentences") + 1]
        for command in commands
        if command[0] == "msra"
    }
    assert size == "1000"


def test_an_encoder_that_is_not_there_is_told_of(
    plans: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: List[List[str]] = []
    monkeypatch.setattr(plans.subprocess, "run", lambda run, check: runs.append(run))
    app = plans.typer.Typer()
    app.command()(plans.main)
    (tmp_path / plans.ENGLISH_ENCODER).mkdir()
    options = ["--corpus", str(tmp_path), "--encoders", str(tmp_path)]
    result = CliRunner().invoke(app, ["pretrained", *options])
    assert result.exit_code == 1 and "minilm-typed-n1000" in result.output
    assert {encoder_of(run) for run in runs} == {str(tmp_path / plans.ENGLISH_ENCODER)}
    assert len(runs) == 5 * 5 + 4 * 3


def test_the_scorer_is_trained_alike_after_every_stage(plans: ModuleType) -> None:
    commands = plans.PLANS["decoupled"]
    scorers = [c for c in commands if c[1] == "decoupled" and "--tag" not in c]
    assert len(scorers) == len(plans.DECOUPLED_ENCODERS) * 4 * 3
    for name in plans.DECOUPLED_ENCODERS:
        own = [command[:-1] for command in scorers if command[-1] == name]
        assert own == [c[:-1] for c in scorers if c[-1] == plans.CHINESE_ENCODER]
    assert all(plans.MORE_NOUNS in command for command in scorers)
    assert all(str(plans.DECOUPLED_RESULTS) in command for command in commands)
    assert sum(plans.TWO_ENCODERS in command for command in commands) == 2
    taggers = [command for command in commands if command[1] == "tagger"]
    assert len(taggers) == (2 * 2 + 2) * 3
    assert [c[0] for c in taggers if "mixed" in c] == ["weibo_names"] * 2 * 3
    small = plans.PLANS["decoupled-small"]
    two = [command for command in small if plans.TWO_ENCODERS in command]
    assert [command[-1] for command in two] == list(plans.DECOUPLED_ENDS)
    assert [command[0:2] for command in small if "mixed" in command] == [["weibo_names", "tagger"]]
    small = [command for command in small if command not in two]
    for name in plans.DECOUPLED_ENCODERS[1:]:
        own = [command[:-1] for command in small if command[-1] == name]
        plain = [c[:-1] for c in small if c[1] == "decoupled" and c[-1] == plans.CHINESE_ENCODER]
        assert own == plain and len(own) == 3 * 3
