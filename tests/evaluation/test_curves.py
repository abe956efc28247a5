"""Tables and curves of few-shot rows."""

import builtins
import statistics

import pytest

from spacy_hetner.evaluation.curves import (
    Spread,
    save_curves,
    save_table,
    spread,
    summarize,
    to_markdown,
)


def row(n, start, f, p=0.5, r=0.25, total=200):
    scores = {"strict": {"p": p, "r": r, "f": f}}
    return {"n": n, "total": total, "start": start, "seed": 0, "scores": scores}


ROWS = [
    row(10, "plain", 0.10),
    row(10, "typed", 0.40, p=0.6),
    row(10, "plain", 0.20),
    row(10, "typed", 0.44, p=0.7),
    row(10, "plain", 0.36),
    row(5, "plain", 0.0, p=0.0, r=0.0),
]


def test_mean_and_standard_deviation_of_a_sample():
    """Deviations 0.12, 0.02, 0.14 of the mean 0.22: their squares sum to 0.0344, of two."""
    found = spread([0.10, 0.20, 0.36])
    assert found.mean == pytest.approx(0.22)
    assert found.sd == pytest.approx((0.0344 / 2) ** 0.5) == statistics.stdev([0.10, 0.20, 0.36])
    assert str(found) == "22.00 ± 13.11"


def test_one_run_has_no_deviation():
    assert spread([0.5]) == Spread(0.5, None)
    assert str(spread([0.5])) == "50.00"


def test_points_are_in_the_order_of_sizes_and_of_starts():
    points = summarize(ROWS)
    assert [(point.n, point.start, point.runs) for point in points] == [
        (5, "plain", 1),
        (10, "plain", 3),
        (10, "typed", 2),
    ]
    assert points[1].f == spread([0.10, 0.20, 0.36]) and points[2].p == spread([0.6, 0.7])


def test_the_table_is_in_percent(tmp_path):
    table = to_markdown(summarize(ROWS)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == ["sentences", "share", "start", "runs", "F", "P", "R"]
    assert cells[2:] == [
        ["5", "2.5%", "plain", "1", "0.00", "0.00", "0.00"],
        ["10", "5%", "plain", "3", "22.00 ± 13.11", "50.00 ± 0.00", "25.00 ± 0.00"],
        ["10", "5%", "typed", "2", "42.00 ± 2.83", "65.00 ± 7.07", "25.00 ± 0.00"],
    ]
    save_table(summarize(ROWS), tmp_path / "out" / "table.md")
    text = (tmp_path / "out" / "table.md").read_text("utf8")
    assert text.startswith("Strict scores") and text.endswith("\n".join(table) + "\n")


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]])
def test_curves_are_drawn_the_same_again(tmp_path, rows):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: extra [plots]")
    for suffix, magic in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        one, other = (tmp_path / f"{name}{suffix}" for name in ("one", "other"))
        save_curves(summarize(rows), one)
        save_curves(summarize(rows), other)
        assert one.read_bytes().startswith(magic) and one.read_bytes() == other.read_bytes()
    text = (tmp_path / "one.svg").read_text("utf8")
    for written in ("plain", "training sentences", "strict F, %", ">10<"):
        assert written in text
    assert ("typed" in text) == ("typed" in {row["start"] for row in rows})


def test_bands_are_a_standard_deviation_wide():
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    from spacy_hetner.evaluation.curves import _draw

    axes = figures.Figure().add_subplot()
    _draw(axes, summarize(ROWS))
    assert axes.get_xscale() == "log"
    plain, typed = axes.lines
    assert plain.get_xydata().tolist() == [[5, 0], [10, pytest.approx(22)]]
    assert typed.get_xydata().tolist() == [[10, pytest.approx(42)]]
    band = axes.collections[0].get_paths()[0].vertices
    at_ten = band[band[:, 0] == 10][:, 1]
    assert (at_ten.min(), at_ten.max()) == pytest.approx((22 - 13.1149, 22 + 13.1149), abs=1e-3)


def test_other_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"HE004.*\.gif.*\.png, \.svg"):
        save_curves(summarize(ROWS), tmp_path / "curve.gif")


def test_without_matplotlib_it_is_said(tmp_path, monkeypatch):
    load = builtins.__import__

    def missing(name, *args, **settings):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(f"No module named {name!r}")
        return load(name, *args, **settings)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.warns(UserWarning, match=r"HW215.*curve\.png.*matplotlib.*spacy_hetner\[plots\]"):
        save_curves(summarize(ROWS), tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()
