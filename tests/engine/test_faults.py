"""Full disks and damaged parts: told with a code, and the resumed job is right."""

import errno
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from engine.toy_tasks import PATIENCE, begun, run

from spacy_hetner.engine.local import LocalEngine

# No file may grow beyond 4096 bytes: a part of 50 rows needs more.
LIMITED = """
import resource, sys
from pathlib import Path
from engine.toy_tasks import run
from spacy_hetner.engine.local import LocalEngine
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    run(LocalEngine(int(sys.argv[2])), Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_files_that_cannot_grow_stop_the_job(tmp_path, check_output, start_python, workers):
    pytest.importorskip("resource")
    output, errors = start_python(LIMITED, tmp_path, workers).communicate(timeout=PATIENCE)
    assert output.startswith("[HE126] Shard '0"), errors
    assert "[HE081] Cannot write to" in output
    assert not list((tmp_path / "out").glob("part-*"))
    assert not list((tmp_path / "out").glob(".*.partial"))
    run(LocalEngine(workers), tmp_path)
    check_output(tmp_path / "out")


@pytest.mark.parametrize("victim", ["part-03.parquet", "part-03.json"])
def test_full_disk_stops_the_job_and_keeps_what_was_finished(
    tmp_path, check_output, monkeypatch, victim
):
    def fill_up(function):
        def write(target, *arguments, **settings):
            # Of a Parquet writer, or of a path.
            if victim in str(getattr(target, "where", target)):
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(target, *arguments, **settings)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", fill_up(pq.ParquetWriter.write_table))
        patch.setattr(Path, "write_text", fill_up(Path.write_text))
        with pytest.raises(ValueError, match=r"HE126.*'03'.*HE081.*No space left.*goes on from th"):
            run(LocalEngine(), tmp_path)
    assert len(list((tmp_path / "out").glob("part-*.json"))) == 3
    assert not list((tmp_path / "out").glob(".*.partial"))
    run(LocalEngine(), tmp_path)
    check_output(tmp_path / "out")
    assert sorted(begun(tmp_path / "log").values()) == [1] * 5 + [2]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def same_size_other_end(path):
    path.write_bytes(path.read_bytes()[:-10] + b"x" * 10)


def change_note(**changes):
    def change(path):
        note = path.with_suffix(".json")
        note.write_text(json.dumps({**json.loads(note.read_text()), **changes}))

    return change


DAMAGES = {
    "data cut off": truncate,
    "data overwritten": same_size_other_end,
    "data gone": lambda path: path.unlink(),
    "note cut off": lambda path: truncate(path.with_suffix(".json")),
    "note empty": lambda path: path.with_suffix(".json").write_bytes(b""),
    "note no text": lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe{}"),
    "note no object": lambda path: path.with_suffix(".json").write_text("[1]"),
    "note gone": lambda path: path.with_suffix(".json").unlink(),
    "other number of rows": change_note(rows=49),
    "other size": change_note(bytes=7),
    "of another job": change_note(job="0" * 32),
    "counts are no counts": change_note(counts=[1]),
    "a count is no count": change_note(counts={"numbers": 3}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_part_is_done_again_and_no_other(tmp_path, check_output, damage):
    first = run(LocalEngine(), tmp_path)
    DAMAGES[damage](tmp_path / "out" / "part-03.parquet")
    assert run(LocalEngine(), tmp_path) == first
    check_output(tmp_path / "out")
    times = begun(tmp_path / "log")
    assert times.pop("03") == 2
    assert set(times.values()) == {1}
