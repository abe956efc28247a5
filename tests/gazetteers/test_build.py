"""Building gazetteers: conflicts, limits, reports."""

import json
from dataclasses import replace

import pytest

from spacy_hetner.gazetteers.build import build_gazetteer
from spacy_hetner.gazetteers.source import Source


@pytest.fixture
def sources(tmp_path):
    """Three dictionaries: 南京 is a LOC twice and an ORG once, 长江 a LOC and a PER."""
    content = {
        ("ORG", "org.txt"): "南京\t1\n苹果\t5\n",
        ("LOC", "loc.txt"): "南京\t2\n长江\t3\n南京\t2\n",
        ("PER", "per.txt"): "长江\t9\n",
    }
    for (_, name), text in content.items():
        (tmp_path / name).write_text(text, encoding="utf8")
    return [Source(tmp_path / name, label=label) for label, name in content]


def labels(gazetteer):
    return {surface: gazetteer.get(surface) for surface in gazetteer.surfaces}


@pytest.mark.parametrize(
    "conflict,priority,expected",
    [
        ("all", [], {"南京": ("ORG", "LOC"), "长江": ("LOC", "PER")}),
        ("all", ["PER", "LOC"], {"南京": ("LOC", "ORG"), "长江": ("PER", "LOC")}),
        ("first", [], {"南京": ("ORG",), "长江": ("LOC",)}),
        ("first", ["PER", "LOC"], {"南京": ("LOC",), "长江": ("PER",)}),
        ("majority", [], {"南京": ("LOC",), "长江": ("LOC",)}),
        ("majority", ["PER"], {"南京": ("LOC",), "长江": ("PER",)}),
        ("drop", [], {}),
    ],
)
def test_conflicts(sources, conflict, priority, expected):
    gazetteer, report = build_gazetteer(sources, conflict=conflict, priority=priority)
    assert labels(gazetteer) == {"苹果": ("ORG",), **expected}
    assert (report.ambiguous, report.repeated) == (2, 1)
    assert report.pairs == {
        " + ".join(sorted(pair, key=gazetteer.labels.index)): 1
        for pair in (("LOC", "ORG"), ("LOC", "PER"))
    }
    lost = {"all": 0, "first": 2, "majority": 2, "drop": 4}[conflict]
    assert sum(report.dropped.values()) == lost
    assert all(cause.startswith("label lost in a conflict") for cause in report.dropped)


def test_majority_counts_frequencies(sources):
    sources = [replace(source, frequency_column=2) for source in sources]
    gazetteer, _ = build_gazetteer(sources, conflict="majority")
    assert labels(gazetteer) == {"南京": ("LOC",), "长江": ("PER",), "苹果": ("ORG",)}
    gazetteer, report = build_gazetteer(sources, min_frequency=3)
    assert labels(gazetteer) == {"长江": ("LOC", "PER"), "苹果": ("ORG",)}
    assert report.dropped == {"seen less than 3 times": 3}


def test_limits_of_length(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"a\nab\n{'x' * 200}\n{'y' * 10_000}\n", encoding="utf8")
    gazetteer, report = build_gazetteer([Source(path, label="X")], min_length=2)
    assert list(map(len, gazetteer.surfaces)) == [2, 200]
    assert report.dropped == {"shorter than 2": 1, "longer than 200": 1}
    assert report.first_dropped["longer than 200"].startswith(f"{path}:4: 'yyy")
    gazetteer, report = build_gazetteer([Source(path, label="X")], max_length=0)
    assert list(map(len, gazetteer.surfaces)) == [1, 2, 200, 10_000] and not report.dropped
    with pytest.raises(ValueError, match=r"HE074.*a.txt:1.*shorter than 2"):
        build_gazetteer([Source(path, label="X")], min_length=2, strict=True)


def test_normalised_names_meet(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ＩＢＭ\nibm\nIBM\n", encoding="utf8")
    gazetteer, report = build_gazetteer([Source(path, label="X")], normalize=["case", "width"])
    assert gazetteer.surfaces == ["ibm"] and report.repeated == 2
    assert gazetteer.matcher.find_all(["IＢM"]).ends.tolist() == [3]


def test_an_empty_dictionary_beside_others(sources, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n", encoding="utf8")
    gazetteer, report = build_gazetteer([*sources, Source(empty, label="X")])
    assert len(gazetteer) == 3 and report.dropped == {"file without entries": 1}
    assert report.read[str(empty)] == 0
    with pytest.raises(ValueError, match=r"HE074.*empty.txt.*file without entries"):
        build_gazetteer([*sources, Source(empty, label="X")], strict=True)
    with pytest.raises(ValueError, match=r"HE114.*empty.txt.*file without entries"):
        build_gazetteer([Source(empty, label="X")])
    with pytest.raises(ValueError, match="HE114"):
        build_gazetteer([])


def test_report(sources):
    gazetteer, report = build_gazetteer(sources, conflict="first")
    assert report.entries == len(gazetteer) == 3
    assert list(report.read.values()) == [2, 3, 1]
    assert json.loads(json.dumps(report.to_dict()))["pairs"] == {"ORG + LOC": 1, "LOC + PER": 1}
    text = report.to_text()
    for line in (
        "repeated",
        "ORG + LOC",
        "dropped: label lost in a conflict: LOC",
        "first: '南京'",
    ):
        assert line in text, text


@pytest.mark.parametrize(
    "settings,code",
    [({"conflict": "last"}, "HE004"), ({"min_length": 0}, "HE078"), ({"max_length": -1}, "HE078")],
)
def test_settings_are_checked(sources, settings, code):
    with pytest.raises(ValueError, match=code):
        build_gazetteer(sources, **settings)
