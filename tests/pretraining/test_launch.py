"""Several processes compute what one does, and survive the death of one of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pretraining.conftest import losses, read_log

from spacy_hetner.pretraining import launch
from spacy_hetner.pretraining.launch import run_on_ray

pytestmark = pytest.mark.slow
STEPS = 50
# Both processes take part in every step, and in the last one of an epoch only the first has work.
SHARED = {"max_steps": STEPS, "max_epochs": 0, "checkpoint_frequency": 10, "accumulate": 4}


@pytest.fixture
def config_file(make_config, tmp_path):
    """The file of a config; dropout is on, since it does not depend on the processes either."""

    def write(**settings):
        path = tmp_path / "config.cfg"
        make_config(**{**SHARED, **settings}).to_disk(path)
        return path

    return write


def command(config, output, *options):
    arguments = [str(config), "--output", str(output), "--cpu", *options]
    return [sys.executable, "-m", "spacy", "hetner", "pretrain", *arguments]


def environment(**variables):
    # Gloo looks for a network that reaches the name of the machine, which need not be there.
    here = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "RAY_worker_niceness": "0"}
    return {**os.environ, **here, **variables}


def start(config, output, *options, **variables):
    result = subprocess.run(
        command(config, output, *options),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.fixture
def straight(run, tmp_path):
    """The losses of a run of one process."""
    run("straight", **SHARED)
    return losses(tmp_path / "straight")


def assert_same_losses(folder, expected):
    found = losses(folder)
    assert found.keys() == expected.keys() == set(range(1, STEPS + 1))
    assert max(abs(found[step] - expected[step]) for step in expected) <= 1e-6


def processes_of(folder):
    stage = json.loads((Path(folder) / "encoder" / "stage.json").read_text(encoding="utf8"))
    return stage["processes"]


def test_two_processes_of_torchrun_compute_what_one_does(config_file, tmp_path, straight):
    start(config_file(), tmp_path / "two", "--launcher", "torchrun", "--processes", "2")
    assert processes_of(tmp_path / "two") == 2
    assert_same_losses(tmp_path / "two", straight)
    one, two = (read_log(tmp_path / name, "evaluation") for name in ("straight", "two"))
    assert [line["scores"] for line in one] == [line["scores"] for line in two]


WATCHER = """
import atexit, os
from contextlib import suppress
from pathlib import Path

def tell():
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has just ended
            names.append((task / "comm").read_text())
    Path(os.environ["THREADS"], os.environ["RANK"]).write_text("".join(names))

if "RANK" in os.environ:
    atexit.register(tell)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_threads_of_the_process_group_end_before_python_does(config_file, tmp_path):
    """One that has a tensor to drop while Python ends aborts its process, now and then."""
    watcher, threads = tmp_path / "watcher.py", tmp_path / "threads"
    watcher.write_text(WATCHER)
    threads.mkdir()
    options = ["--launcher", "torchrun", "--processes", "2", "--code", str(watcher)]
    start(config_file(max_steps=2), tmp_path / "two", *options, THREADS=str(threads))
    for rank in "01":
        names = (threads / rank).read_text().split()
        assert names and not [name for name in names if "gloo" in name]


KILLER = """
import os, signal
from pathlib import Path
from spacy_hetner.pretraining.trainer import Trainer

plain, victim = Trainer.step, Path(os.environ["VICTIM"])

def step(trainer, planned, number, *, stop):
    if number == 27 and trainer.accelerator.process_index == 1 and not victim.exists():
        victim.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(trainer, planned, number, stop=stop)

Trainer.step = step
"""


@pytest.fixture
def killer(tmp_path, monkeypatch):
    """Have one of two processes killed in step 28 of its first life; returns what tells of it."""
    folder = tmp_path / "killer"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys, threading, importlib.abc, importlib.util\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name != 'spacy_hetner.pretraining.launch':\n"
        "            return None\n"
        "        sys.meta_path.remove(self)\n"
        "        import killer\n"
        "        return None\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    (folder / "killer.py").write_text(KILLER)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("VICTIM", str(tmp_path / "victim"))
    return tmp_path / "victim"


def test_torchrun_survives_a_killed_process(config_file, tmp_path, straight, killer):
    options = ["--launcher", "torchrun", "--processes", "2", "--restarts", "1"]
    start(config_file(), tmp_path / "killed", *options)
    assert killer.exists()
    assert_same_losses(tmp_path / "killed", straight)


def test_a_killed_run_is_resumed(config_file, tmp_path, straight):
    """SIGKILL at any moment, here while steps are done or a checkpoint is written."""
    config, output = config_file(), tmp_path / "killed"
    for step in (12, 31):
        process = subprocess.Popen(
            command(config, output, "--resume"),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and max(_steps_of(output), default=0) < step:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    start(config, output, "--resume")
    assert_same_losses(output, straight)


def _steps_of(output):
    try:
        return list(losses(output))
    except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or half a line
        return []


def test_sigterm_reaches_all_processes(config_file, tmp_path):
    config, output = config_file(max_steps=10**4), tmp_path / "stopped"
    process = subprocess.Popen(
        command(config, output, "--launcher", "torchrun", "--processes", "2"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and max(_steps_of(output), default=0) < 5:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) != 0
    end = read_log(output, "end")[0]
    assert not end["finished"]
    assert (output / "checkpoints" / f"step-{end['step']:07d}").is_dir()


def test_ray_computes_what_one_process_does(config_file, tmp_path, straight):
    start(config_file(), tmp_path / "ray", "--launcher", "ray", "--processes", "2")
    assert processes_of(tmp_path / "ray") == 2
    assert_same_losses(tmp_path / "ray", straight)


def test_ray_survives_a_killed_process(config_file, tmp_path, straight, killer):
    options = ["--launcher", "ray", "--processes", "2", "--restarts", "1"]
    start(config_file(), tmp_path / "ray", *options)
    assert killer.exists()
    assert_same_losses(tmp_path / "ray", straight)


def test_accelerate_launch_on_a_cpu_is_found_out(config_file, tmp_path):
    """It starts one process, whatever it is asked for."""
    arguments = command(config_file(), tmp_path / "alone", "--processes", "2")[2:]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--cpu"),
            *("--num_processes", "2", "-m", *arguments),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode != 0 and "HE196" in result.stdout + result.stderr


def test_batches_must_be_shared_out_evenly(config_file, tmp_path):
    result = subprocess.run(
        command(config_file(accumulate=3), tmp_path / "odd", "--launcher", "torchrun", "-n", "2"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode != 0 and "HE198" in result.stdout + result.stderr


def test_ray_leaves_the_folder_of_another_run_alone(run, make_config, tmp_path):
    run("a", max_steps=1)
    with pytest.raises(ValueError, match="HE195"):
        run_on_ray(make_config(max_steps=1), tmp_path / "a", processes=1)


def test_a_process_that_torchrun_started_again_resumes(monkeypatch):
    assert not launch.is_restart()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert launch.is_restart()
