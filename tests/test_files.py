"""Files appear whole, or not at all."""

import pytest

from spacy_hetner.files import replacing, write_json


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
