"""What is taught before Weibo's names: lists without common words, and rows of the stages."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any, List

import pytest
from typer.testing import CliRunner

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_parquet, write_parquet
from spacy_hetner.types import LabelledSpan


def test_names_only(decoupled_stages: ModuleType, tmp_path: Path) -> None:
    spans = [LabelledSpan(0, 2, "PER.NAM"), LabelledSpan(3, 5, "PER.NOM")]
    for part in ("train", "dev", "test"):
        write_parquet([Record(list("张三的朋友"), spans)], tmp_path / "weibo" / f"{part}.parquet")
    decoupled_stages.write_names(tmp_path)
    (record,) = read_parquet(tmp_path / "weibo_names" / "test.parquet")
    assert record.spans == [LabelledSpan(0, 2, "PER")]


def test_lists_of_names(
    decoupled_stages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people.txt").write_text("张三丰\n张三\n运动会\n诸葛亮\n张三丰\n", encoding="utf8")
    monkeypatch.setattr(decoupled_stages, "NAMES", [("PER", "people.txt", {})])
    decoupled_stages.write_lists(tmp_path, tmp_path / "work")

    def read(name: str) -> List[str]:
        return (tmp_path / "work" / name).read_text("utf8").split()

    assert read("names/PER.txt") == ["张三丰", "张三", "诸葛亮"]
    # Short names are learned, but not looked for in texts.
    assert read("matched/PER.txt") == ["张三丰", "诸葛亮"]
    common = read("names/COMMON.txt")
    assert {"运动会", "开心"} <= set(common) and "北京" not in common


def test_stages_leave_encoders_and_rows(
    decoupled_stages: ModuleType, tiny_encoder: Path, tmp_path: Path
) -> None:
    """The third stage goes on from the first; rows say what all come from."""
    encoder = tmp_path / "encoders" / "tiny-zh"
    encoder.parent.mkdir()
    encoder.symlink_to(tiny_encoder)
    record = Record(
        list("ada saw"), [LabelledSpan(0, 3, "PER")], [False] * 7, meta={NON_ENTITIES: [[4, 7]]}
    )
    work = tmp_path / "work"
    for stage in decoupled_stages.STAGES.values():
        for path in stage.parts:
            write_parquet([record] * 20, (work / path).with_suffix("") / "0.parquet")
            if path.endswith(".parquet"):
                ((work / path).with_suffix("") / "0.parquet").rename(work / path)

    def run(stage: str, *more: str) -> Any:
        options = ["--encoder", str(encoder), "--work", str(work), "--cpu", "--epochs", "1"]
        arguments = ["run", stage, *options, *more, "--results", str(tmp_path / "results")]
        return CliRunner().invoke(decoupled_stages.app, arguments)

    early = run("names-contexts")
    assert early.exit_code == 2 and "run names first" in " ".join(early.output.split())
    for stage, objective in (("names", "mention_typing"), ("names-contexts", "masked_context")):
        done = run(stage)
        assert done.exit_code == 0, done.output
        text = (tmp_path / "results" / f"tiny-zh-{stage}.json").read_text(encoding="utf8")
        row = json.loads(text)
        assert str(tmp_path) not in text
        assert (row["name"], row["encoder"]) == (f"tiny-zh-{stage}", "tiny-zh")
        assert row["objective"] == objective and row["labels"] == {"PER": 20, "O": 20}
        assert row["settings"]["optimizer"]["learn_rate"] == 2e-5
        assert (tmp_path / "encoders" / f"tiny-zh-{stage}" / "stage.json").is_file()
    assert "have tiny-zh-names.json" in run("names").output

    short = ["--variant", "short", "--override", "pretraining.max_steps=1"]
    assert "run names first" in " ".join(run("names-contexts", *short).output.split())
    assert run("names", *short).exit_code == 0
    row = json.loads((tmp_path / "results" / "tiny-zh-short-names.json").read_text(encoding="utf8"))
    assert (row["name"], row["encoder"]) == ("tiny-zh-short-names", "tiny-zh")
    assert row["steps"] == 1
    assert (tmp_path / "encoders" / "tiny-zh-short-names" / "stage.json").is_file()
