"""The pre-training benchmark: what its pools hold, and that a row tells of the run."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any, List

import pytest
from typer.testing import CliRunner

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.encoders.folder import check_encoder_folder


def ids_of(path: Path) -> List[str]:
    return [record.id for record in read_stores([path])]


def test_pools_are_nested_and_apart_from_dev(
    pretraining: ModuleType, typed_work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "SIZES", (10, 30))
    pretraining.make_pools(typed_work)
    pools = typed_work / "pools"
    ten, thirty = ids_of(pools / "n10.parquet"), ids_of(pools / "n30.parquet")
    assert thirty[:10] == ten and len(set(thirty)) == 30
    everything, wiki = ids_of(pools / "all.parquet"), ids_of(pools / "wiki.parquet")
    # 40 typed sentences of Wikipedia and 30 without a type; LitBank's without what dev took.
    dev, wiki_dev = ids_of(pools / "dev.parquet"), ids_of(pools / "wikidev.parquet")
    assert len(wiki) == 40 and len(wiki_dev) == 10
    assert len(everything) == 40 + 30 + 100 - (len(dev) - 10)
    assert set(thirty) | set(wiki) <= set(everything)
    assert not set(everything) & set(dev)
    # The order of those that were there stays as it is when others come in between.
    assert [identity for identity in everything if identity in set(ten)] == ten


def run_pool(script: ModuleType, work: Path, encoder: Path, *options: str) -> Any:
    common = ["--encoder", str(encoder), "--work", str(work), "--results", str(work / "results")]
    return CliRunner().invoke(script.app, ["run", "n1000", *common, "--cpu", *options])


def test_a_run_leaves_an_encoder_and_a_row(
    pretraining: ModuleType, typed_work: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    pretraining.make_pools(typed_work)
    encoder = tmp_path / "encoders" / "tiny-en"
    encoder.parent.mkdir()
    encoder.symlink_to(tiny_encoder)
    options = ["--epochs", "2", "--override", "pretraining.objective.dropout=0.0"]
    done = run_pool(pretraining, typed_work, encoder, *options, "--seed", "3")
    assert done.exit_code == 0, done.output
    check_encoder_folder(tmp_path / "encoders" / "tiny-typed-n1000")
    path = typed_work / "results" / "tiny-typed-n1000.json"
    text = path.read_text(encoding="utf8")
    assert str(tmp_path) not in text
    row = json.loads(text)
    sentences = len(ids_of(typed_work / "pools" / "n1000.parquet"))
    assert (row["encoder"], row["pool"], row["sentences"]) == ("tiny-en", "n1000", sentences)
    assert (row["seed"], row["epochs"], row["labels"]) == (3, 2.0, 3)
    assert row["mentions"] == sentences and row["tokens"] > 3 * sentences
    assert row["dev_sentences"] == len(ids_of(typed_work / "pools" / "dev.parquet"))
    assert row["settings"]["objective"]["dropout"] == 0.0
    assert row["settings"]["optimizer"]["learn_rate"] == 4e-4
    assert row["settings"]["precision"] == "bf16"
    assert [line["step"] for line in row["evaluations"]] == [row["steps"] // 2, row["steps"]]
    assert row["best"]["f"] == max(line["f"] for line in row["evaluations"])
    seconds = row["pieces"] / row["pieces_per_s"]
    assert row["seconds"] == pytest.approx(seconds, abs=0.06)  # which is rounded to tenths
    again = run_pool(pretraining, typed_work, encoder, *options, "--seed", "3")
    assert again.exit_code == 0 and "have tiny-typed-n1000.json" in again.output
    # The same row from the folder of the run alone.
    path.unlink()
    recorded = CliRunner().invoke(
        pretraining.app,
        [
            *("record", str(typed_work / "runs" / "tiny-typed-n1000"), "n1000", "--cpu"),
            *("--results", str(typed_work / "results")),
        ],
    )
    assert recorded.exit_code == 0, recorded.output
    assert path.read_text(encoding="utf8") == text


def test_pools_need_data(pretraining: ModuleType, tiny_encoder: Path, tmp_path: Path) -> None:
    done = run_pool(pretraining, tmp_path, tiny_encoder)
    assert done.exit_code == 2 and not (tmp_path / "pools").exists()


def test_test_sentences_in_pools_are_counted(
    pretraining: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [f"w{number}" for number in range(20)]
    write_parquet([Record(words, [])], tmp_path / "pool.parquet")
    tests = [
        ["Oh", *(word.upper() for word in words[3:9]), ",", *words[9:15], "!"],
        ["Oh", *words[3:14], "!"],  # eleven in a row
        ["short"],
    ]
    (tmp_path / "corpus" / "some").mkdir(parents=True)
    records = [Record(tokens, []) for tokens in tests]
    write_parquet(records, tmp_path / "corpus" / "some" / "test.parquet")
    pool = pretraining.Pool("pool.parquet", "", 1)
    monkeypatch.setattr(pretraining, "POOLS", {"all": pool})
    pretraining.overlap(tmp_path, tmp_path / "corpus", tmp_path / "overlap.json")
    assert json.loads((tmp_path / "overlap.json").read_text(encoding="utf8")) == {
        "words": 12,
        "sentences": {"some": 3},
        "shared": {"all": {"some": 1}},
    }
