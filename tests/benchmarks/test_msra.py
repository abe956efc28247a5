"""The parts of MSRA: what the cut gives, and that the two public copies agree."""

import io
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Dict, List, Sequence

import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_parquet

PARTS = ("train", "dev", "test")


def read_parts(folder: Path) -> Dict[str, List[Record]]:
    return {part: list(read_parquet(folder / "msra" / f"{part}.parquet")) for part in PARTS}


def write_mirror(folder: Path, sentences: Sequence[str]) -> None:
    blocks = "\n\n".join(
        "\n".join(f"{char}\t{'B-LOC' if char == '京' else 'O'}" for char in sentence)
        for sentence in sentences
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("dh_msra.txt", blocks)
    (folder / "msra").mkdir(parents=True)
    (folder / "msra" / "dh_msra.zip").write_bytes(packed.getvalue())
    (folder / "msra" / "test.char.bmes").write_text("北 B-NS\n京 E-NS\n\n我 S-NR\n", "utf8")


def test_what_comes_after_the_training_part_is_in_no_part(
    msra: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(msra, "TRAIN_SENTENCES", 10)
    monkeypatch.setattr(msra, "DEV_SENTENCES", 3)
    write_mirror(tmp_path / "data", [f"{number}京" for number in range(14)])
    msra.main(tmp_path / "data", tmp_path / "corpus")
    parts = read_parts(tmp_path / "corpus")
    assert [len(parts[part]) for part in PARTS] == [7, 3, 2]
    texts = {record.text for part in ("train", "dev") for record in parts[part]}
    assert texts == {f"{number}京" for number in range(10)}
    labels = [span.label for record in parts["test"] for span in record.spans]
    assert labels == ["LOC", "PER"]
    assert parts["test"][1].id == "msra-test-1"


def test_the_public_copies(msra: ModuleType, data_dir: Path, tmp_path: Path) -> None:
    msra.main(data_dir, tmp_path)
    parts = read_parts(tmp_path)
    assert [len(parts[part]) for part in PARTS] == [48_658, 2_000, 4_365]
    assert len({record.id for part in PARTS for record in parts[part]}) == 48_658 + 2_000 + 4_365
    labels = Counter(
        span.label for part in ("train", "dev") for record in parts[part] for span in record.spans
    )
    assert labels == {"LOC": 36_517, "ORG": 20_574, "PER": 17_618}
    labels = Counter(span.label for record in parts["test"] for span in record.spans)
    assert labels == {"LOC": 2_877, "ORG": 1_331, "PER": 1_973}
    # The test part of the file that both come from is not in it: 172,601 characters are.
    assert sum(len(record.tokens) for record in parts["test"]) == 172_601
