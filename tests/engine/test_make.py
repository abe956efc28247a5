"""Engines by name, their progress bars, and what is said where Ray is not usable."""

import sys
from types import ModuleType

import pytest
from engine.toy_tasks import run

from spacy_hetner.engine.cluster import RayEngine
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.make import make_engine


def test_names():
    local, ray = make_engine(), make_engine("ray", 3, "auto")
    assert isinstance(local, LocalEngine) and local.workers == 1
    assert isinstance(ray, RayEngine) and (ray.workers, ray.address) == (3, "auto")
    assert make_engine("local", 2, progress=False).workers == 2
    assert make_engine("ray").workers is None
    assert make_engine("ray", gpus_per_worker=0.5).gpus_per_worker == 0.5


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("spark",), "HE004.*spark.*local, ray"),
        (("local", 0), "HE078"),
        (("ray", 0), "HE078"),
        (("local", 1, "auto"), "HE138.*'auto'"),
    ],
)
def test_what_is_no_engine(arguments, code):
    with pytest.raises(ValueError, match=code):
        make_engine(*arguments)


@pytest.mark.parametrize("name, gpus, code", [("local", 1, "HE291"), ("ray", -1, "HE002")])
def test_gpus_that_cannot_be_dealt_out(name, gpus, code):
    with pytest.raises(ValueError, match=code):
        make_engine(name, gpus_per_worker=gpus)


@pytest.mark.parametrize("progress, shown", [(None, False), (False, False), (True, True)])
def test_progress_is_shown_on_a_terminal_or_if_asked(tmp_path, capsys, progress, shown):
    run(LocalEngine(), tmp_path, shards=2)
    (tmp_path / "out" / "part-01.json").unlink()
    run(LocalEngine(progress=progress), tmp_path, shards=2)
    captured = capsys.readouterr()
    assert captured.out == ""
    # What was there before counts as done, but not for the rate.
    assert ("2/2" in captured.err and "50 rows" in captured.err) == shown
    assert bool(captured.err) == shown


def test_missing_ray_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"HE132.*pip install 'spacy_hetner\[ray\]'"):
        run(RayEngine(), tmp_path)
    run(LocalEngine(), tmp_path)


def test_ray_that_would_listen_on_networks_is_not_started(tmp_path, monkeypatch):
    ray, data = ModuleType("ray"), ModuleType("ray.data")
    private, constants = ModuleType("ray._private"), ModuleType("ray._private.ray_constants")
    ray.data, ray.is_initialized, constants.ENABLE_RAY_CLUSTER = data, lambda: False, True
    for module in (ray, data, private, constants):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(ValueError, match="HE134"):
        run(RayEngine(), tmp_path)
