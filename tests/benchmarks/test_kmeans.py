"""The benchmark of clustering, on few vectors."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy
import pytest
from benchmarks.conftest import load_script
from typer import Typer
from typer.testing import CliRunner


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for memory")
def test_both_are_measured_on_the_same_vectors(repo_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    script = load_script(repo_root / "benchmarks" / "kmeans.py")
    app = Typer()
    app.command()(script.main)
    vectors = numpy.random.default_rng(0).normal(size=(20000, 8)) + 3
    vectors.astype("float32").tofile(tmp_path / "mine.f32")
    options = ["--vectors", str(tmp_path / "mine.f32"), "--width", "8", "--clusters", "3"]
    done = CliRunner().invoke(app, [*options, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    row = json.loads((tmp_path / "k3.json").read_text(encoding="utf8"))
    assert row["vectors"] == 20000 and row["data"] == "mine.f32"
    assert abs(row["inertia_excess"]) < 0.1
    assert all(run["steps"] > 1 for runs in (row["ours"], row["sklearn"]) for run in runs)
    assert str(tmp_path) not in json.dumps(row)


def test_random_vectors_are_as_many_as_asked_for(repo_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    script = load_script(repo_root / "benchmarks" / "kmeans.py")
    script.write_random_vectors(tmp_path / "vectors", 12_345, 6)
    vectors = numpy.fromfile(tmp_path / "vectors", "float32").reshape(-1, 6)
    assert len(vectors) == 12_345 and vectors.mean() > 3


def test_the_page_names_the_goals(tables: ModuleType, tmp_path: Path) -> None:
    row = {"vectors": 1_000_000, "width": 384, "clusters": 23, "hardware": "x86_64", "rounds": 1}
    row |= {"time_ratio": 0.108, "inertia_excess": 0.0016}
    row["memory_beyond_data_mb"] = {"ours": 36, "sklearn": 2921}
    (tmp_path / "kmeans").mkdir()
    (tmp_path / "kmeans" / "k23.json").write_text(json.dumps(row))
    page = tables.make_page(tmp_path)
    assert "| 0.108 (goal ≤ 0.2) | +0.16 % (goal ≤ 0.2 %) | 36 (goal ≤ 200) | 2,921 | 1 |" in page
