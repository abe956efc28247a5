"""The engine of one machine: same rows from one process and several, whatever dies on the way."""

import os
import signal
import time
from collections import Counter

import pytest
from engine.toy_tasks import PATIENCE, begun, run

from spacy_hetner.engine.local import LocalEngine

DRIVER = """
import signal, sys
from pathlib import Path
from engine.toy_tasks import run
from spacy_hetner.engine.local import LocalEngine
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background
folder, workers, trouble = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
run(LocalEngine(workers), folder, victim="02", trouble=trouble)
"""

# Ends itself at the n-th time that it opens, renames or removes a file of the job; then the job is
# run to its end. Forked, because then nothing is imported again.
KILLED_EVERYWHERE = """
import itertools, os, signal, sys
from pathlib import Path
from engine.toy_tasks import begun, run
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import digest
folder = Path(sys.argv[1])

def in_child(function, *arguments):
    child = os.fork()
    if not child:
        function(*arguments)
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]

def run_until(place, kill_at):
    left = itertools.count(kill_at, -1)
    out = str(place / "out")
    def hook(event, arguments):
        if event in ("open", "os.rename", "os.remove") and out in str(arguments[0]):
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    run(LocalEngine(), place, shards=3)

def finish(place):
    run(LocalEngine(), place, shards=3)
    partial = len(list((place / "out").glob(".*.partial")))
    print(digest(place / "out"), partial, sorted(begun(place / "log").values()))

for kill_at in itertools.count():
    place = folder / str(kill_at)
    (place / "log").mkdir(parents=True)
    if in_child(run_until, place, kill_at) == 0:
        break
    assert in_child(finish, place) == 0
"""


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_same_rows_and_counts_from_any_number_of_processes(tmp_path, check_output, workers):
    counts = run(LocalEngine(workers), tmp_path)
    assert counts == {"rows": {"total": 300}, "numbers": {"even": 150, "odd": 150}}
    check_output(tmp_path / "out")
    assert begun(tmp_path / "log") == Counter({f"{number:02d}": 1 for number in range(6)})


def test_work_is_done_in_other_processes_only_if_asked(tmp_path):
    run(LocalEngine(1), tmp_path / "one")
    run(LocalEngine(2), tmp_path / "two")
    here = {path.read_text() for path in (tmp_path / "one" / "log").iterdir()}
    there = {path.read_text() for path in (tmp_path / "two" / "log").iterdir()}
    assert here == {str(os.getpid())}
    assert not there & here and len(there) <= 2


def test_finished_shards_are_not_done_again(tmp_path, check_output):
    first = run(LocalEngine(), tmp_path)
    assert run(LocalEngine(2), tmp_path) == first
    assert set(begun(tmp_path / "log").values()) == {1}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "trouble, reason",
    [
        ("KeyError", r"KeyError: 'no such thing' \(toy_tasks\.py:\d+\)"),
        ("OSError", r"OSError: the input is gone \(toy_tasks\.py:\d+\)"),
        ("coded", r"\[HE064\] The file is damaged"),
    ],
)
def test_failing_shard_stops_the_job_and_keeps_the_others(
    tmp_path, check_output, workers, trouble, reason
):
    with pytest.raises(ValueError, match=rf"HE126.*'02' of in-2\.txt failed: {reason}"):
        run(LocalEngine(workers), tmp_path, victim="02", trouble=trouble)
    assert not (tmp_path / "out" / "part-02.parquet").exists()
    assert not list((tmp_path / "out").glob(".*.partial"))
    before = begun(tmp_path / "log")
    assert before["00"] == before["01"] == before["02"] == 1
    finished = {path.stem for path in (tmp_path / "out").glob("part-*.json")}
    assert {"part-00", "part-01"} <= finished or workers > 1
    (tmp_path / "log" / "well").touch()
    run(LocalEngine(workers), tmp_path, victim="02", trouble=trouble)
    check_output(tmp_path / "out")
    again = begun(tmp_path / "log")
    assert all(again[name.removeprefix("part-")] == 1 for name in finished)


def test_dead_worker_is_replaced_and_only_its_shard_is_done_again(tmp_path, check_output):
    run(LocalEngine(2), tmp_path, victim="02", trouble="die once")
    check_output(tmp_path / "out")
    assert begun(tmp_path / "log") == Counter(
        {"00": 1, "01": 1, "02": 2, "03": 1, "04": 1, "05": 1}
    )


def test_shard_that_kills_every_worker_is_named_after_some_tries(tmp_path, check_output):
    with pytest.raises(ValueError, match=r"HE127.*'02' of in-2\.txt died 2 time.* code -9"):
        run(LocalEngine(2, retries=1), tmp_path, victim="02", trouble="die")
    assert begun(tmp_path / "log")["02"] == 2
    (tmp_path / "log" / "well").touch()
    run(LocalEngine(2), tmp_path, victim="02", trouble="die")
    check_output(tmp_path / "out")


def wait_for(is_there, process):
    """The driver goes on by itself until then; should it fail instead, say why."""
    while not is_there():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_driver_leaves_a_job_that_goes_on_and_no_processes(
    tmp_path, check_output, start_python, workers, kill
):
    driver = start_python(DRIVER, tmp_path, workers, "wait")
    out, log = tmp_path / "out", tmp_path / "log"
    others = 5 if workers == 2 else 2  # with one worker, those before
    wait_for((log / "waiting").exists, driver)
    wait_for(lambda: len(list(out.glob("part-*.json"))) == others, driver)
    if kill == signal.SIGINT:  # as Ctrl-C does, to all processes of the terminal
        os.killpg(driver.pid, kill)
    else:
        driver.send_signal(kill)
    # Ends when the last process that could write there has ended.
    driver.communicate(timeout=PATIENCE)
    assert driver.returncode not in (0, None)
    (log / "well").touch()
    run(LocalEngine(workers), tmp_path, victim="02", trouble="wait")
    check_output(out)
    times = begun(log)
    assert times.pop("02") == 2
    assert set(times.values()) == {1}


def test_second_run_on_a_folder_is_refused(tmp_path, check_output, start_python):
    driver = start_python(DRIVER, tmp_path, 1, "wait")
    wait_for((tmp_path / "log" / "waiting").exists, driver)
    with pytest.raises(ValueError, match=f"HE128.*process {driver.pid} on "):
        run(LocalEngine(), tmp_path)
    assert list((tmp_path / "out").glob(".part-02.*.partial"))  # left to whom it belongs
    (tmp_path / "log" / "well").touch()
    _, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, errors
    check_output(tmp_path / "out")
    assert set(begun(tmp_path / "log").values()) == {1}


@pytest.mark.slow
def test_killed_at_any_moment_loses_and_doubles_nothing(tmp_path, expected_digest, start_python):
    process = start_python(KILLED_EVERYWHERE, tmp_path)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    # Three shards of at least two writings and two renamings each, the lock, the job.
    assert len(lines) > 15
    for line in lines:
        found, partial, times = line.split(" ", 2)
        assert found == expected_digest(3)
        assert partial == "0"
        # Only the shard in hand is begun again, if one was.
        assert times in ("[1, 1, 1]", "[1, 1, 2]")


@pytest.mark.parametrize("settings", [{"workers": 0}, {"workers": 1.5}, {"retries": -1}])
def test_impossible_settings(settings):
    with pytest.raises(ValueError, match="HE078"):
        LocalEngine(**settings)
