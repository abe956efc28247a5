"""The page's part on Decoupled NER, on rows made for the test."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

import pytest
from benchmarks.pages import cells_of

START = "me5-small-zh-en-char"
NAMES = f"{START}-names"
MACHINE: Dict[str, Any] = {"hardware": "x86_64, 1 thread", "versions": {"torch": "2.13.0"}}
SPEED: Dict[str, Any] = {
    "data": "weibo",
    "encoder": START,
    "whole": {
        "candidates": 1903,
        "distinct_share": 0.7341,
        "hit_share": 0.0172,
        "padding": 0.0276,
        "recall": 0.7703,
        "candidates_per_gold": 4.55,
    },
    "race": {
        "candidates_per_s": 17.6,
        "loop_candidates_per_s": 10.2,
        "ratio": 1.647,
        "ratios": [1.647, 1.574, 2.013],
        "rounds": 3,
        "difference": 6e-08,
    },
    **MACHINE,
}
STAGE: Dict[str, Any] = {
    "name": NAMES,
    "encoder": START,
    "labels": {"PER": 1200, "O": 300},
    "epochs": 1.0,
    "steps": 40,
    "best": {"p": 0.5, "r": 0.25, "f": 1 / 3},
    "settings": {"optimizer": {"learn_rate": 2e-4, "head_rate": 5.0}, "precision": "bf16"},
    "pieces_per_s": 1000.0,
    "seconds": 120.0,
    "peak_memory_mb": 1500,
    **MACHINE,
}
TUNED: Dict[str, Any] = {
    "data": "weibo_names",
    "system": "decoupled",
    "encoder": START,
    "tag": "",
    "split": "test",
    "train_sentences": 1350,
    "epochs": 5,
    "batch_size": 16,
    "learn_rate": 2e-4,
    "override": [],
    "precision": "bf16",
    "train_cpu_s": 90.0,
    **MACHINE,
}


def tuned(f: float, seed: int = 0, **settings: Any) -> Dict[str, Any]:
    scores = {f"spans_entities_{name}": f for name in "prf"}
    if settings.get("system") != "tagger":
        scores |= {"candidates_recall": 0.9, "candidates_per_gold": 12.0}
    return {**TUNED, "seed": seed, "scores": scores, **settings}


@pytest.fixture
def section(decoupled_tables: ModuleType, tmp_path: Path) -> Any:
    def make(**folders: List[Dict[str, Any]]) -> str:
        for folder, rows in folders.items():
            (tmp_path / "decoupled" / folder).mkdir(parents=True)
            for number, row in enumerate(rows):
                (tmp_path / "decoupled" / folder / f"{number}.json").write_text(json.dumps(row))
        return decoupled_tables.decoupled_section(tmp_path)

    return make


def test_speed_and_stages(section: Any) -> None:
    speed, stage = cells_of(section(speed=[SPEED], stages=[STAGE]))
    assert speed[""].startswith(f"Weibo, `{START}`")
    assert (speed["ratio"], speed["over rounds"]) == ("1.65 (goal ≥ 3)", "1.57-2.01, 3")
    assert (speed["distinct"], speed["hits"], speed["padding"]) == ("73.4 %", "1.7 %", "2.8 %")
    assert (speed["recall"], speed["candidates a gold span"]) == ("77.0 %", "4.5")
    assert (stage[""], stage["from"], stage["examples"]) == (
        f"`{NAMES}`",
        f"`{START}`",
        "PER 1,200, O 300",
    )
    assert (stage["P"], stage["F"], stage["minutes"]) == ("50.0", "33.3", "2")
    assert stage["learning rate (head)"] == "0.0002 (0.001)"


def test_the_gain_is_over_no_stage_and_the_same_seeds(section: Any) -> None:
    rows = [
        *(tuned(f, seed) for seed, f in enumerate((0.40, 0.44))),
        *(tuned(f, seed, encoder=NAMES) for seed, f in enumerate((0.45, 0.47, 0.9))),
        tuned(0.6, tag="two encoders", override=["components.scorer.model.shared=false"]),
        tuned(0.5, system="tagger"),
        tuned(0.52, system="tagger", tag="mixed data"),
        tuned(0.3, train_sentences=1000),
    ]
    text = section(accuracy=rows)
    lines = {line[""]: line for line in cells_of(text) if "seeds" in line}
    plain, names = lines[f"decoupled, `{START}`"], lines[f"decoupled, `{NAMES}`"]
    assert names["gain"] == "+4.0 (2)" and names["seeds"] == "3" and names["recall"] == "90.0"
    assert lines[f"decoupled, `{START}`, two encoders"]["gain"] == "+20.0 (1)"
    tagger = lines[f"tagger, `{START}`"]
    assert (tagger["F"], tagger["recall"], tagger["gain"]) == ("**50.0**", "", "")
    assert lines[f"tagger, `{START}`, mixed data"]["gain"] == "+2.0 (1)"
    assert text.count("| candidates a gold span |") == 2  # 1,000 sentences stand apart
    assert plain["F"] == "**30.0**"  # the last table's
    listed = text.split("Missing, seeds in brackets:")[1].strip().splitlines()
    missing = dict(line.removeprefix("- ").split(": ") for line in listed)
    every, some = (
        missing[f"Weibo, names, {size} sentences, test part"] for size in ("all", "1,000")
    )
    assert f"decoupled, `{START}` (2)" in every and f"decoupled, `{START}` (1, 2)" in some
    assert f"decoupled, `{NAMES}` (" not in every
    assert f"decoupled, `{NAMES}-contexts`, two encoders (0)" in every
    assert f"decoupled, `{START}` (0, 1, 2)" in missing["Weibo, names, 500 sentences, dev part"]
    assert f"decoupled, `{START}` (0, 1, 2)" in missing["MSRA, 1,000 sentences, test part"]


def test_the_gain_is_over_the_encoder_that_was_taught(section: Any) -> None:
    """Whatever encoder the stages started from."""
    settings = {"encoder": "other", "train_sentences": 500, "split": "dev"}
    rows = [tuned(0.4, **settings)]
    for stages, f in (("names", 0.45), ("contexts", 0.39), ("long-names-contexts", 0.47)):
        rows.append(tuned(f, **{**settings, "encoder": f"other-{stages}"}))
    rows.append(tuned(0.1, **{**settings, "encoder": "others"}))
    lines = {line[""]: line["gain"] for line in cells_of(section(accuracy=rows)) if "seeds" in line}
    assert lines == {
        "decoupled, `other`": "",
        "decoupled, `other-names`": "+5.0 (1)",
        "decoupled, `other-contexts`": "-1.0 (1)",
        "decoupled, `other-long-names-contexts`": "+7.0 (1)",
        "decoupled, `others`": "",
    }


def test_without_rows_all_is_missing(section: Any, plans: ModuleType) -> None:
    text = section()
    assert text.count("No rows yet") == 3
    assert all(f"`{name}`" in text for name in plans.DECOUPLED_ENCODERS)


def test_two_rows_of_one_seed_are_an_error(section: Any) -> None:
    with pytest.raises(ValueError, match="same seed"):
        section(accuracy=[tuned(0.4), tuned(0.5)])
