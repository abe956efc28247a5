"""``spacy hetner coarse-to-fine``: its options, who trains and who picks, its exit status."""

import json

import pytest
from pretraining.conftest import typed_records
from thinc.api import Config
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.engine.cluster import RayEngine
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.pretraining import coarse_to_fine as chain_module
from spacy_hetner.pretraining import launch
from spacy_hetner.pretraining.train import Outcome


@pytest.fixture
def folder(tmp_path, tiny_encoder):
    """A folder with the config of a short chain, and its data."""
    write_parquet(typed_records(30), tmp_path / "train.parquet")
    store = str(tmp_path / "train.parquet")
    config = {
        "paths": {"encoder": str(tiny_encoder), "distant": store, "dev": store},
        "coarse_to_fine": {
            "encoder": "${paths.encoder}",
            "distant": "${paths.distant}",
            "dev": "${paths.dev}",
            "backbone": "tagger",
            "clusters": 3,
            "span_identification": {"enabled": False},
            "gazetteer_extraction": {"epochs": 2, "learn_rate": 0.002, "patience": 0},
            "fine_typing": {"enabled": False},
        },
        "pretraining": {"max_steps": 1},
    }
    Config(config).to_disk(tmp_path / "config.cfg", interpolate=False)
    return tmp_path


@pytest.fixture
def called(monkeypatch):
    """What the chain was called with; it does nothing."""
    given = {}

    def fake(config, output, **settings):
        given.update(settings, config=config, output=output)
        return Outcome(given.get("finished", True), 0, None, {}, output / "encoder", True)

    monkeypatch.setattr(chain_module, "coarse_to_fine", fake)
    return given


def invoke(folder, *options):
    arguments = [str(folder / "config.cfg"), "--output", str(folder / "run"), "--cpu"]
    return CliRunner().invoke(app, ["coarse-to-fine", *arguments, *options])


def test_a_chain_and_its_result(folder):
    result = invoke(folder, "--coarse_to_fine.delta", "0.01")
    assert result.exit_code == 0, result.output
    found = json.loads((folder / "run" / "result.json").read_text(encoding="utf8"))
    assert len(found["rounds"]) == 2
    assert (folder / "run" / "encoder" / "model.safetensors").is_file()
    again = invoke(folder)
    assert again.exit_code == 1 and "HE195" in again.output
    assert invoke(folder, "--coarse_to_fine.delta", "0.01", "--resume").exit_code == 0


def test_the_default_is_this_process(folder, called):
    assert invoke(folder).exit_code == 0
    assert called["train"] is None and called["cpu"] and not called["resume"]
    assert isinstance(called["engine"], LocalEngine)


def test_workers_of_ray_get_gpus_by_a_flag(folder, called):
    options = ["--engine", "ray", "--workers", "3", "--gpus-per-worker", "0.5", "--resume"]
    assert invoke(folder, *options, "--address", "host:1").exit_code == 0
    engine = called["engine"]
    assert isinstance(engine, RayEngine) and called["resume"]
    assert (engine.workers, engine.gpus_per_worker, engine.address) == (3, 0.5, "host:1")


def test_torchrun_trains_each_run(folder, called, monkeypatch):
    assert invoke(folder, "--launcher", "torchrun", "-n", "2", "--restarts", "3").exit_code == 0
    given = []

    def fake(arguments, **settings):
        given.append((arguments, settings))
        return status

    monkeypatch.setattr(launch, "run_torchrun", fake)
    # The command has it by name already, so the chain is asked anew.
    assert invoke(folder, "--launcher", "torchrun", "-n", "2", "--restarts", "3").exit_code == 0
    status = 0
    assert called["train"](Config(), folder)
    arguments, settings = given[0]
    expected = [str(folder / "config.cfg"), "--output", str(folder), "--resume", "--cpu"]
    assert arguments == expected and settings == {"processes": 2, "restarts": 3}
    status = None
    assert called["train"](Config(), folder) is False
    status = 1
    with pytest.raises(ValueError, match="HE295"):
        called["train"](Config(), folder)


def test_ray_trains_each_run(folder, called, monkeypatch):
    given = []
    monkeypatch.setattr(launch, "run_on_ray", lambda *a, **settings: given.append(settings))
    assert invoke(folder, "--launcher", "ray", "-n", "2", "--address", "host:1").exit_code == 0
    assert isinstance(called["engine"], LocalEngine)
    assert called["train"](Config(), folder)
    assert (given[0]["processes"], given[0]["address"]) == (2, "host:1")
    assert given[0]["resume"] and given[0]["cpu"]


def test_a_chain_that_was_stopped_says_so(folder, called):
    called["finished"] = False
    result = invoke(folder)
    assert result.exit_code == 143 and "--resume" in result.output


@pytest.mark.parametrize(
    "options, code",
    [
        (["--launcher", "mpi"], "HE004"),
        (["--restarts", "2"], "HE202"),
        (["--processes", "2"], "HE196"),
        (["--address", "host:1"], "HE138"),
        (["--gpus-per-worker", "1"], "HE291"),
        (["--coarse_to_fine.colour", "red"], "HE292"),
        (["--pretraining.max_epochs", "3"], "HE292"),
    ],
)
def test_wrong_options_are_told(folder, options, code):
    result = invoke(folder, *options)
    assert result.exit_code == 1 and code in result.output


def test_a_config_of_another_kind_is_told(folder):
    (folder / "config.cfg").write_text('[pretraining]\nencoder = "x"\n', "utf8")
    result = invoke(folder)
    assert result.exit_code == 1 and "HE191" in result.output
