"""Gazetteers: labels, normalisation, saving, statistics."""

import json

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.normalize import STEPS, Normalizer
from spacy_hetner.gazetteers.statistics import GazetteerStatistics

NAMES = {
    "Paris": ["LOC", "PER"],
    "南京": ["LOC"],
    "王小明": ["PER"],
    "ＩＢＭ": ["ORG"],
    "IBM": ["BRAND"],
}


def test_labels_come_in_order_of_priority():
    gazetteer = Gazetteer(NAMES, labels=["PER", "LOC"])
    assert gazetteer.labels == ("PER", "LOC", "ORG", "BRAND")
    assert gazetteer.get("Paris") == ("PER", "LOC")
    assert gazetteer.get("Par") == gazetteer.get("") == gazetteer.get("zzz") == ()
    assert "南京" in gazetteer and "北京" not in gazetteer
    assert len(gazetteer) == 5 and gazetteer.surfaces == sorted(NAMES)
    for entry, surface in enumerate(gazetteer.surfaces):
        assert gazetteer.labels_of(entry) == gazetteer.get(surface)


def test_names_that_become_the_same_are_one_entry_with_all_labels():
    gazetteer = Gazetteer(NAMES, normalize=["case", "width"])
    assert gazetteer.surfaces == ["ibm", "paris", "南京", "王小明"]
    assert gazetteer.get("Ｉbm") == ("ORG", "BRAND")


@pytest.mark.parametrize(
    "names", [{"": ["X"]}, {"a": []}, {"a\nb": ["X"]}, {"a\ud800": ["X"]}, {"\udfff": ["X"]}]
)
def test_what_is_no_entry_is_refused(names):
    with pytest.raises(ValueError, match="HE111"):
        Gazetteer(names)


@settings(max_examples=30)
@given(st.dictionaries(st.text("ab南😀 ", min_size=1), st.sets(st.sampled_from("XYZ"), min_size=1)))
def test_bytes_give_the_same_gazetteer(names):
    before = Gazetteer(names, normalize=["width"])
    after = Gazetteer.from_bytes(before.to_bytes())
    assert (after.surfaces, after.labels) == (before.surfaces, before.labels)
    assert all(after.get(name) == before.get(name) for name in names)
    texts = [*names, "".join(names), "aＡ"]
    found = zip(before.matcher.find_all(texts), after.matcher.find_all(texts), strict=True)
    assert all(numpy.array_equal(one, other) for one, other in found)
    assert after.to_bytes() == before.to_bytes()


def test_disk_round_trip_builds_nothing(tmp_path, monkeypatch):
    before = Gazetteer(NAMES, normalize=["width", "case"])
    before.to_disk(tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [
        "entries.txt", "gazetteer.json", "gazetteer.safetensors",
    ]  # fmt: skip
    monkeypatch.setattr("spacy_hetner.gazetteers.trie.Trie.build", None)
    after = Gazetteer.from_disk(tmp_path / "a" / "b")
    assert after.matcher.find_longest(["ｉＢＭ in PARIS"]).starts.tolist() == [0, 7]
    assert after.normalizer.steps == ("width", "case")


def damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "name,change",
    [
        ("entries.txt", lambda content: content + b"one more\n"),
        ("entries.txt", lambda content: b"\xff" + content),
        ("gazetteer.json", lambda content: content[:-5]),
        ("gazetteer.json", lambda content: b"[]"),
        ("gazetteer.json", lambda content: content.replace(b'"format": 1', b'"format": 9')),
        ("gazetteer.json", lambda content: content.replace(b'"label_sets"', b'"other"')),
        ("gazetteer.safetensors", lambda content: content[:-8]),
        ("gazetteer.safetensors", lambda content: b""),
        ("gazetteer.safetensors", lambda content: content.replace(b'"slots"', b'"stols"')),
    ],
)
def test_a_damaged_gazetteer_is_told(tmp_path, name, change):
    Gazetteer(NAMES).to_disk(tmp_path)
    damage(tmp_path, name, change)
    with pytest.raises(ValueError, match="HE112"):
        Gazetteer.from_disk(tmp_path)


def test_files_of_two_gazetteers_do_not_mix(tmp_path):
    Gazetteer(NAMES).to_disk(tmp_path)
    Gazetteer({"a": ["X"]}).to_disk(tmp_path / "other")
    (tmp_path / "other" / "gazetteer.safetensors").replace(tmp_path / "gazetteer.safetensors")
    with pytest.raises(ValueError, match=r"HE112.*belong together"):
        Gazetteer.from_disk(tmp_path)


def test_what_is_no_gazetteer_is_told(tmp_path):
    with pytest.raises(ValueError, match="HE112"):
        Gazetteer.from_disk(tmp_path)
    with pytest.raises(ValueError, match="HE112"):
        Gazetteer.from_bytes(b"\xc1")


def test_normalisation_is_one_character_for_one():
    normalizer = Normalizer(["case", "width"])
    assert normalizer.steps == ("width", "case")
    assert normalizer("ＡＢＣ　１２ｱ ß İ Σς ﬁ") == "abc 12ア ß İ σσ ﬁ"
    everything = "".join(map(chr, range(0xD800))) + "".join(map(chr, range(0xE000, 0x110000)))
    assert len(normalizer(everything)) == len(everything)
    assert normalizer(normalizer(everything)) == normalizer(everything)


def test_simplified_characters_by_opencc():
    pytest.importorskip("opencc")
    normalizer = Normalizer(STEPS)
    assert normalizer("臺灣ＡＢ薴") == "台湾ab苎"
    changes = normalizer.to_array()
    assert len(changes) > 4000
    again = Normalizer.from_array(STEPS, changes)
    assert numpy.array_equal(again.table, normalizer.table)
    assert numpy.array_equal(normalizer.table[normalizer.table], normalizer.table)
    gazetteer = Gazetteer({"台湾": ["LOC"]}, normalize=["simplified"])
    assert gazetteer.matcher.find_all(["在臺灣"]).starts.tolist() == [1]


def test_a_saved_gazetteer_needs_no_opencc(monkeypatch):
    pytest.importorskip("opencc")
    content = Gazetteer({"台湾": ["LOC"]}, normalize=["simplified"]).to_bytes()
    monkeypatch.setitem(__import__("sys").modules, "opencc", None)
    assert Gazetteer.from_bytes(content).get("臺灣") == ("LOC",)
    with pytest.raises(ValueError, match=r"HE110.*spacy_hetner\[opencc\]"):
        Normalizer(["simplified"])


def test_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match=r"HE004.*upper"):
        Normalizer(["upper"])


def test_statistics(tmp_path):
    names = {"ab": ["X", "Y"], "cd": ["X", "Y"], "efg": ["X", "Z"], "h": ["Z"], "i" * 200: ["Z"]}
    names.update({f"{n:05d}": ["Y"] for n in range(1000)})
    statistics = GazetteerStatistics.of(Gazetteer(names))
    assert statistics.entries == 1005
    assert statistics.labels == {"X": 3, "Y": 1002, "Z": 3}
    assert statistics.ambiguous == 3
    assert list(statistics.pairs.items()) == [("X + Y", 2), ("X + Z", 1)]
    assert statistics.lengths == {1: 1, 2: 2, 3: 1, 5: 1000, 200: 1}
    assert json.loads(json.dumps(statistics.to_dict()))["entries"] == 1005
    lines = [line.split() for line in statistics.to_text().splitlines() if line.strip()]
    for line in (["entries", "1,005"], ["X", "+", "Y", "2"], ["length", "5-6", "1,000"]):
        assert line in lines
    assert ["length", "129+", "1"] in lines


def test_statistics_of_nothing():
    statistics = GazetteerStatistics.of(Gazetteer({}))
    assert (statistics.entries, statistics.ambiguous, statistics.lengths) == (0, 0, {})
    assert "entries" in statistics.to_text()
