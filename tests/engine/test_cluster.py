"""Ray writes the same files, stays on loopback, and gives up when it should."""

import json

import pytest
from engine.toy_tasks import PATIENCE, begun

pytestmark = pytest.mark.slow

# One Ray for all tests: it takes seconds to start. In a process of its own, because it changes
# the environment and leaves threads.
SESSION = """
import json, sys
from pathlib import Path
import psutil
from engine.toy_tasks import run
from spacy_hetner.engine.make import make_engine

def listening():
    me = psutil.Process()
    found = []
    for process in [me, *me.children(recursive=True)]:
        for socket in process.net_connections(kind="inet"):
            if socket.status == psutil.CONN_LISTEN:
                found.append([process.name(), socket.laddr.ip])
    return found

def failing(*arguments, **settings):
    try:
        run(*arguments, **settings)
    except ValueError as error:
        return str(error)

folder = Path(sys.argv[1])
engine = make_engine("ray", 2)
told = {"counts": run(engine, folder / "quiet"), "listening": listening()}
print("quiet until here", file=sys.stderr)
told["again"] = run(engine, folder / "quiet")
told["failed"] = failing(engine, folder / "failed", victim="02", trouble="KeyError")
(folder / "failed" / "log" / "well").touch()
run(engine, folder / "failed", victim="02", trouble="KeyError")
run(engine, folder / "dying", victim="02", trouble="die once")
engine.retries = 0
told["killing"] = failing(engine, folder / "killing", victim="02", trouble="die")
(folder / "killing" / "log" / "well").touch()
run(engine, folder / "killing", victim="02", trouble="die")
(folder / "told.json").write_text(json.dumps(told))
"""


# Ray believes in GPUs that it is told of; nothing here uses one.
ACTORS = """
import json, sys
from pathlib import Path
from engine.toy_tasks import run
from spacy_hetner.engine.cluster import import_ray
from spacy_hetner.engine.make import make_engine

folder = Path(sys.argv[1])
ray = import_ray(local=True)
ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
told = {}
engine = make_engine("ray", gpus_per_worker=1)
told["counts"] = run(engine, folder / "quiet", shards=6)
run(engine, folder / "dying", victim="02", trouble="die once")
run(make_engine("ray", 1, gpus_per_worker=2), folder / "one")
try:
    run(make_engine("ray", gpus_per_worker=3), folder / "many")
except ValueError as error:
    told["too many"] = str(error)
(folder / "told.json").write_text(json.dumps(told))
"""


def run_session(script, folder, start_python):
    pytest.importorskip("ray", reason="needs Ray: pip install 'spacy_hetner[ray]'")
    pytest.importorskip("psutil")
    process = start_python(script, folder)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return json.loads((folder / "told.json").read_text()), folder, errors


@pytest.fixture(scope="module")
def actors(tmp_path_factory, start_python):
    """What actors with GPUs did, and the folder in which they did it."""
    return run_session(ACTORS, tmp_path_factory.mktemp("actors"), start_python)


@pytest.fixture(scope="module")
def session(tmp_path_factory, start_python):
    """What happened in a Ray session, and the folder in which it did."""
    return run_session(SESSION, tmp_path_factory.mktemp("ray"), start_python)


def test_same_rows_and_counts(session, check_output):
    told, folder, _ = session
    assert told["counts"] == {"rows": {"total": 300}, "numbers": {"even": 150, "odd": 150}}
    check_output(folder / "quiet" / "out")
    assert told["again"] == told["counts"]
    assert set(begun(folder / "quiet" / "log").values()) == {1}


def test_everything_listens_on_loopback_only(session):
    told, _, _ = session
    names = {name for name, _ in told["listening"]}
    assert {"gcs_server", "raylet"} <= names  # the audit sees Ray's own processes
    outside = [
        (name, ip)
        for name, ip in told["listening"]
        if ip.removeprefix("::ffff:") != "127.0.0.1" and ip != "::1"
    ]
    assert not outside


def test_failing_shard_is_named_and_the_job_goes_on_later(session, check_output):
    told, folder, _ = session
    assert told["failed"].startswith("[HE126] Shard '02' of in-2.txt failed: KeyError")
    check_output(folder / "failed" / "out")


def test_dead_worker_costs_its_shard_only(session, check_output):
    _, folder, _ = session
    check_output(folder / "dying" / "out")
    times = begun(folder / "dying" / "log")
    assert times.pop("02") == 2
    assert set(times.values()) == {1}


def test_shard_that_keeps_killing_workers_ends_the_job(session, check_output):
    told, folder, _ = session
    assert told["killing"].startswith("[HE133] Ray failed (this machine)")
    check_output(folder / "killing" / "out")
    assert begun(folder / "killing" / "log")["02"] == 1 + 1


def test_nothing_is_said_that_nobody_asked_for(session):
    _, _, errors = session
    assert errors.partition("quiet until here")[0] == ""


def processes(folder):
    """The processes that did shards."""
    return {path.read_text() for path in (folder / "log").iterdir() if path.suffix}


def test_workers_with_gpus_stay_from_shard_to_shard(actors, check_output):
    told, folder, _ = actors
    assert told["counts"] == {"rows": {"total": 300}, "numbers": {"even": 150, "odd": 150}}
    check_output(folder / "quiet" / "out")
    check_output(folder / "one" / "out")
    assert 1 <= len(processes(folder / "quiet")) <= 2
    assert len(processes(folder / "one")) == 1


def test_a_worker_with_a_gpu_that_dies_is_replaced(actors, check_output):
    _, folder, _ = actors
    check_output(folder / "dying" / "out")
    assert begun(folder / "dying" / "log")["02"] == 2


def test_more_gpus_than_there_are(actors):
    told, _, _ = actors
    assert told["too many"].startswith("[HE290] Each worker is to have 3.0 GPUs")
