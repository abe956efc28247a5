"""Maps of entities: what is drawn, how it is projected, and what the picture holds."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_docbin, write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.evaluation import pictures, projection
from spacy_hetner.evaluation.projection import (
    COLORS,
    MARKERS,
    MOST_LABELS,
    EntityMap,
    Panel,
    check_picture,
    encode_entities,
    project_entities,
    project_vectors,
    sample_entities,
    save_entity_map,
)
from spacy_hetner.types import LabelledSpan

RECORDS = [
    Record(
        ["the", "City", "of", f"Nr{i}", "met", f"Ada{i}", "Byron"],
        [LabelledSpan(1, 4, "ORG"), LabelledSpan(3, 4, "LOC"), LabelledSpan(5, 7, "PER")],
        id=f"s{i}",
    )
    for i in range(30)
]


def needs_sklearn():
    return pytest.importorskip("sklearn")


def needs_matplotlib():
    return pytest.importorskip("matplotlib")


def clusters(n_labels=3, size=12, width=16, spread=0.05):
    """Vectors around as many orthogonal directions as there are labels, and their labels."""
    rng = numpy.random.default_rng(0)
    centers = numpy.eye(n_labels, width).repeat(size, axis=0)
    labels = [f"L{i}" for i in range(n_labels) for _ in range(size)]
    return centers + spread * rng.standard_normal(centers.shape), labels


def ring(labels=("LOC", "PER"), panels=("runs/a/encoder", "runs/b/encoder")):
    """A small map that no encoder was needed for."""
    names = sorted(labels) * 4
    angles = numpy.linspace(0, 6, len(names))
    points = numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1)
    return EntityMap("pca", names, names, [Panel(name, points, 0.25) for name in panels])


# What is drawn


def drawn(records, **settings):
    return [(e.label, e.text, e.start) for e in sample_entities(records, **settings)]


@given(st.permutations(RECORDS), st.integers(1, 40))
def test_sample_does_not_depend_on_the_order(shuffled, per_label):
    found = drawn(shuffled, per_label=per_label)
    assert found == drawn(RECORDS, per_label=per_label)
    assert Counter(label for label, _, _ in found) == dict.fromkeys(
        ("LOC", "ORG", "PER"), min(per_label, 30)
    )


def test_sample_is_seeded_and_a_larger_one_holds_a_smaller():
    few, more = (set(drawn(RECORDS, per_label=n)) for n in (5, 9))
    assert few < more
    assert few != set(drawn(RECORDS, per_label=5, seed=1))


def test_repeated_sentences_and_other_ids_change_nothing():
    copies = [replace(record, id=f"{record.id}#2", doc_id="again") for record in RECORDS]
    for per_label in (4, 50):
        assert drawn([*copies, *RECORDS], per_label=per_label) == drawn(
            RECORDS, per_label=per_label
        )


def test_labels_are_chosen_and_unknown_ones_told():
    found = drawn(RECORDS, per_label=2, labels=["ORG", "LOC"])
    assert [label for label, _, _ in found] == ["LOC", "LOC", "ORG", "ORG"]
    with pytest.raises(ValueError, match=r"HE227.* MISC, PERS\. .*LOC, ORG, PER"):
        sample_entities(RECORDS, labels=["PER", "PERS", "MISC"])
    with pytest.raises(ValueError, match=r"HE078.*per_label"):
        sample_entities(RECORDS, per_label=0)


def test_text_is_that_of_all_tokens():
    spaced = Record(["to", "New", "York"], [LabelledSpan(1, 3, "LOC")])
    joined = Record(["在", "北", "京"], [LabelledSpan(1, 3, "LOC")], [False] * 3)
    assert {e.text for e in sample_entities([spaced, joined])} == {"New York", "北京"}


# Vectors


def test_vectors_are_those_of_first_tokens(tiny_encoder):
    records = [RECORDS[0], Record(["Ada0"], [LabelledSpan(0, 1, "PER")]), RECORDS[1]]
    entities = sample_entities(records)
    vectors = encode_entities(entities, tiny_encoder)
    assert vectors.shape == (7, 32) and vectors.dtype == "float32"
    one_by_one = [encode_entities([entity], tiny_encoder)[0] for entity in entities]
    numpy.testing.assert_allclose(vectors, numpy.stack(one_by_one), atol=1e-5)
    # Of "Nr0" and of "City of Nr0" in one sentence the first tokens differ.
    assert numpy.abs(vectors[0] - vectors[2]).max() > 0.1
    # A longer span with the same first token has the same vector.
    longer = [entities[0], entities[0]._replace(label="ORG", text="Nr0 met")]
    same = encode_entities(longer, tiny_encoder)
    numpy.testing.assert_array_equal(same[0], same[1])


@pytest.mark.parametrize("method", ["tsne", "umap", "pca"])
def test_separable_vectors_stay_apart(method):
    needs_sklearn()
    if method == "umap":
        pytest.importorskip("umap")
    vectors, labels = clusters()
    panel = project_vectors("e", vectors, labels, method=method)
    assert panel.silhouette > 0.9
    assert panel.points.shape == (len(labels), 2) and panel.points.dtype == "float64"
    distances = numpy.linalg.norm(panel.points[:, None] - panel.points[None], axis=2)
    same = numpy.array(labels)[:, None] == numpy.array(labels)[None]
    assert distances[same].max() < distances[~same].min()
    again = project_vectors("e", vectors, labels, method=method)
    numpy.testing.assert_array_equal(panel.points, again.points)


def test_silhouette_by_hand():
    needs_sklearn()
    # Cosine distances: 0 within A, 1 from A to B; C, alone, counts 0. Lengths say nothing.
    vectors = numpy.array([[1, 0, 0], [5, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 1]], dtype="float64")
    panel = project_vectors("e", vectors, list("AABBC"), method="pca")
    assert panel.silhouette == pytest.approx(4 / 5)
    # A and B lie on each other: nothing is nearer to its own than to the others.
    mixed = project_vectors("e", vectors[[0, 2, 0, 2]], list("ABBA"), method="pca")
    assert mixed.silhouette == pytest.approx(-0.5)


@pytest.mark.parametrize("n", [3, 4, 20, 31, 92])
def test_few_entities_have_a_map(n):
    needs_sklearn()
    vectors, labels = clusters(n_labels=2, size=46)
    chosen = numpy.linspace(0, len(labels) - 1, n).astype(int)
    panel = project_vectors("e", vectors[chosen], [labels[i] for i in chosen])
    assert numpy.isfinite(panel.points).all() and panel.points.shape == (n, 2)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda vectors: vectors * [[numpy.nan], *[[1.0]] * 35], "1 of 36 hold numbers"),
        (lambda vectors: vectors * 0, "all 36 are the same"),
    ],
)
def test_vectors_of_a_broken_encoder(spoil, message):
    needs_sklearn()
    vectors, labels = clusters()
    with pytest.raises(ValueError, match=rf"HE229.*runs/x.*{message}"):
        project_vectors("runs/x", spoil(vectors), labels)


# All of it


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "records.parquet"
    write_parquet(RECORDS, path)
    return path


def test_the_same_entities_for_all_encoders(store, tiny_encoder, tmp_path):
    needs_sklearn()
    other = tmp_path / "other"
    text = tmp_path / "text.txt"
    text.write_text("Byron City\n" * 3)
    build_encoder("tiny", other, vocab_text=text)
    found = project_entities([store], [tiny_encoder, other], per_label=5, method="pca")
    assert found.labels == ["LOC"] * 5 + ["ORG"] * 5 + ["PER"] * 5
    assert all(text.startswith("City of Nr") for text in found.texts[5:10])
    first, second = found.panels
    assert (first.encoder, second.encoder) == (str(tiny_encoder), str(other))
    assert numpy.abs(first.points - second.points).max() > 1e-3
    assert first.silhouette != second.silhouette
    alone = project_entities([store], [other], per_label=5, method="pca")
    numpy.testing.assert_array_equal(alone.panels[0].points, second.points)
    assert found.to_dict()["counts"] == {"LOC": 5, "ORG": 5, "PER": 5}


def test_order_and_kind_of_store_change_nothing(store, tiny_encoder, tmp_path):
    needs_sklearn()
    reversed_store = tmp_path / "reversed.spacy"
    # A DocBin says whether blanks follow, and so do these records.
    spaced = [replace(record, spaces=[True] * 7) for record in RECORDS]
    write_docbin(spaced[::-1], reversed_store)
    write_parquet(spaced, store)
    one, other = (
        project_entities([path], [tiny_encoder], per_label=6) for path in (store, reversed_store)
    )
    assert one.texts == other.texts
    numpy.testing.assert_array_equal(one.panels[0].points, other.panels[0].points)


def test_by_token_reads_pieces_of_each_token(tmp_path, tiny_encoder):
    needs_sklearn()
    path = tmp_path / "glued.parquet"
    glued = [replace(record, spaces=[False] * 7) for record in RECORDS]
    write_parquet(glued, path)
    running, apart = (
        project_entities([path], [tiny_encoder], method="pca", by_token=by_token)
        for by_token in (False, True)
    )
    assert numpy.abs(running.panels[0].points - apart.panels[0].points).max() > 1e-3


@pytest.mark.parametrize(
    "spans, message",
    [
        ([], "HE226.*0 entities of 0 label"),
        (["PER", "PER"], "HE226.*2 entities of 1 label"),
        (["PER", "LOC"], "HE226.*2 entities of 2 label"),
        (
            [f"L{i % (MOST_LABELS + 1):02}" for i in range(99)],
            rf"HE228.*\b{MOST_LABELS}\b.*L00,L01,L02",
        ),
    ],
)
def test_too_little_or_too_much_to_compare(tmp_path, tiny_encoder, spans, message):
    needs_sklearn()
    path = tmp_path / "records.parquet"
    tokens = [f"w{i}" for i in range(100)]
    write_parquet(
        [Record(tokens, [LabelledSpan(i, i + 1, label) for i, label in enumerate(spans)])], path
    )
    with pytest.raises(ValueError, match=message):
        project_entities([path], [tiny_encoder])


def test_settings_are_checked_before_anything_is_read(tmp_path, tiny_encoder):
    needs_sklearn()
    missing = [tmp_path / "none.parquet"]
    with pytest.raises(ValueError, match=r"HE004.*method"):
        project_entities(missing, [tiny_encoder], method="lle")
    with pytest.raises(ValueError, match=r"HE020"):
        project_entities(missing, [tiny_encoder, tmp_path / "none"])
    with pytest.raises(ValueError, match=r"HE078.*encoders"):
        project_entities(missing, [])
    with pytest.raises(ValueError, match=r"HE075|HE079"):
        project_entities(missing, [tiny_encoder])


@pytest.mark.parametrize(
    "module, method, remedy",
    [("sklearn", "tsne", r"spacy_hetner\[plots\]"), ("umap", "umap", "umap-learn")],
)
def test_packages_that_are_not_installed(monkeypatch, module, method, remedy):
    if module == "umap":
        needs_sklearn()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"HE225.*{module}.*pip install.*{remedy}"):
        project_entities(["none.parquet"], ["none"], method=method)


# The picture


@pytest.mark.parametrize("suffix, start", [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_picture_is_the_same_each_time(tmp_path, suffix, start):
    needs_matplotlib()
    paths = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for path in paths:
        save_entity_map(ring(), path)
    one, two = (path.read_bytes() for path in paths)
    assert one == two and one.startswith(start)


def test_picture_is_the_same_in_another_process(tmp_path):
    needs_matplotlib()
    code = (
        "import numpy, sys\n"
        "from spacy_hetner.evaluation.projection import EntityMap, Panel, save_entity_map\n"
        "points = numpy.arange(8.0).reshape(4, 2) % 3\n"
        "panel = Panel('e', points, 0.5)\n"
        "save_entity_map(EntityMap('pca', list('ABAB'), list('ABAB'), [panel]), sys.argv[1])\n"
    )
    paths = [tmp_path / f"{name}.svg" for name in ("one", "two")]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_the_picture_says(tmp_path):
    needs_matplotlib()
    path = tmp_path / "map.svg"
    save_entity_map(ring(labels=("人名", "_x", "$a$", "<b>")), path)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf8"))
    assert texts[:4] == ["a/encoder", "silhouette 0.250", "b/encoder", "silhouette 0.250"]
    assert texts[4:] == ["$a$", "&lt;b&gt;", "_x", "人名"]


@pytest.mark.parametrize(
    "paths, expected",
    [
        (["runs/bert", "runs/ner"], ["bert", "ner"]),
        (["bert", "bert"], ["bert", "bert"]),
        (["a/encoder", "b/encoder", "c/other"], ["a/encoder", "b/encoder", "c/other"]),
    ],
)
def test_names_are_as_long_as_it_takes(paths, expected):
    assert projection._short_names(paths) == expected


def test_every_label_looks_different():
    looks = {(i % len(COLORS), i % len(MARKERS)) for i in range(MOST_LABELS)}
    assert len(looks) == MOST_LABELS


@pytest.mark.parametrize("n_labels, n_panels", [(2, 1), (MOST_LABELS, 5)])
def test_many_labels_and_panels_fit(tmp_path, n_labels, n_panels):
    needs_matplotlib()
    path = tmp_path / "map.png"
    labels = [f"label{i:02d}" for i in range(n_labels)]
    save_entity_map(ring(labels, [f"encoder{i}" for i in range(n_panels)]), path)
    assert path.stat().st_size > 0


def test_characters_that_no_font_has(tmp_path, monkeypatch):
    needs_matplotlib()
    monkeypatch.setattr(pictures, "FONTS", ("DejaVu Sans",))
    found = ring(labels=("人名", "PER"))
    with pytest.warns(UserWarning, match=r"HW225.* 人名: ") as told:
        save_entity_map(found, tmp_path / "map.png")
    assert len(told) == 1
    save_entity_map(found, tmp_path / "map.svg")  # its reader has fonts of its own
    assert "人名" in (tmp_path / "map.svg").read_text(encoding="utf8")


def test_pictures_that_cannot_be_drawn(tmp_path, monkeypatch):
    needs_matplotlib()
    with pytest.raises(ValueError, match=r"HE004.*\.jpg.*\.svg, \.png"):
        check_picture(tmp_path / "map.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"HE081"):
        save_entity_map(ring(), tmp_path / "file" / "map.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r"HE225.*matplotlib.*plots"):
        save_entity_map(ring(), tmp_path / "map.svg")
    assert not (tmp_path / "map.svg").exists()
