"""Class trees: several superclasses, unknown ones, cycles; the real files of DBpedia."""

import lzma
import sys

import pytest

from spacy_hetner.labels.type_map import category_name, load_type_map
from spacy_hetner.wiki.ontology import (
    CYCLE,
    EXTERNAL,
    ITSELF,
    UNKNOWN,
    Ontology,
    read_ontology,
)

TREE = {
    "agent": ["thing"],
    "person": ["agent"],
    "artist": ["person"],
    "athlete": ["person"],
    "singer": ["artist"],
    "swimmer": ["athlete"],
    "place": [],
}
TURTLE = """\
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix : <http://dbpedia.org/ontology/> .
:Agent a owl:Class ; rdfs:subClassOf owl:Thing .
:Person a owl:Class ; rdfs:subClassOf :Agent , <http://schema.org/Person> ,
    [ a owl:Restriction ] .
:Soccer_player rdfs:subClassOf :person .
:Ghost rdfs:subClassOf :Spirit .
<http://schema.org/Person> a owl:Class .
"""
RDF_XML = """\
<rdf:RDF xmlns:owl="http://www.w3.org/2002/07/owl#"
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#">
  <owl:Class rdf:about="http://dbpedia.org/ontology/Agent"/>
  <owl:Class rdf:about="http://dbpedia.org/ontology/Person">
    <rdfs:subClassOf rdf:resource="http://dbpedia.org/ontology/Agent"/></owl:Class>
</rdf:RDF>
"""


def test_depth_is_the_longest_way_up():
    ontology = Ontology({**TREE, "centaur": ["place", "swimmer"]})
    assert ontology.depths["agent"] == ontology.depths["place"] == 1
    assert ontology.depths["swimmer"] == 4
    assert ontology.depths["centaur"] == 5
    assert ontology.ancestors("Centaur") == ("place", "swimmer", "athlete", "person", "agent")
    assert not ontology.dropped and len(ontology) == 8


@pytest.mark.parametrize(
    "classes, expected",
    [
        (["Agent", "Person", "Athlete"], "athlete"),
        (["Swimmer", "Person", "Singer"], "singer"),  # equally deep: by the alphabet
        (["Singer", "Swimmer"], "singer"),
        (["Place", "Agent"], "agent"),
        (["SocialPerson", "Agent"], "agent"),
        (["SocialPerson"], None),
        ([], None),
    ],
)
def test_most_specific_class(classes, expected):
    assert Ontology(TREE).most_specific(classes) == expected


def test_by_depth_agrees_with_most_specific():
    ontology = Ontology(TREE)
    ranks = {name: number for number, name in enumerate(ontology.by_depth)}
    assert set(ranks) == set(TREE)
    for one in TREE:
        for other in TREE:
            assert ontology.most_specific([one, other]) == max(one, other, key=ranks.__getitem__)


@pytest.mark.parametrize(
    "superclasses, dropped, depths",
    [
        ({"a": ["nowhere", "thing"]}, {UNKNOWN: 1}, {"a": 1}),
        ({"a": ["<http://schema.org/A>", "<http://schema.org/B>"]}, {EXTERNAL: 2}, {"a": 1}),
        ({"a": ["a"], "b": ["a"]}, {ITSELF: 1}, {"a": 1, "b": 2}),
        ({"a": ["b"], "b": ["a"]}, {CYCLE: 1}, {"a": 1, "b": 2}),
        # a < b < c < a: of the three the statement about a goes
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["b"]}, {CYCLE: 1}, None),
    ],
)
def test_what_cannot_be_is_left_out_and_counted(superclasses, dropped, depths):
    ontology = Ontology(superclasses)
    assert dict(ontology.dropped) == dropped
    if depths is None:
        depths = {"a": 1, "c": 2, "b": 3, "d": 4}
    assert ontology.depths == depths


def test_cycles_are_cut_the_same_way_in_any_order():
    pairs = {"a": ["b", "c"], "b": ["c"], "c": ["d", "a"], "d": ["b"], "e": ["a"]}
    turned = {name: pairs[name][::-1] for name in reversed(pairs)}
    assert Ontology(pairs).parents == Ontology(turned).parents
    assert Ontology(pairs).dropped == Ontology(turned).dropped == {CYCLE: 3}


def test_long_chains_need_no_recursion():
    ontology = Ontology({"c0": [], **{f"c{n}": [f"c{n - 1}"] for n in range(1, 5000)}})
    assert ontology.depths["c4999"] == 5000


def test_turtle(tmp_path):
    pytest.importorskip("rdflib")
    path = tmp_path / "small.ttl.xz"
    path.write_bytes(lzma.compress(TURTLE.encode()))
    ontology = read_ontology(path)
    assert ontology.parents == {
        "agent": (),
        "person": ("agent",),
        "soccerplayer": ("person",),
        "ghost": (),
    }
    assert dict(ontology.dropped) == {EXTERNAL: 2, UNKNOWN: 1}


def test_namespace(tmp_path):
    pytest.importorskip("rdflib")
    (tmp_path / "small.ttl").write_text(TURTLE)
    assert read_ontology(tmp_path / "small.ttl", "http://schema.org/").parents == {"person": ()}
    with pytest.raises(ValueError, match=r"HE157.*'http://example\.org/'"):
        read_ontology(tmp_path / "small.ttl", "http://example.org/")


def test_rdf_xml(tmp_path):
    pytest.importorskip("rdflib")
    (tmp_path / "small.owl").write_text(RDF_XML)
    assert read_ontology(tmp_path / "small.owl").parents == {"agent": (), "person": ("agent",)}


@pytest.mark.parametrize(
    "text, parents",
    [
        (
            "Type\tDepth\tParent\ndbo:Person\t2\tdbo:Agent\ndbo:Agent\t1\towl:Thing\n",
            {"person": ("agent",), "agent": ()},
        ),
        (
            "soccer_player\tisa\tathlete\nathlete\tantonym\tsloth\nathlete\tisa\tathlete\n",
            {"athlete": (), "soccerplayer": ("athlete",)},
        ),
    ],
)
def test_tables(tmp_path, text, parents):
    (tmp_path / "tree.tsv").write_text(text)
    assert read_ontology(tmp_path / "tree.tsv").parents == parents


@pytest.mark.parametrize(
    "name, text, code",
    [
        ("a.owl", "<rdf:RDF", r"HE155.*a\.owl"),
        ("a.ttl", ":a a :b", r"HE155.*a\.ttl"),
        ("a.tsv", "a\tisa\n", r"HE155.*line 1 has 2 columns"),
        ("a.txt", "", "HE157"),
        ("a.tsv", "a\tantonym\tb\n", "HE157"),
    ],
)
def test_unreadable_files(tmp_path, name, text, code):
    if not name.endswith(("tsv", "txt")):
        pytest.importorskip("rdflib")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=code):
        read_ontology(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="HE075"):
        read_ontology(tmp_path / "none.tsv")


def test_rdf_without_rdflib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    (tmp_path / "a.ttl").write_text(TURTLE)
    with pytest.raises(ValueError, match=r"HE156.*spacy_hetner\[wiki\]"):
        read_ontology(tmp_path / "a.ttl")


FILES = {
    "ontology/ontology.owl": 790,
    "ontology/dbo-snapshots.ttl.xz": 790,
    "smart_task/dbpedia_types.tsv": 761,
    "joie_db111k/db_onto_small_mini.txt": 119,
}


@pytest.fixture(scope="module")
def real(data_dir):
    pytest.importorskip("rdflib")
    return {name: read_ontology(data_dir / "dbpedia" / name) for name in FILES}


def test_real_files(real):
    assert {name: len(ontology) for name, ontology in real.items()} == FILES
    owl, turtle, table, joie = real.values()
    assert owl.parents == turtle.parents
    # 813 statements: 61 of owl:Thing; "building", "book" and "work" in lower case are understood
    assert dict(owl.dropped) == dict(turtle.dropped) == {EXTERNAL: 23, UNKNOWN: 2}
    assert owl.parents["hospital"] == ("building",)
    assert owl.most_specific(["Person", "SoccerPlayer", "Athlete"]) == "soccerplayer"
    assert dict(joie.dropped) == {ITSELF: 11, CYCLE: 1}
    assert not table.dropped


def test_depths_are_those_of_the_published_table(real, data_dir):
    lines = (data_dir / "dbpedia" / "smart_task" / "dbpedia_types.tsv").read_text().splitlines()
    published = {name[4:].lower(): int(depth) for name, depth, _ in map(str.split, lines[1:])}
    assert real["smart_task/dbpedia_types.tsv"].depths == {
        category_name(name): depth for name, depth in published.items()
    }


def test_four_types_cover_every_class_of_every_real_file(real, data_dir):
    classes = {name for ontology in real.values() for name in ontology.parents}
    joie = data_dir / "dbpedia" / "joie_db111k" / "db_InsType_mini.txt.xz"
    with lzma.open(joie, "rt", encoding="utf8") as file:
        classes.update(category_name(line.split("\t")[2].strip()) for line in file)
    targets = load_type_map("4types")
    assert len(classes) > 800 and classes <= targets.keys()
    # The map holds nothing that no file has.
    assert targets.keys() - classes == {"ENTITY", "thing"}
