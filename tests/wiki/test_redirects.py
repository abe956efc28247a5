"""Redirects: chains, circles, double titles, files."""

import bz2

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.wiki.redirects import (
    CIRCULAR,
    REPEATED,
    TOO_LONG,
    Redirects,
    build_redirects,
    read_redirects,
)


def build(pairs, **options):
    return build_redirects([tuple(zip(*pairs.items(), strict=True))] if pairs else [], **options)


def test_chains_are_followed():
    redirects, dropped = build({"A": "B", "B": "C", "X": "Y"})
    assert redirects.resolve(["A", "B", "C", "X", "Y", "Z"]) == ["C", "C", "C", "Y", "Y", "Z"]
    assert redirects.resolve([]) == [] and len(redirects) == 3 and not dropped


def test_circles_are_cut():
    redirects, dropped = build({"A": "B", "B": "C", "C": "A", "Into": "A", "I": "I", "X": "Y"})
    assert redirects.resolve(["A", "B", "C", "Into", "I", "X"]) == ["A", "B", "C", "Into", "I", "Y"]
    assert dict(dropped) == {CIRCULAR: 5}


@pytest.mark.parametrize("max_steps, lost", [(1, 9), (3, 7), (9, 1), (10, 0)])
def test_depth_is_bounded(max_steps, lost):
    redirects, dropped = build({f"T{n}": f"T{n + 1}" for n in range(10)}, max_steps=max_steps)
    titles = [f"T{n}" for n in range(10)]
    assert redirects.resolve(titles) == titles[:lost] + ["T10"] * (10 - lost)
    assert dropped[TOO_LONG] == lost and dropped[CIRCULAR] == 0


@pytest.mark.parametrize("max_steps", [0, -1, 1.5])
def test_wrong_depth(max_steps):
    with pytest.raises(ValueError, match="HE078"):
        build({}, max_steps=max_steps)


def test_first_target_counts():
    redirects, dropped = build_redirects([(["A"], ["B"]), (["A", "C"], ["X", "Y"])])
    assert redirects.resolve(["A", "C"]) == ["B", "Y"]
    assert dict(dropped) == {REPEATED: 1}


def test_no_redirects(tmp_path):
    redirects, dropped = build_redirects([])
    redirects.to_disk(tmp_path / "r.arrow")
    assert Redirects.from_disk(tmp_path / "r.arrow").resolve(["A"]) == ["A"] and not dropped


def test_round_trip(tmp_path):
    redirects, _ = build({"Ä": "B", "B": "中", "X": "Y"})
    redirects.to_disk(tmp_path / "made" / "r.arrow")
    again = Redirects.from_disk(tmp_path / "made" / "r.arrow")
    assert again.resolve(["Ä", "X", "Q"]) == ["中", "Y", "Q"]
    assert numpy.array_equal(again.keys, redirects.keys)


@pytest.mark.parametrize("content", [b"", b"no arrow file", None])
def test_what_is_no_table(tmp_path, content):
    if content is not None:
        (tmp_path / "r.arrow").write_bytes(content)
    with pytest.raises(ValueError, match=r"HE162.*r\.arrow"):
        Redirects.from_disk(tmp_path / "r.arrow")


def test_pages(tmp_path):
    pages = pa.table({"id": [1, 2, 3], "title": ["A", "B", "C"], "redirect": ["C", None, None]})
    pq.write_table(pages, tmp_path / "pages.parquet")
    redirects, _ = build_redirects(read_redirects([tmp_path / "pages.parquet"]))
    assert redirects.resolve(["A", "B"]) == ["C", "B"] and len(redirects) == 1


def test_pages_without_the_column(tmp_path):
    pq.write_table(pa.table({"title": ["A"]}), tmp_path / "pages.parquet")
    with pytest.raises(ValueError, match=r"HE129.*redirect"):
        list(read_redirects(tmp_path))


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGHIJ")))
def test_equals_walking_step_by_step(pairs):
    redirects, dropped = build(pairs)
    circular = 0
    for title in "ABCDEFGHIJ":
        seen, end = [title], title
        while end in pairs and pairs[end] not in seen:
            end = pairs[end]
            seen.append(end)
        if end in pairs:
            circular += 1
            end = title
        assert redirects.resolve([title]) == [end]
    assert dropped[CIRCULAR] == circular


def test_real_redirect(data_dir):
    """One chain through the statements of a real release."""
    path = data_dir / "dbpedia/nordlys_2015-10_sample/core-i18n/en/transitive_redirects_en.ttl.bz2"
    text = bz2.decompress(path.read_bytes()).decode()
    names = text.replace("_", " ").split("/resource/")[1:]
    source, target = (name.split(">")[0] for name in names)
    redirects, _ = build({source: target})
    assert redirects.resolve(["Chrysler Horizon"]) == ["Simca-Talbot Horizon"]
