"""``spacy hetner pretrain``: its options, its exit status, and what it does without its extra."""

import subprocess
import sys

import pytest
from pretraining.conftest import typed_records
from thinc.api import Config
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.pretraining import train as train_module
from spacy_hetner.pretraining.checkpoints import find_checkpoints


@pytest.fixture
def folder(tmp_path, tiny_encoder):
    """A folder with a config and its data."""
    write_parquet(typed_records(30), tmp_path / "train.parquet")
    config = {
        "paths": {"encoder": str(tiny_encoder), "train": str(tmp_path / "train.parquet")},
        "pretraining": {
            "encoder": "${paths.encoder}",
            "train": "${paths.train}",
            "objective": {"@misc": "spacy_hetner.TypedTagging.v1"},
            "max_steps": 2,
        },
    }
    Config(config).to_disk(tmp_path / "config.cfg", interpolate=False)
    return tmp_path


def invoke(folder, *options):
    arguments = ["pretrain", str(folder / "config.cfg"), "--output", str(folder / "run"), "--cpu"]
    return CliRunner().invoke(app, [*arguments, *options])


def test_run_with_another_value(folder):
    result = invoke(folder, "--pretraining.max_steps", "3")
    assert result.exit_code == 0, result.output
    assert (folder / "run" / "encoder" / "model.safetensors").is_file()
    assert find_checkpoints(folder / "run" / "checkpoints")[-1].name == "step-0000003"


def test_a_run_is_gone_on_with_only_if_asked_to(folder):
    assert invoke(folder).exit_code == 0
    again = invoke(folder)
    assert again.exit_code == 1 and "HE195" in again.output
    assert invoke(folder, "--resume").exit_code == 0


def test_a_run_that_was_stopped_says_so(folder, monkeypatch):
    plain = train_module.pretrain

    def stopped(*arguments, **options):
        return plain(*arguments, **options)._replace(finished=False)

    monkeypatch.setattr(train_module, "pretrain", stopped)
    result = invoke(folder)
    assert result.exit_code == 143 and "--resume" in result.output


def test_code_of_ones_own_is_imported(folder):
    code = folder / "mine.py"
    code.write_text(
        "from dataclasses import dataclass\n"
        "from spacy import registry\n"
        "@dataclass(frozen=True)\n"
        "class Half:\n"
        "    def __call__(self, step, total_steps):\n"
        "        return 0.5\n"
        "@registry.misc('hetner_tests.Half.v1')\n"
        "def make_half():\n"
        "    return Half()\n",
        encoding="utf8",
    )
    options = ["--pretraining.schedule.@misc", "hetner_tests.Half.v1", "--code", str(code)]
    text = (folder / "config.cfg").read_text("utf8")
    (folder / "config.cfg").write_text(f"{text}\n[pretraining.schedule]\n", "utf8")
    result = invoke(folder, *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "options, code", [(["--launcher", "mpi"], "HE004"), (["--processes", "3"], "HE196")]
)
def test_wrong_options_are_told(folder, options, code):
    result = invoke(folder, *options)
    assert result.exit_code == 1 and code in result.output


def test_a_config_of_another_kind_is_told(folder):
    (folder / "config.cfg").write_text('[nlp]\nlang = "en"\n', "utf8")
    result = invoke(folder)
    assert result.exit_code == 1 and "HE191" in result.output


def test_torchrun_is_given_what_this_was_given(folder, monkeypatch):
    given = {}
    monkeypatch.setattr("os.execv", lambda path, arguments: given.update(arguments=arguments))
    options = ["--launcher", "torchrun", "-n", "2", "--resume", "--pretraining.seed", "3"]
    invoke(folder, *options)
    line = " ".join(given["arguments"])
    assert "--nproc_per_node 2 --max_restarts 0 -m spacy hetner pretrain" in line
    assert "--resume --cpu --pretraining.seed 3" in line
    assert "--launcher" not in line


def test_without_the_extra(folder):
    script = (
        "import sys; sys.modules['accelerate'] = None\n"
        "from spacy_hetner.cli import app\n"
        f"app(['pretrain', {str(folder / 'config.cfg')!r}, '-o', {str(folder / 'run')!r}])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 1 and "HE209" in result.stdout + result.stderr
