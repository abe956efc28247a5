"""The pages' part on pre-training, on rows made for the test: what is compared with what."""

import copy
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

import pytest
from benchmarks.pages import cells_of

TUNED: Dict[str, Any] = {
    "data": "crossner_ai",
    "system": "tagger",
    "encoder": "minilm-l6-en",
    "tag": "",
    "split": "test",
    "train_sentences": 100,
    "seed": 0,
    "epochs": 15,
    "learn_rate": 0.0003,
    "batch_size": 8,
    "precision": "bf16",
    "override": [],
    "fitted_scores": None,
    "hardware": "x86_64, 1 thread(s), no GPU",
    "versions": {"spacy": "3.8.18", "torch": "2.13.0"},
}
RUN: Dict[str, Any] = {
    "name": "minilm-typed-n1000",
    "encoder": "minilm-l6-en",
    "pool": "n1000",
    "sentences": 1000,
    "tokens": 25464,
    "labels": 51,
    "dev_sentences": 593,
    "steps": 123,
    "epochs": 8.0,
    "settings": {"precision": "bf16"},
    "best": {"step": 100, "f": 0.25, "p": 0.2, "r": 1 / 3},
    "pieces": 120000,
    "seconds": 120.0,
    "pieces_per_s": 1000.0,
    "peak_memory_mb": 2366,
    "hardware": "x86_64, 1 thread(s), no GPU",
    "versions": {"torch": "2.13.0"},
}
BEFORE = "minilm-l6-en"


def tuned(encoder: str, f: float, **settings: Any) -> Dict[str, Any]:
    row = copy.deepcopy(TUNED) | {"encoder": encoder, **settings}
    return {**row, "scores": {"spans_entities_f": f}}


def run_of(pool: str, sentences: int) -> Dict[str, Any]:
    return {**RUN, "name": f"minilm-typed-{pool}", "pool": pool, "sentences": sentences}


def lines_of(text: str) -> Dict[str, Dict[str, str]]:
    """The lines of all tables, by their first cell."""
    return {line[""].strip("`"): line for line in cells_of(text)}


@pytest.fixture
def section(pretraining_tables: ModuleType, tmp_path: Path) -> Any:
    def make(**folders: List[Dict[str, Any]]) -> str:
        for folder, rows in folders.items():
            (tmp_path / folder).mkdir()
            for number, row in enumerate(rows):
                (tmp_path / folder / f"{number}.json").write_text(json.dumps(row))
        return pretraining_tables.pretraining_section(tmp_path)

    return make


def test_runs(section: Any) -> None:
    (line,) = cells_of(section(pretraining=[RUN]))
    assert (line["sentences"], line["labels"], line["steps"]) == ("1,000", "51", "123")
    assert (line["P"], line["R"], line["F"]) == ("20.0", "33.3", "25.0")
    assert (line["pieces/s"], line["minutes"], line["peak MB"]) == ("1,000", "2", "2,366")


def test_the_gain_is_over_what_both_have(section: Any) -> None:
    after = "minilm-typed-n1000"
    rows = [
        *(tuned(BEFORE, f, seed=seed) for seed, f in enumerate((0.50, 0.52, 0.60))),
        tuned(BEFORE, 0.30, data="btc"),
        *(tuned(after, f, seed=seed) for seed, f in enumerate((0.54, 0.50))),
        tuned(after, 0.90, data="re3d"),
    ]
    lines = lines_of(section(pretrained=rows, pretraining=[RUN]).split("### Fine-tuned")[1])
    before, line = lines[BEFORE], lines[after]
    # deviations of .54, .06 around .54: sqrt((.0016 + .0004 + .0036) / 2) = .0529
    assert before["AI"] == "54.0 ± 5.3 (3)" and before["BTC"] == "30.0 (1)"
    assert (before["average"], before["of"], before["re3d"]) == ("42.0", "2", "")
    assert line["re3d"] == "90.0 (1)"
    # AI only, seeds 0 and 1: .52 against .51.
    assert (line["average"], line["before"], line["gain"]) == ("**52.0**", "51.0", "+1.0")
    assert (line["of"], line["better in"]) == ("1", "1/2")


def test_data_sets_count_alike_however_many_seeds_they_have(section: Any) -> None:
    after = "minilm-typed-n1000"
    rows = [
        *(tuned(BEFORE, 0.5, seed=seed) for seed in range(4)),
        *(tuned(after, 0.6, seed=seed) for seed in range(4)),
        tuned(BEFORE, 0.5, data="btc"),
        tuned(after, 0.4, data="btc"),
    ]
    line = lines_of(section(pretrained=rows, pretraining=[RUN]).split("### Fine-tuned")[1])[after]
    assert (line["gain"], line["of"], line["better in"]) == ("+0.0", "2", "4/5")


def test_nothing_is_compared_across_settings(section: Any) -> None:
    after = "minilm-typed-n1000"
    rows = [
        tuned(BEFORE, 0.5),
        tuned(after, 0.6, learn_rate=0.0006),
        tuned(after, 0.7, split="dev"),
        tuned(after, 0.8, epochs=20, seed=1),
    ]
    text = section(pretrained=rows, pretraining=[RUN]).split("### Fine-tuned")[1]
    assert not any(line.get("gain") for line in cells_of(text))
    test, dev = re.split("dev part", text)
    assert "AI, 15 epochs" in test and "AI, 20 epochs" in test
    assert "learning rate 0.0006" in test and "70.0 (1)" in dev


def test_two_rows_of_one_seed_are_an_error(section: Any) -> None:
    with pytest.raises(ValueError, match="same seed"):
        section(pretrained=[tuned(BEFORE, 0.5), tuned(BEFORE, 0.6)])


def test_the_curve_and_its_line(section: Any) -> None:
    sizes = {"n1000": 1000, "n3000": 10_000, "n10000": 100_000}
    rows = [tuned(BEFORE, 0.50)]
    for place, pool in enumerate(sizes):
        rows.append(tuned(f"minilm-typed-{pool}", 0.52 + 0.02 * place))
        if place:
            rows.append(tuned(f"minilm-typed-{pool}", 0.99, seed=place))
    text = section(
        pretrained=rows, pretraining=[run_of(pool, size) for pool, size in sizes.items()]
    ).split("### Over")[1]
    lines = lines_of(text)
    assert "AI (seeds 0)" in text  # what seeds 1 and 2 gave counts for no size
    assert [line["average"] for line in lines.values()][:4] == ["50.0", "52.0", "54.0", "56.0"]
    assert lines["minilm-typed-n10000"]["gain"] == "+6.0"
    # 2 a decade: 16.3 million are 7.21 decades, .56 + .02 * 2.212 = .604
    assert "through 3 points, rises by 2.0 for each factor of ten" in text
    assert "no point by more than 0.0" in text and "by 2.2 further factors" in text
    assert "it is at 60.4, +10.4" in text and "no measurement" in text


def test_two_sizes_make_no_line(section: Any) -> None:
    pools = {"n1000": 1000, "n3000": 3000}
    text = section(
        pretrained=[tuned(BEFORE, 0.5), *(tuned(f"minilm-typed-{pool}", 0.6) for pool in pools)],
        pretraining=[run_of(pool, size) for pool, size in pools.items()],
    )
    assert "Fewer than three sizes" in text and "16.3 million sentences it is" not in text


def test_pools_of_another_kind_are_not_on_the_curve(section: Any) -> None:
    pools = {"n1000": 1000, "wiki3k": 3170, "wiki3k-4types": 3170}
    text = section(
        pretrained=[tuned(BEFORE, 0.5), *(tuned(f"minilm-typed-{pool}", 0.6) for pool in pools)],
        pretraining=[run_of(pool, size) for pool, size in pools.items()],
    )
    assert "No rows yet" in text.split("### Over")[1].split("### Few")[0]


def test_missing_runs_are_named(section: Any, pretraining_tables: ModuleType) -> None:
    seeds, encoders = pretraining_tables.PRETRAINED_SEEDS, pretraining_tables.PRETRAINED_ENCODERS
    rows = [
        tuned(encoder, 0.5, data=data, seed=seed)
        for encoder in encoders[:-1]
        for data, count in seeds.items()
        for seed in range(count)
        if (encoder, data) != (BEFORE, "btc") and (data, seed) != ("crossner_music", 2)
    ]
    rows.append(tuned(BEFORE, 0.5, data="btc", split="dev"))
    text = section(pretrained=rows)
    assert f"Missing, seeds in brackets: `{BEFORE}` on music (2), BTC; " in text
    assert f"`{encoders[1]}` on music (2); " in text and f"`{encoders[-1]}` on all." in text


def test_overlap(pretraining_tables: ModuleType, section: Any, tmp_path: Path) -> None:
    assert "not looked for yet" in section()
    found = {
        "words": 12,
        "sentences": {"crossner_literature": 1416},
        "shared": {"n1000": {}, "all": {"crossner_literature": 11}},
    }
    (tmp_path / "pretraining_overlap").mkdir()
    (tmp_path / "pretraining_overlap" / "overlap.json").write_text(json.dumps(found))
    text = pretraining_tables.pretraining_section(tmp_path)
    assert "12 words in a row" in text and "`n1000` none; `all` 11 of 1,416 of literature" in text


def test_speed(section: Any) -> None:
    row = {
        "encoder": "minilm-l6-en",
        "precision": "bf16",
        "rounds": 9,
        "ours_pieces_per_s": 1234.5,
        "bare_pieces_per_s": 1250.0,
        "ratio": 0.9876,
        "ratios": [0.97, 0.9876, 1.01],
        "opening_s": 0.0123,
        "opening_share": 0.00118,
        "padded_share": 0.0105,
        "loss_difference": 2.4e-7,
        "peak_memory_mb": {"ours alone": 2300, "both": 2900},
        "hardware": "x86_64, 1 thread(s), no GPU",
        "versions": {"torch": "2.13.0"},
    }
    (line,) = cells_of(section(pretrain_speed=[row]))
    assert (line["ours, pieces/s"], line["ratio"]) == ("1,234", "0.988 (goal ≥ 0.95)")
    assert (line["over rounds"], line["padding"]) == ("0.97-1.01, 9", "1.1 %")
    assert (line["losses differ by"], line["peak MB"]) == ("2e-07", "2,300 / 2,900")


def test_few_sentences(section: Any) -> None:
    shared = {"data": "btc", "system": "tagger", "steps": 150, "batch_size": 16, "total": 5338}
    shared |= {"learn_rate": 0.0003, "precision": "bf16", "device": "x86_64", "versions": {}}

    def run(start: str, n: int, seed: int, f: float) -> Dict[str, Any]:
        strict = {"f": f, "p": f, "r": f}
        return {**shared, "start": start, "n": n, "seed": seed, "scores": {"strict": strict}}

    rows = [run("a", 25, 0, 0.4), run("a", 25, 1, 0.5), run("a", 100, 0, 0.6)]
    text = section(fewshot=[*rows, run("a, then the target", 25, 0, 0.55)])
    assert "BTC, 5,338 sentences to draw from, 150 steps of 16" in text
    first, second = cells_of(text.split("### Few")[1].split("### Speed")[0])
    assert first["25 sentences"] == "45.00 ± 7.07 (2)" and first["100 sentences"] == "60.00 (1)"
    assert second["start"] == "a, then the target" and second["100 sentences"] == ""
