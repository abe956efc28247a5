"""The page's part on adaptation, on rows made for the test: what is compared with what."""

import copy
import json
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

import pytest
from benchmarks.pages import cells_of

START = "me5-small-zh-en-char"
TEXT: Dict[str, Any] = {
    "sources": [
        {
            "name": "posts.txt:content",
            "sha256": "ab",
            "read": {"texts": 12, "characters": 1_200_000},
            "kept": {"texts": 10, "characters": 1_000_000},
        }
    ],
    "excluded": [{"name": "weibo/test.parquet", "sha256": "cd"}],
    "dropped": {"text that repeats an earlier one": 2},
    "settings": {"overlap": 20},
}
RUN: Dict[str, Any] = {
    "name": "me5-aligned-2m",
    "encoder": START,
    "taught": ["piece_alignment"],
    "characters": 2_000_100,
    "characters_in_all": 2_000_100,
    "characters_per_s": 1234.5,
    "text": TEXT,
    "settings": {
        "precision": "bf16",
        "max_steps": 1400,
        "max_epochs": 0,
        "optimizer": {"learn_rate": 0.0003},
    },
    "steps": 1400,
    "epochs": 2.0,
    "best": {"step": 1400, "similarity": 0.91234, "error": 0.1},
    "seconds": 1620.0,
    "peak_memory_mb": 2366,
    "hardware": "x86_64, 1 thread(s), no GPU",
    "versions": {"torch": "2.13.0"},
}
TUNED: Dict[str, Any] = {
    "data": "weibo",
    "system": "tagger",
    "encoder": START,
    "tag": "",
    "split": "dev",
    "train_sentences": 1350,
    "seed": 0,
    "epochs": 5,
    "learn_rate": 0.0002,
    "batch_size": 16,
    "precision": "bf16",
    "override": [],
    "fitted_scores": None,
    "hardware": "x86_64, 1 thread(s), no GPU",
    "versions": {"spacy": "3.8.18", "torch": "2.13.0"},
}


def tuned(encoder: str, f: float, **settings: Any) -> Dict[str, Any]:
    return {**TUNED, "encoder": encoder, "scores": {"spans_entities_f": f}, **settings}


def run_of(name: str, characters: int, **settings: Any) -> Dict[str, Any]:
    row = {**copy.deepcopy(RUN), "name": name, "characters": characters}
    row["settings"]["max_steps"] = characters // 1400
    return {**row, "characters_in_all": characters, **settings}


@pytest.fixture
def section(adaptation_tables: ModuleType, tmp_path: Path) -> Any:
    def make(**folders: List[Dict[str, Any]]) -> str:
        for folder, rows in folders.items():
            (tmp_path / folder).mkdir()
            for number, row in enumerate(rows):
                (tmp_path / folder / f"{number}.json").write_text(json.dumps(row))
        return adaptation_tables.adaptation_section(tmp_path)

    return make


def runs_part(text: str) -> str:
    return text.split("### What was read")[1].split("### Taggers")[0]


def tuned_part(text: str) -> str:
    return text.split("### Taggers")[1].split("### Over")[0]


def curve_part(text: str) -> str:
    return text.split("### Over")[1]


def lines_of(text: str) -> Dict[str, Dict[str, str]]:
    return {line[""].strip("`"): line for line in cells_of(text)}


def test_runs_and_their_texts(section: Any) -> None:
    mlm = run_of("me5-mlm-2m", 2_000_000, taught=["masked_language_modelling"])
    mlm["best"] = {"step": 1400, "accuracy": 0.5, "perplexity": 12.3456}
    text = runs_part(section(adaptation=[mlm, RUN]))
    lines = lines_of(text)
    line = lines["me5-aligned-2m"]
    assert (line["from"], line["learning rate"]) == (f"`{START}`", "0.0003")
    assert (line["characters"], line["epochs"], line["steps"]) == ("2,000,100", "2.00", "1,400")
    assert (line["similarity"], line["error"], line["accuracy"]) == ("0.9123", "0.1", "")
    assert (line["characters/s"], line["minutes"], line["peak MB"]) == ("1,234", "27", "2,366")
    assert (lines["me5-mlm-2m"]["perplexity"], lines["me5-mlm-2m"]["similarity"]) == ("12.35", "")
    assert "Texts of 1,000,000 characters for training, of 1,200,000 that were read" in text
    assert "`posts.txt:content` 1,000,000" in text and "repeats an earlier one 2" in text
    assert "against 1 dev and test sets" in text
    missing = text.split("Missing: ")[1]
    assert "`me5-aligned-8m`" in missing and "`me5-aligned-2m`," not in missing
    assert f"`{START}`" not in missing


def test_runs_of_other_texts_and_machines_stand_apart(section: Any) -> None:
    rows = [
        RUN,
        run_of("me5-aligned-8m", 8_000_000, hardware="GPU"),
        run_of("me5-aligned-0.5m", 500_000, text={**TEXT, "dropped": {}}),
    ]
    text = runs_part(section(adaptation=rows))
    assert text.count("| characters |") == 3 and text.count("Texts of 1,000,000") == 2
    assert "dropped: none" in text


def test_an_encoder_that_was_taught_twice_is_compared_with_the_first_of_all(section: Any) -> None:
    chain = "me5-aligned-2m-mlm-0.5m"
    rows = [
        *(tuned(START, f, seed=seed) for seed, f in enumerate((0.40, 0.42, 0.50))),
        *(tuned("me5-aligned-2m", f, seed=seed) for seed, f in enumerate((0.52, 0.54))),
        *(tuned(chain, f, seed=seed) for seed, f in enumerate((0.39, 0.57))),
        tuned(START, 0.80, data="msra"),
    ]
    text = tuned_part(section(adapted=rows))
    lines = lines_of(text)
    # deviations of .44: .04, .02, .06: sqrt((.0016 + .0004 + .0036) / 2) = .0529
    assert lines[START]["Weibo"] == "44.0 ± 5.3 (3)" and lines[START]["MSRA"] == "80.0 (1)"
    aligned = lines["me5-aligned-2m"]
    assert (aligned["average"], aligned["before"], aligned["gain"]) == ("**53.0**", "41.0", "+12.0")
    assert (aligned["of"], aligned["better in"]) == ("1", "2/2")
    assert (lines[chain]["gain"], lines[chain]["better in"]) == ("+7.0", "1/2")
    assert list(lines) == [START, "me5-aligned-2m", chain]
    missing = text.split("Missing, seeds in brackets: ")[1]
    assert f"`{START}` on Resume, E-commerce, MSRA (1, 2); " in missing
    assert "`me5-aligned-2m` on Weibo (2), Resume" in missing and "`me5-mlm-2m` on all" in missing


def test_the_curve_is_over_what_all_lengths_have(section: Any) -> None:
    lengths = {
        "me5-aligned-0.5m": 500_000,
        "me5-aligned-2m": 2_000_000,
        "me5-aligned-8m": 8_000_000,
    }
    rows = [tuned(START, 0.40), tuned(START, 0.80, data="resume")]
    for place, name in enumerate(lengths):
        rows.append(tuned(name, (0.46, 0.50, 0.52)[place]))
        rows.append(tuned(name, 0.99, seed=1))
    runs = [run_of(name, count) for name, count in lengths.items()]
    runs.append(run_of("me5-mlm-2m", 2_000_000, taught=["masked_language_modelling"]))
    rows.append(tuned("me5-mlm-2m", 0.45))
    text = curve_part(section(adapted=rows, adaptation=runs[::-1]))
    lines = lines_of(text)
    assert list(lines) == [START, *lengths]  # one length of the other objective is no curve
    assert "Weibo (seeds 0)" in text and "Resume" not in text
    assert [line["characters"] for line in lines.values()][:2] == ["0", "500,000"]
    assert [line["average"] for line in lines.values()] == ["40.0", "46.0", "50.0", "52.0"]
    assert [line["gain"] for line in lines.values()] == ["", "+6.0", "+10.0", "+12.0"]
    assert [line["a doubling"] for line in lines.values()] == ["", "", "+2.0", "+1.0"]


@pytest.mark.parametrize(
    "changed",
    [
        {"taught": ["piece_alignment", "masked_language_modelling"]},
        {"text": {**TEXT, "dropped": {}}},
        {"settings": {**RUN["settings"], "optimizer": {"learn_rate": 0.001}}},
    ],
)
def test_runs_that_were_taught_otherwise_are_on_no_common_curve(
    section: Any, changed: Dict[str, Any]
) -> None:
    names = ("me5-aligned-2m", "me5-aligned-8m")
    rows = [tuned(START, 0.4), *(tuned(name, 0.5) for name in names)]
    runs = [run_of(names[0], 2_000_000), run_of(names[1], 8_000_000, **changed)]
    assert "No rows yet" in curve_part(section(adapted=rows, adaptation=runs))


def test_without_rows_all_is_missing(section: Any, plans: ModuleType) -> None:
    text = section()
    assert text.count("No rows yet") == 3
    for name in plans.ADAPTED_ENCODERS:
        assert f"`{name}` on all" in tuned_part(text)
        assert (f"`{name}`" in runs_part(text).split("Missing: ")[1]) == (name != START)


def test_two_rows_of_one_seed_are_an_error(section: Any) -> None:
    with pytest.raises(ValueError, match="same seed"):
        section(adapted=[tuned(START, 0.5), tuned(START, 0.6)])
