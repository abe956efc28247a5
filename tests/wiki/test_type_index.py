"""The type index: most specific types, redirects, size, what is no index."""

import hashlib
import json
import tracemalloc

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_hetner.losses import Losses
from spacy_hetner.wiki import type_index
from spacy_hetner.wiki.instance_types import read_instance_types
from spacy_hetner.wiki.ontology import Ontology, read_ontology
from spacy_hetner.wiki.redirects import build_redirects
from spacy_hetner.wiki.title_hash import find_keys, hash_titles
from spacy_hetner.wiki.type_index import (
    COLLIDING,
    ENTITIES,
    REDIRECTS,
    UNTYPED_TARGET,
    TypeIndex,
    build_type_index,
)

NAMES = ["agent", "person", "artist", "city"]


def batch(pairs):
    titles, types = zip(*pairs, strict=True)
    return list(titles), numpy.array([NAMES.index(name) for name in types], "uint16")


def test_largest_type_of_a_title_counts(tmp_path):
    batches = [
        batch([("Nina Simone", "agent"), ("Nina Simone", "artist"), ("Lyon", "city")]),
        batch([("Nina Simone", "person"), ("Rhône", "agent")]),
    ]
    counts = build_type_index(batches, NAMES, tmp_path)
    index = TypeIndex.from_disk(tmp_path)
    assert [index.get(t) for t in ("Nina Simone", "Lyon", "Rhône", "Nina")] == [
        "artist",
        "city",
        "agent",
        None,
    ]
    assert index.find(["Nina", "Lyon", "Rhône"]).tolist() == [-1, 3, 0]
    assert index.find([]).tolist() == []
    assert len(index) == counts[ENTITIES] == 3 and counts[COLLIDING] == 0


def test_redirects_get_the_type_of_their_target(tmp_path):
    pairs = {"Simone": "Eunice", "Eunice": "Nina Simone", "Lugdunum": "Lyon", "Own": "Lyon"}
    pairs |= {"Nowhere": "Untyped page"}
    redirects, _ = build_redirects([tuple(zip(*pairs.items(), strict=True))])
    typed = [batch([("Nina Simone", "artist"), ("Lyon", "city"), ("Own", "person")])]
    counts = build_type_index(typed, NAMES, tmp_path, redirects=redirects)
    index = TypeIndex.from_disk(tmp_path)
    titles = ["Simone", "Eunice", "Lugdunum", "Own", "Nowhere", "Nina Simone"]
    types = ["artist", "artist", "city", "person", None, "artist"]
    assert [index.get(title) for title in titles] == types
    expected = {ENTITIES: 3, REDIRECTS: 3, UNTYPED_TARGET: 1, COLLIDING: 0}
    assert dict(counts) == expected
    assert json.loads((tmp_path / "types.json").read_text()) == {
        "types": NAMES,
        "counts": expected,
    }
    assert (numpy.diff(index.keys.astype(object)) > 0).all()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.text("AB ", min_size=1, max_size=3), st.sampled_from(NAMES))),
    st.dictionaries(st.text("ABC", min_size=1, max_size=2), st.text("ABC", max_size=2)),
)
def test_equals_a_dictionary(tmp_path_factory, pairs, redirects):
    folder = tmp_path_factory.mktemp("index")
    pairs = [("start", "agent"), *pairs]
    table, _ = build_redirects([(list(redirects), list(redirects.values()))])
    build_type_index(
        [batch(pairs[::2]), *([batch(pairs[1::2])] if pairs[1:] else [])],
        NAMES,
        folder,
        redirects=table,
    )
    index = TypeIndex.from_disk(folder)
    expected = {}
    for title, name in pairs:
        expected[title] = max(expected.get(title, name), name, key=NAMES.index)
    entities = dict(expected)
    for title in redirects:
        target = table.resolve([title])[0]
        if target != title and target in entities:
            expected.setdefault(title, entities[target])
    assert len(index) == len(expected)
    for title in {*expected, *redirects, *redirects.values()}:
        assert index.get(title) == expected.get(title)


def test_ten_bytes_a_title_and_every_bucket(tmp_path):
    titles = [f"Title {number}" for number in range(50_000)]
    types = (numpy.arange(50_000) % 4).astype("uint16")
    build_type_index([(titles[:30_000], types[:30_000]), (titles[30_000:], types[30_000:])],
                     NAMES, tmp_path)  # fmt: skip
    index = TypeIndex.from_disk(tmp_path)
    assert numpy.array_equal(index.find(titles), types)
    assert (index.find([f"{title}?" for title in titles]) == -1).all()
    size = sum((tmp_path / name).stat().st_size for name in ("keys.npy", "types.npy"))
    assert size == 50_000 * 10 + 2 * 128  # numpy's headers
    assert {path.name for path in tmp_path.iterdir()} == {"keys.npy", "types.npy", "types.json"}


def test_one_hash_for_two_titles_is_counted(tmp_path, monkeypatch):
    def hash_alike(titles):
        hashes = hash_titles(titles).copy()
        hashes[:, 0] = [len(title) for title in titles]
        return hashes

    monkeypatch.setattr(type_index, "hash_titles", hash_alike)
    typed = [batch([("aa", "agent"), ("bb", "city"), ("cc", "person"), ("d", "person")])]
    counts = build_type_index([*typed, *typed], NAMES, tmp_path)
    assert counts[COLLIDING] == 2 and counts[ENTITIES] == 2
    assert TypeIndex.from_disk(tmp_path).get("aa") == "city"


def test_hashes_are_the_same_everywhere():
    hashes = hash_titles(["Paris", "", "中国", "Paris"])
    assert hashes.shape == (4, 2) and hashes.dtype == "uint64"
    assert hashes[0].tolist() == hashes[3].tolist() != hashes[1].tolist()
    assert len(numpy.unique(hashes)) == 6
    digest = hashlib.blake2b("中国".encode(), digest_size=16).digest()
    assert hashes[2].tolist() == [
        int.from_bytes(digest[:8], "little"),
        int.from_bytes(digest[8:], "little"),
    ]
    assert hash_titles([]).shape == (0, 2)


def test_find_keys():
    table = numpy.array([1, 5, 2**64 - 1], "uint64")
    keys = numpy.array([0, 1, 2, 5, 6, 2**64 - 1], "uint64")
    assert find_keys(table, keys).tolist() == [-1, 0, -1, 1, -1, 2]
    assert find_keys(table[:0], keys).tolist() == [-1] * 6


def test_nothing_typed_leaves_no_index(tmp_path):
    with pytest.raises(ValueError, match="HE166"):
        build_type_index([], NAMES, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_failure_leaves_no_half_index(tmp_path):
    build_type_index([batch([("A", "city")])], NAMES, tmp_path)

    def broken():
        yield batch([("B", "city")])
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        build_type_index(broken(), NAMES, tmp_path)
    with pytest.raises(ValueError, match="HE162"):
        TypeIndex.from_disk(tmp_path)
    build_type_index([batch([("B", "city")])], NAMES, tmp_path)
    index = TypeIndex.from_disk(tmp_path)
    assert (index.get("A"), index.get("B")) == (None, "city")


def test_too_many_types(tmp_path):
    with pytest.raises(ValueError, match=r"HE163.*65536.*65537"):
        build_type_index([], [str(n) for n in range(65537)], tmp_path)


@pytest.mark.parametrize("damage", ["none", "names", "length", "dtype"])
def test_what_is_no_index(tmp_path, damage):
    if damage != "none":
        build_type_index([batch([("A", "city"), ("B", "city")])], NAMES, tmp_path)
    if damage == "names":
        (tmp_path / "types.json").write_text("{}")
    if damage == "length":
        numpy.save(tmp_path / "types.npy", numpy.zeros(1, "uint16"))
    if damage == "dtype":
        numpy.save(tmp_path / "types.npy", numpy.zeros(2, "int64"))
    with pytest.raises(ValueError, match="HE162"):
        TypeIndex.from_disk(tmp_path)


def test_memory_does_not_grow_with_the_entities(tmp_path):
    """What is held at a time is a batch and a bucket, a few per cent of all."""

    def batches():
        for start in range(0, 400_000, 20_000):
            yield [f"T{n}" for n in range(start, start + 20_000)], numpy.zeros(20_000, "uint16")

    tracemalloc.start()
    try:
        build_type_index(batches(), NAMES, tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 400_000 * 18  # what the entries alone would take


def test_real_types(data_dir, tmp_path):
    pytest.importorskip("rdflib")
    dbpedia = data_dir / "dbpedia"
    ontology = read_ontology(dbpedia / "ontology" / "ontology.owl")
    files = [dbpedia / "joie_db111k" / "db_InsType_mini.txt.xz"]
    counts = build_type_index(
        read_instance_types(files, ontology, Losses()), ontology.by_depth, tmp_path
    )
    index = TypeIndex.from_disk(tmp_path)
    assert counts[ENTITIES] > 98_000 and counts[COLLIDING] == 0
    assert index.get("Abraham Lincoln") == "officeholder"
    assert index.get("Alabama") == "administrativeregion"


def test_transitive_types_end_in_the_most_specific(data_dir, tmp_path):
    pytest.importorskip("rdflib")
    dbpedia = data_dir / "dbpedia"
    ontology = read_ontology(dbpedia / "ontology" / "ontology.owl")
    folder = dbpedia / "nordlys_2015-10_sample" / "core-i18n" / "en"
    batches = list(
        read_instance_types([folder / "instance_types_transitive_en.ttl.bz2"], ontology, Losses())
    )
    build_type_index(batches, ontology.by_depth, tmp_path)
    index = TypeIndex.from_disk(tmp_path)
    asserted = {}
    for titles, classes in batches:
        for title, number in zip(titles, classes.tolist(), strict=True):
            asserted.setdefault(title, []).append(ontology.by_depth[number])
    assert len(asserted) > 40
    assert index.get("British Airways") == "company"
    for title, classes in asserted.items():
        assert index.get(title) == ontology.most_specific(classes)


def test_index_of_an_ontology_prefers_the_alphabet_among_equals(tmp_path):
    ontology = Ontology({"b": [], "a": [], "c": ["a"]})
    names = ontology.by_depth
    typed = (["X", "X", "Y", "Y"], numpy.array([names.index(n) for n in "abbc"], "uint16"))
    build_type_index([typed], names, tmp_path)
    index = TypeIndex.from_disk(tmp_path)
    assert (index.get("X"), index.get("Y")) == ("a", "c")
