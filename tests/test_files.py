"""Files appear whole, or not at all."""

import errno
import os
import shutil

import pytest

from spacy_hetner import files
from spacy_hetner.files import (
    clear_partial,
    remove_folder,
    replacing,
    replacing_folder,
    write_json,
)


def test_interrupted_writing_leaves_what_was_there(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_json_is_written_as_it_is_read(tmp_path):
    path = tmp_path / "folder" / "x.json"
    write_json(path, {"label": "\u5317\u4eac"})
    assert path.read_bytes() == '{\n  "label": "\u5317\u4eac"\n}\n'.encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "parent" / "x"
    with replacing_folder(path) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("new")
        assert not path.exists()
    assert (path / "inner" / "file").read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_with_all_in_it(tmp_path):
    path = tmp_path / "x"
    for name in ("old", "new"):
        with replacing_folder(path) as partial:
            (partial / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_writing_leaves_the_folder_that_was_there(tmp_path, error):
    path = tmp_path / "x"
    with replacing_folder(path) as partial:
        (partial / "file").write_text("old")
    with pytest.raises((KeyboardInterrupt, ValueError)), replacing_folder(path) as partial:
        (partial / "file").write_text("half")
        raise error
    assert (path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_of_our_number_left_is_no_part_of_a_folder(tmp_path):
    path = tmp_path / "x"
    with replacing_folder(path) as partial:
        scratch = partial.parent
    scratch.joinpath("new").mkdir(parents=True)
    scratch.joinpath("new", "left").write_text("left")
    with replacing_folder(path) as partial:
        (partial / "file").write_text("new")
    assert [file.name for file in path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"HE081.*x"), replacing_folder(tmp_path / "file" / "x"):
        pass


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / "x"
    synced = []

    def sync(part):
        synced.append((part.name, path.exists()))

    monkeypatch.setattr(files, "_sync", sync)
    with replacing_folder(path) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("x")
    before, after = synced[:-1], synced[-1]
    assert sorted(before) == [("file", False), ("inner", False), ("new", False)]
    assert after == (tmp_path.name, True)


def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch):
    def refuse(code):
        def fsync(_):
            raise OSError(code, "no")

        monkeypatch.setattr(os, "fsync", fsync)

    refuse(errno.EINVAL)
    with replacing_folder(tmp_path / "x"):
        pass
    assert (tmp_path / "x").is_dir()
    refuse(errno.EIO)
    with pytest.raises(ValueError, match="HE081"), replacing_folder(tmp_path / "y"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_removed_from_its_name_first(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.mkdir()
    with monkeypatch.context() as patches:
        patches.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if killed
        remove_folder(path)
    assert not path.exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / ".file.partial").write_text("a file")
    clear_partial(tmp_path)
    assert sorted(left.name for left in tmp_path.iterdir()) == [".file.partial", "kept"]
    with pytest.raises(ValueError, match=r"HE081.*x"):
        remove_folder(path)


def test_a_folder_that_was_taken_away_but_not_replaced_comes_back(tmp_path):
    """Its process was killed between the two."""
    left = tmp_path / ".thing.1.partial"
    (left / "old").mkdir(parents=True)
    (left / "old" / "a").write_text("old", encoding="utf8")
    (left / "new").mkdir()
    clear_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    assert (tmp_path / "thing" / "a").read_text(encoding="utf8") == "old"
