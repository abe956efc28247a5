"""A gazetteer as proposer, as candidate component and as recognizer."""

import pickle
import shutil

import pytest
import spacy
from spacy.training import Example
from util import group_of, make_doc, scores_of

from spacy_hetner.candidates.gazetteer import GazetteerCandidates
from spacy_hetner.gazetteers.gazetteer import Gazetteer

NAMES = {
    "北京": ["GPE"],
    "北京大学": ["ORG"],
    "大学": ["MISC"],
    "京大": ["MISC"],
    "华盛顿": ["PER", "GPE"],
    "New York": ["GPE"],
}
TEXTS = ["我在北京大学😀学习。华盛顿 New York\n北京", "", "京", " ", "没有名字"]
BOTH = ["hetner_gazetteer_candidates", "hetner_gazetteer_recognizer"]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "names"
    Gazetteer(NAMES, labels=["GPE", "ORG", "PER", "MISC"]).to_disk(path)
    return path


def found(doc, key):
    scores = scores_of(doc, key)
    assert (scores == 1).all()
    return [(doc[start:end].text, label) for start, end, label in group_of(doc, key)]


def test_candidates_overlap_and_have_no_label(zh, folder):
    zh.add_pipe("hetner_gazetteer_candidates", config={"path": str(folder)})
    doc = zh(TEXTS[0])
    names = [name for name, _ in found(doc, "candidates")]
    assert names == ["北京", "北京大学", "京大", "大学", "华盛顿", "New York", "北京"]
    assert all(span.label == 0 for span in doc.spans["candidates"])


def test_candidates_leftmost_longest(zh, folder):
    config = {"path": str(folder), "overlapping": False, "candidates_key": "names"}
    zh.add_pipe("hetner_gazetteer_candidates", config=config)
    names = [name for name, _ in found(zh(TEXTS[0]), "names")]
    assert names == ["北京大学", "华盛顿", "New York", "北京"]


def test_recognizer_labels_by_the_gazetteer(zh, folder):
    """An entry with two labels gives two spans, in the gazetteer's order of labels."""
    pipe = zh.add_pipe("hetner_gazetteer_recognizer", config={"path": str(folder)})
    assert found(zh(TEXTS[0]), "entities") == [
        ("北京大学", "ORG"),
        ("华盛顿", "GPE"),
        ("华盛顿", "PER"),
        ("New York", "GPE"),
        ("北京", "GPE"),
    ]
    assert pipe.labels == ("GPE", "ORG", "PER", "MISC")
    assert zh.pipe_labels["hetner_gazetteer_recognizer"] == list(pipe.labels)


def test_recognizer_of_all_matches(zh, folder):
    config = {"path": str(folder), "overlapping": True, "spans_key": "all"}
    zh.add_pipe("hetner_gazetteer_recognizer", config=config)
    assert found(zh("北京大学"), "all") == [
        ("北京", "GPE"),
        ("北京大学", "ORG"),
        ("京大", "MISC"),
        ("大学", "MISC"),
    ]


@pytest.mark.parametrize("factory", BOTH)
def test_pipe_equals_call(zh, folder, factory):
    zh.add_pipe(factory, config={"path": str(folder)})
    key = "candidates" if "candidates" in factory else "entities"
    called = [found(zh(text), key) for text in TEXTS]
    assert called[0] and called[1:] == [[], [], [], []]
    for batch_size in (1, 2, 100):
        assert [found(doc, key) for doc in zh.pipe(TEXTS, batch_size=batch_size)] == called


def test_matches_stay_within_sentences_and_whole_tokens(zh, folder):
    find = GazetteerCandidates(str(folder))
    words = list("北京大学")
    split = make_doc(zh, words, sentence_starts=[0, 2], spaces=[False] * 4)
    whole = make_doc(zh, words, spaces=[False] * 4)
    glued = make_doc(zh, ["北京", "大", "学"], spaces=[False] * 3)
    spaced = make_doc(zh, words, spaces=[True] * 4)
    empty = make_doc(zh, [])
    assert [spans.tolist() for spans in find([split, whole, glued, spaced, empty])] == [
        [[0, 2], [2, 4]],
        [[0, 2], [0, 4], [1, 3], [2, 4]],
        [[0, 1], [0, 3], [1, 3]],
        [],
        [],
    ]


def test_longest_within_the_sentence(zh, folder):
    zh.add_pipe("hetner_gazetteer_recognizer", config={"path": str(folder)})
    doc = make_doc(zh, list("北京大学"), sentence_starts=[0, 2], spaces=[False] * 4)
    doc = zh.get_pipe("hetner_gazetteer_recognizer")(doc)
    assert found(doc, "entities") == [("北京", "GPE"), ("大学", "MISC")]


@pytest.mark.parametrize("factory", BOTH)
def test_the_pipeline_carries_its_gazetteer(zh, folder, factory, tmp_path):
    zh.add_pipe(factory, config={"path": str(folder)})
    key = "candidates" if "candidates" in factory else "entities"
    expected = [found(zh(text), key) for text in TEXTS]
    zh.to_disk(tmp_path / "model")
    as_bytes = zh.to_bytes()
    shutil.rmtree(folder)
    loaded = spacy.load(tmp_path / "model")
    again = spacy.util.load_model_from_config(zh.config, auto_fill=True).from_bytes(as_bytes)
    for pipeline in (loaded, again):
        assert [found(pipeline(text), key) for text in TEXTS] == expected
    suffixes = {path.suffix for path in (tmp_path / "model" / factory).rglob("*.*")}
    assert suffixes and not suffixes & {".pkl", ".pickle"}


def test_as_one_of_several_proposers(zh, folder, tmp_path):
    """The gazetteer is saved under the proposer's name; the others need nothing."""
    proposers = {
        "names": {"@misc": "spacy_hetner.GazetteerCandidates.v1", "path": str(folder)},
        "characters": {"@misc": "spacy_hetner.NgramCandidates.v1", "lengths": [1]},
    }
    zh.add_pipe("hetner_candidates", config={"proposers": proposers})
    zh.initialize()
    expected = found(zh("去北京"), "candidates")
    assert [name for name, _ in expected] == ["去", "北", "北京", "京"]
    zh.to_disk(tmp_path / "model")
    as_bytes = zh.to_bytes()
    shutil.rmtree(folder)
    again = spacy.util.load_model_from_config(zh.config, auto_fill=True).from_bytes(as_bytes)
    for pipeline in (spacy.load(tmp_path / "model"), again):
        assert found(pipeline("去北京"), "candidates") == expected


@pytest.mark.parametrize("factory", BOTH)
def test_named_in_the_initialize_block(zh, folder, factory):
    """So that no path stays in the config of the component."""
    zh.add_pipe(factory)
    zh.config["initialize"]["components"][factory] = {"gazetteer": str(folder)}
    zh.initialize()
    assert zh.get_pipe(factory).gazetteer.get("北京") == ("GPE",)
    assert zh.config["components"][factory]["path"] == ""


@pytest.mark.parametrize("factory", BOTH)
def test_set_by_hand(zh, factory):
    zh.add_pipe(factory).gazetteer = Gazetteer({"北京": ["GPE"]})
    key = "candidates" if "candidates" in factory else "entities"
    assert len(zh("在北京").spans[key]) == 1


@pytest.mark.parametrize("factory", BOTH)
def test_no_gazetteer(zh, factory, tmp_path):
    """The component can be added and saved, but not used."""
    zh.add_pipe(factory)
    zh.to_disk(tmp_path / "model")
    empty = spacy.load(tmp_path / "model")
    assert empty.get_pipe(factory).labels == ()
    zh.from_bytes(zh.to_bytes())
    for act in (lambda: zh("北京"), zh.initialize):
        with pytest.raises(ValueError, match=rf"\[HE175\].*'{factory}' has no gazetteer"):
            act()


def test_a_folder_that_holds_none(zh, tmp_path):
    zh.add_pipe("hetner_gazetteer_recognizer", config={"path": str(tmp_path / "absent")})
    with pytest.raises(ValueError, match=r"\[HE1\d\d\].*absent"):
        zh.initialize()


def test_an_empty_gazetteer(zh):
    zh.add_pipe("hetner_gazetteer_recognizer").gazetteer = Gazetteer({})
    assert [found(doc, "entities") for doc in zh.pipe(TEXTS)] == [[]] * len(TEXTS)


def test_scores(zh, folder):
    zh.add_pipe("hetner_gazetteer_candidates", config={"path": str(folder)})
    zh.add_pipe("hetner_gazetteer_recognizer", config={"path": str(folder)})
    reference = zh.make_doc("北京大学和华盛顿")
    reference = make_doc(
        zh,
        [token.text for token in reference],
        [(0, 4, "ORG"), (5, 8, "PER"), (4, 5, "PER")],
        spaces=[False] * 8,
    )
    scores = zh.evaluate([Example(zh.make_doc(reference.text), reference)])
    assert scores["candidates_recall"] == pytest.approx(2 / 3)
    assert scores["candidates_per_gold"] == pytest.approx(5 / 3)
    assert scores["spans_entities_p"] == pytest.approx(2 / 3)
    assert scores["spans_entities_r"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("factory", BOTH)
def test_can_be_sent_to_another_process(zh, folder, factory):
    pipe = zh.add_pipe(factory, config={"path": str(folder)})
    zh("北京")
    copy = pickle.loads(pickle.dumps(pipe))
    assert copy.gazetteer.get("北京") == ("GPE",)
