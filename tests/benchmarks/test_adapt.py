"""The adaptation benchmark: what a name says, how long a run is, and that a row tells of it."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner

from spacy_hetner.corpora.text_store import collect_texts
from spacy_hetner.encoders.folder import check_encoder_folder
from spacy_hetner.engine.make import make_engine
from spacy_hetner.pretraining import train as train_module


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A store of 60 texts of 30 characters each, one of which is held out as a test set's."""
    random = numpy.random.default_rng(0)
    lines = ["".join(random.choice(list("abcdefgh"), 30)) for _ in range(60)]
    (tmp_path / "posts.txt").write_text("\n".join(lines), encoding="utf8")
    (tmp_path / "test.txt").write_text(lines[7], encoding="utf8")
    collect_texts(
        [tmp_path / "posts.txt"],
        tmp_path / "text",
        make_engine(),
        lang="zh",
        per_character=True,
        exclude=[tmp_path / "test.txt"],
        dev=0.1,
    )
    return tmp_path / "text"


@pytest.fixture
def encoder(tmp_path: Path, tiny_encoder: Path) -> Path:
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "tiny-zh").symlink_to(tiny_encoder)
    return tmp_path / "encoders" / "tiny-zh"


@pytest.fixture
def run(adaptation: ModuleType, text: Path, encoder: Path, tmp_path: Path) -> Any:
    def start(name: str, *options: str, teacher: bool = True) -> Any:
        paths = {"encoder": encoder, "text": text, "work": tmp_path, "results": tmp_path / "rows"}
        arguments = ["run", name, *(word for k, v in paths.items() for word in (f"--{k}", str(v)))]
        arguments += ["--teacher", str(encoder)] if teacher else []
        # Small batches, so that an epoch has several steps.
        small = ["--override", "pretraining.sampler.batch_pieces=128"]
        small += ["--override", "pretraining.objective.max_pieces=64"]
        return CliRunner().invoke(adaptation.app, [*arguments, *small, "--cpu", *options])

    return start


def read_row(folder: Path, name: str) -> Any:
    return json.loads((folder / "rows" / f"{name}.json").read_text(encoding="utf8"))


def characters_kept(text: Path) -> int:
    origin = json.loads((text / "train" / "origin.json").read_text(encoding="utf8"))
    return sum(source["kept"]["characters"] for source in origin["sources"])


@pytest.mark.parametrize(
    ("name", "lesson"),
    [
        ("me5-aligned-0.5m", ("me5", True, 500_000)),
        ("me5-mlm-2m", ("me5", False, 2_000_000)),
        ("me5-aligned-2m-mlm-0.5m", ("me5-aligned-2m", False, 500_000)),
        ("me5-all-layers-aligned-16m", ("me5-all-layers", True, 16_000_000)),
        ("me5-small-zh-en-char", None),
        ("aligned-2m", None),
        ("me5-typed-2m", None),
    ],
)
def test_names(adaptation: ModuleType, name: str, lesson: Any) -> None:
    assert adaptation.parse_name(name) == lesson


def test_names_of_the_plan(adaptation: ModuleType, plans: ModuleType) -> None:
    start, *others = plans.ADAPTED_ENCODERS
    assert adaptation.parse_name(start) is None
    for name in others:
        lesson = adaptation.parse_name(name)
        assert lesson.start == "me5" or lesson.start in others


def test_a_run_reads_as_much_as_its_name_says(run: Any, text: Path, tmp_path: Path) -> None:
    done = run("tiny-aligned-0.005m", "--seed", "3", "--precision", "fp32")
    assert done.exit_code == 0, done.output
    check_encoder_folder(tmp_path / "encoders" / "tiny-aligned-0.005m")
    row = read_row(tmp_path, "tiny-aligned-0.005m")
    assert str(tmp_path) not in json.dumps(row)
    assert (row["encoder"], row["taught"], row["seed"]) == ("tiny-zh", ["piece_alignment"], 3)
    # As near as whole steps can be, of which one is a batch of at most 126 characters.
    assert abs(row["characters"] - 5000) < 126
    assert row["characters"] == row["characters_in_all"]
    kept = characters_kept(text)
    assert row["epochs"] == pytest.approx(row["characters"] / kept, abs=0.01) and row["epochs"] > 2
    seconds = row["characters"] / row["characters_per_s"]
    assert row["seconds"] == pytest.approx(seconds, abs=0.06)  # which is rounded to tenths
    assert {"similarity", "error", "step"} == set(row["best"]) and row["pieces"] > 5000
    assert row["settings"]["max_steps"] == row["steps"]
    assert row["settings"]["objective"]["by_token"] is True
    (source,) = row["text"]["sources"]
    assert source["name"] == "posts.txt" and source["kept"]["characters"] == kept
    assert [source["name"] for source in row["text"]["excluded"]] == ["test.txt"]
    assert sum(row["text"]["dropped"].values()) == 1
    again = run("tiny-aligned-0.005m")
    assert again.exit_code == 0 and "have tiny-aligned-0.005m.json" in again.output


def test_the_row_comes_from_the_folder_of_the_run_alone(
    run: Any, adaptation: ModuleType, tmp_path: Path
) -> None:
    assert run("tiny-aligned-0.001m").exit_code == 0
    path = tmp_path / "rows" / "tiny-aligned-0.001m.json"
    written = path.read_text(encoding="utf8")
    path.unlink()
    folder = str(tmp_path / "runs" / "tiny-aligned-0.001m")
    arguments = ["record", folder, "tiny-aligned-0.001m", "--cpu", "--results", str(path.parent)]
    recorded = CliRunner().invoke(adaptation.app, arguments)
    assert recorded.exit_code == 0, recorded.output
    assert path.read_text(encoding="utf8") == written


def test_what_was_read_before_counts(run: Any, tmp_path: Path) -> None:
    early = run("tiny-aligned-0.002m-mlm-0.001m")
    assert early.exit_code == 2 and "run tiny-aligned-0.002m first" in " ".join(
        early.output.replace("│", " ").split()
    )
    assert run("tiny-aligned-0.002m").exit_code == 0
    options = ["--override", 'pretraining.objective.whole_words="tokens"']
    done = run("tiny-aligned-0.002m-mlm-0.001m", *options, teacher=False)
    assert done.exit_code == 0, done.output
    first = read_row(tmp_path, "tiny-aligned-0.002m")
    row = read_row(tmp_path, "tiny-aligned-0.002m-mlm-0.001m")
    assert row["encoder"] == "tiny-aligned-0.002m"
    assert row["taught"] == ["piece_alignment", "masked_language_modelling"]
    assert {"accuracy", "perplexity", "step"} == set(row["best"])
    assert row["characters_in_all"] == row["characters"] + first["characters"]


def test_a_run_that_was_cut_off_goes_on(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train_module.Trainer.step
    options = ["--override", "pretraining.checkpoint_frequency=1"]
    steps = []

    def dying(trainer: Any, planned: Any, number: int, *, stop: bool) -> Any:
        if number == 3 and 3 not in steps:
            steps.append(3)
            raise KeyboardInterrupt
        steps.append(number)
        return plain(trainer, planned, number, stop=stop)

    monkeypatch.setattr(train_module.Trainer, "step", dying)
    assert run("tiny-aligned-0.001m", *options).exit_code != 0
    assert run("tiny-aligned-0.001m", *options).exit_code == 0
    total = read_row(tmp_path, "tiny-aligned-0.001m")["steps"]
    assert steps == [0, 1, 2, 3, *range(3, total)]


@pytest.mark.parametrize(
    ("name", "said"),
    [("tiny-zh", "what is taught"), ("tiny-aligned-1m", "--teacher")],
)
def test_what_is_not_clear_is_told(run: Any, tmp_path: Path, name: str, said: str) -> None:
    done = run(name, teacher=False)
    assert done.exit_code == 2 and said in done.output
    assert not (tmp_path / "rows").exists() and not (tmp_path / "runs").exists()


def test_other_stores_tell_of_no_characters(run: Any, text: Path) -> None:
    (text / "train" / "origin.json").unlink()
    done = run("tiny-aligned-0.001m")
    assert done.exit_code == 2 and "spacy hetner text" in done.output
