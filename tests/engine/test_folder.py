"""The folder of a job: one job, one run at a time, whose it is."""

import json
import warnings

import pytest
from engine.toy_tasks import Numbers, begun, run

from spacy_hetner.engine import folder as job_folder
from spacy_hetner.engine.folder import part_files
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import digest
from spacy_hetner.engine.task import Shard


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_job_is_described_and_the_same_run_twice_writes_the_same_bytes(tmp_path):
    key = {"seed": 3, "inputs": [{"name": "in"}], "path": tmp_path / "x", "pair": (1, 2)}
    for name in ("one", "two"):
        run(LocalEngine(), tmp_path / name, shards=2, key=key)
    job = json.loads((tmp_path / "one" / "out" / "job.json").read_text())
    assert job["key"] == {**key, "path": str(tmp_path / "x"), "pair": [1, 2]}
    assert job["columns"] == {"id": "string", "number": "int64", "noise": "binary"}
    assert content(tmp_path / "one" / "out") == content(tmp_path / "two" / "out")


def test_empty_jobs(tmp_path):
    assert run(LocalEngine(2), tmp_path, shards=0) == {"rows": {"total": 0}}
    assert part_files(tmp_path / "out") == []
    engine, task = LocalEngine(), Numbers(str(tmp_path))
    counts = engine.map(task, [Shard("a", "b", 5, 5)], tmp_path / "empty", key={})
    assert counts == {"rows": {"total": 0}}
    assert [file.name for file in part_files(tmp_path / "empty")] == ["part-a.parquet"]
    assert digest(tmp_path / "empty") == "0" * 32


@pytest.mark.parametrize(
    "change, difference",
    [
        ({"key": {"seed": 2}}, r"differs in: seed \(1 there, 2 here\)\."),
        ({"key": {"seed": 1, "p": 0.5}}, r"differs in: p \(null there, 0\.5 here\)\."),
        ({"key": {}}, r"differs in: seed \(1 there, null here\)\."),
        ({"key": {"seed": "x" * 200}}, r"1 there, \"x{70,}\.\.\. here"),
        ({"shards": 3}, r"differs in: shards "),
    ],
)
def test_another_job_is_refused_and_nothing_is_touched(tmp_path, change, difference):
    run(LocalEngine(), tmp_path, shards=2)
    before = content(tmp_path / "out")
    with pytest.raises(ValueError, match=rf"HE125.*{difference}"):
        run(LocalEngine(), tmp_path, **{"shards": 2, **change})
    before.pop(".lock"), (after := content(tmp_path / "out")).pop(".lock")
    assert after == before


def test_another_version_is_another_job(tmp_path, monkeypatch):
    run(LocalEngine(), tmp_path, shards=2)
    monkeypatch.setattr(job_folder, "__version__", "99")
    with pytest.raises(ValueError, match=r"HE125.*differs in: version \(.* there, \"99\" here"):
        run(LocalEngine(), tmp_path, shards=2)


def test_inputs_may_move(tmp_path):
    task = Numbers(str(tmp_path))
    engine = LocalEngine()
    shards = [Shard("a", "/here/in.txt", 0, 9)]
    moved = [Shard("a", "there/in.txt", 0, 9)]
    renamed = [Shard("a", "/here/of.txt", 0, 9)]
    engine.map(task, shards, tmp_path / "out", key={})
    engine.map(task, moved, tmp_path / "out", key={})
    assert begun(tmp_path) == {"a": 1}
    with pytest.raises(ValueError, match=r"HE125.*shards"):
        engine.map(task, renamed, tmp_path / "out", key={})


def test_start_anew(tmp_path, check_output):
    run(LocalEngine(), tmp_path, shards=8, key={"seed": 1})
    (tmp_path / "out" / "notes.txt").write_text("of the user")
    run(LocalEngine(), tmp_path, key={"seed": 2}, resume=False)
    check_output(tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").exists()
    assert begun(tmp_path / "log")["00"] == begun(tmp_path / "log")["05"] == 2
    run(LocalEngine(), tmp_path, key={"seed": 2}, resume=False)
    assert begun(tmp_path / "log")["00"] == 3


@pytest.mark.parametrize("resume", [True, False])
def test_parts_of_others_are_neither_taken_nor_deleted(tmp_path, resume):
    (tmp_path / "out").mkdir()
    other = tmp_path / "out" / "part-00000.parquet"
    other.write_bytes(b"PAR1 of somebody else")
    with pytest.raises(ValueError, match=r"HE137.*part-00000.parquet"):
        run(LocalEngine(), tmp_path, resume=resume)
    assert other.read_bytes() == b"PAR1 of somebody else"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": 1, "shards": {"count": 1}}', "\ud800"])
def test_what_does_not_describe_a_job(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "job.json").write_bytes(text.encode("utf8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"HE136.*job.json"):
        run(LocalEngine(), tmp_path)
    with pytest.raises(ValueError, match=r"HE136.*job.json"):
        part_files(tmp_path / "out")


@pytest.mark.parametrize("names", [["a", "a"], ["a/b"], [""], ["a", "b c"], ["a\n"]])
def test_names_that_make_no_files(tmp_path, names):
    shards = [Shard(name, "in", 0, 1) for name in names]
    with pytest.raises(ValueError, match="HE131"):
        LocalEngine().map(Numbers(str(tmp_path)), shards, tmp_path / "out", key={})
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ValueError, match=r"HE081.*out"):
        run(LocalEngine(), tmp_path)


def test_half_written_files_of_killed_runs_vanish_and_others_stay(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    orphans = [".part-00.parquet.123.partial", ".part-zz.json.9.partial", ".job.json.5.partial"]
    for name in (*orphans, ".corpus.parquet.77.partial"):
        (out / name).write_bytes(b"half")
    run(LocalEngine(), tmp_path)
    assert [path.name for path in out.glob(".*.partial")] == [".corpus.parquet.77.partial"]


def test_unfinished_jobs_are_no_input(tmp_path):
    with pytest.raises(ValueError, match="HE126"):
        run(LocalEngine(), tmp_path, victim="02", trouble="KeyError")
    with pytest.raises(ValueError, match=r"HE130.*4 of 6 shards"):
        part_files(tmp_path / "out")


def test_without_locks_it_goes_on_and_says_so(tmp_path, monkeypatch, check_output):
    def no_locks(file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(job_folder, "_lock", no_locks)
    with pytest.warns(UserWarning, match=r"HW125.*not supported"):
        run(LocalEngine(), tmp_path)
    check_output(tmp_path / "out")


def test_lock_is_dropped_after_success_and_failure(tmp_path, check_output):
    with pytest.raises(ValueError, match="HE126"):
        run(LocalEngine(), tmp_path, victim="02", trouble="KeyError")
    (tmp_path / "log" / "well").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(LocalEngine(), tmp_path)
        run(LocalEngine(), tmp_path)
    check_output(tmp_path / "out")
