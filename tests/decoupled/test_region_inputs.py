"""What is read of a region: the mention alone, the rest with a mask, and nothing of the other."""

from typing import Any, Callable, List, Sequence, Tuple

import numpy
import pytest
import spacy
from decoupled.cases import TEXT, by_character
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from util import make_doc, span_array

from spacy_hetner.decoupled.inputs import RegionPieces, RegionReader, read_docs
from spacy_hetner.encoders.pieces import token_offsets

CHARACTERS = list("篮协成立于1956年6月")


def read(
    reader: RegionReader, text: str, offsets: numpy.ndarray, *spans: Tuple[int, int]
) -> List[RegionPieces]:
    return reader.read([text], [offsets], [span_array(spans)])


def names(tokenizer: Any, ids: numpy.ndarray) -> List[str]:
    return tokenizer.convert_ids_to_tokens(ids.tolist())


@pytest.fixture(scope="module", params=[False, True], ids=["running", "by_token"])
def reader(request: pytest.FixtureRequest, tokenizer: Any) -> RegionReader:
    return RegionReader(tokenizer, capacity=100, by_token=request.param)


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def trained(tokenizer: Tokenizer, trainer: Any) -> Any:
    """A fast tokenizer with RoBERTa's special pieces."""
    tokenizer.train_from_iterator([TEXT, "words' word's don't 10km 1956 GPT-4 a  b   c"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", model_max_length=512
    )


@pytest.fixture(scope="module", params=["words", "bytes", "sentences"])
def any_tokenizer(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """As BERT, RoBERTa and XLM-R cut a text; to the last a Chinese sentence is one word."""
    if request.param == "words":
        return tokenizer
    options: Any = {"special_tokens": SPECIAL, "show_progress": False}
    if request.param == "bytes":
        found = Tokenizer(models.BPE())
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, **options)
        return trained(found, trainer)
    found = Tokenizer(models.Unigram())
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    return trained(found, trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", **options))


def test_golden_masking(tokenizer: Any, golden: Callable[[str], Any]) -> None:
    reader = RegionReader(tokenizer, capacity=100, by_token=True)
    for case in golden("decoupled")["masking"]:
        (pieces,) = read(reader, *by_character(case["chars"]), tuple(case["span"]))
        assert names(tokenizer, reader.mention(pieces)) == ["[CLS]", *case["mention"], "[SEP]"]
        ids, places = reader.context(pieces)
        assert names(tokenizer, ids) == ["[CLS]", *case["context_single_mask"], "[SEP]"]
        assert places.tolist() == [case["mask_index_with_cls"]]
        ids, places, targets = reader.masked_pieces(pieces)
        assert names(tokenizer, ids) == ["[CLS]", *case["context_pretrain"], "[SEP]"]
        assert names(tokenizer, targets) == case["mlm_targets"]
        assert (ids[places] == tokenizer.mask_token_id).all() and len(places) == len(targets)


def test_golden_first_case_holds_for_running_text(tokenizer: Any) -> None:
    """A number is as many pieces as the tokenizer makes of it, and as many are masked."""
    reader = RegionReader(tokenizer, capacity=100)
    club, year = read(reader, *by_character(CHARACTERS), (0, 2), (5, 9))
    ids, (place,) = reader.context(club)
    assert names(tokenizer, ids)[:5] == ["[CLS]", "[MASK]", "成", "立", "于"] and place == 1
    ids, places, targets = reader.masked_pieces(year)
    number = tokenizer("1956", add_special_tokens=False)["input_ids"]
    assert targets.tolist() == number and len(places) == len(number)


def test_one_mask_whatever_the_length(reader: RegionReader) -> None:
    rows = []
    for mention in ("京", "北京大学学习。张"):
        text, offsets = by_character(["我", "在", *mention, "。"])
        (pieces,) = read(reader, text, offsets, (2, 2 + len(mention)))
        rows.append(reader.context(pieces)[0].tolist())
        assert len(reader.masked_pieces(pieces)[1]) == len(mention)
    assert rows[0] == rows[1]


WORDS = st.text(st.sampled_from(sorted(set(TEXT) | set("xZ 0.[]#-'"))), min_size=1, max_size=6)


@given(before=WORDS, one=WORDS, other=WORDS, after=WORDS)
def test_neither_input_has_a_trace_of_the_other_part(
    any_tokenizer: Any, before: str, one: str, other: str, after: str
) -> None:
    """Whatever the words are cut at: the region may be the half of one, or of a number."""
    for by_token in (False, True):
        reader = RegionReader(any_tokenizer, capacity=100, by_token=by_token)
        contexts = []
        for mention in (one, other):
            (pieces,) = read(reader, *by_character([before, mention, after]), (1, 2))
            ids, (place,) = reader.context(pieces)
            assert ids[place] == reader.mask
            assert (ids == reader.mask).sum() == 1
            contexts.append((ids.tolist(), int(place)))
        assert contexts[0] == contexts[1]
        (alone,) = read(reader, *by_character([one]), (0, 1))
        (within,) = read(reader, *by_character([before, one, after]), (1, 2))
        assert reader.mention(within).tolist() == reader.mention(alone).tolist()


@given(tokens=st.lists(WORDS, min_size=1, max_size=6), data=st.data())
def test_the_parts_are_cut_as_if_they_stood_alone(
    tokenizer: Any, tokens: List[str], data: Any
) -> None:
    """The definition, however much of it one pass over the whole text gives."""
    end = data.draw(st.integers(1, len(tokens)))
    start = data.draw(st.integers(0, end - 1))
    reader = RegionReader(tokenizer, capacity=1000)
    (pieces,) = read(reader, *by_character(tokens), (start, end))
    parts = tokens[:start], tokens[start:end], tokens[end:]
    for found, part in zip(pieces, parts, strict=True):
        cut = tokenizer("".join(part), add_special_tokens=False, split_special_tokens=True)
        assert found.tolist() == cut["input_ids"]


def test_a_text_is_cut_once_where_its_regions_end_with_words(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spacy_hetner.decoupled import inputs

    asked: List[List[str]] = []
    encode = inputs.encode_texts

    def spy(tokenizer: Any, texts: Sequence[str], *args: Any, **options: Any) -> Any:
        asked.append(list(texts))
        return encode(tokenizer, texts, *args, **options)

    monkeypatch.setattr(inputs, "encode_texts", spy)
    text, offsets = by_character(CHARACTERS)
    reader = RegionReader(tokenizer, capacity=100)
    read(reader, text, offsets, (0, 2), (1, 4), (1, 4))
    assert asked == [[text], ["篮协", "协成立"]]
    asked.clear()
    read(reader, text, offsets, (6, 7))  # the second digit
    assert asked == [[text], ["篮协成立于1", "9", "56年6月"]]


def test_a_literal_mask_is_text(tokenizer: Any, reader: RegionReader) -> None:
    """Before, in and behind the region: the mask is where we put it, and there is one."""
    text, offsets = by_character(["[MASK]", "住", "[MASK]", "在", "[SEP]"])
    for span in ((1, 2), (2, 3), (0, 3)):
        (pieces,) = read(reader, text, offsets, span)
        ids, (place,) = reader.context(pieces)
        assert (ids == tokenizer.mask_token_id).nonzero()[0].tolist() == [place]
        assert (reader.mention(pieces) != tokenizer.mask_token_id).all()
        assert (ids == tokenizer.sep_token_id).sum() == 1


def test_regions_without_pieces(tokenizer: Any, reader: RegionReader) -> None:
    text, offsets = by_character(["我", "\u200b", "在"])
    alone, all_of_it = read(reader, text, offsets, (1, 2), (0, 3))
    assert names(tokenizer, reader.mention(alone)) == ["[CLS]", "[SEP]"]
    assert names(tokenizer, reader.context(alone)[0]) == ["[CLS]", "我", "[MASK]", "在", "[SEP]"]
    assert names(tokenizer, reader.context(all_of_it)[0]) == ["[CLS]", "[MASK]", "[SEP]"]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (0, ["[MASK]", "1", "2", "3", "4", "5", "6"]),
        (2, ["0", "1", "[MASK]", "3", "4", "5", "6"]),
        (10, ["7", "8", "9", "[MASK]", "11", "12", "13"]),
        (17, ["13", "14", "15", "16", "[MASK]", "18", "19"]),
        (19, ["13", "14", "15", "16", "17", "18", "[MASK]"]),
    ],
)
def test_a_long_context_is_a_window_around_the_mask(
    tokenizer: Any, start: int, expected: List[str]
) -> None:
    reader = RegionReader(tokenizer, capacity=7)
    ids = 100 + numpy.arange(20)
    pieces = RegionPieces(ids[:start], ids[start : start + 1], ids[start + 1 :])
    ids, (place,) = reader.context(pieces)
    inner = ["[MASK]" if i == reader.mask else str(i - 100) for i in ids[1:-1]]
    assert inner == expected and ids[place] == reader.mask
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_a_long_mention_keeps_both_ends(tokenizer: Any) -> None:
    reader = RegionReader(tokenizer, capacity=5)
    pieces = RegionPieces(numpy.arange(7, 9), numpy.arange(10, 30), numpy.arange(0))
    assert reader.mention(pieces)[1:-1].tolist() == [10, 11, 12, 28, 29]
    ids, places, targets = reader.masked_pieces(pieces)
    assert targets.tolist() == [10, 11, 12, 28, 29]
    assert ids[1:-1].tolist() == [reader.mask] * 5 and places.tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"\[HE251\] 6 masks do not fit into 5"):
        reader.context(pieces, masks=6)


def test_equal_inputs_are_there_once(reader: RegionReader) -> None:
    """Equal mentions of several sentences; contexts only where the mask stands in one place too."""
    texts = ["张三住北京", "李四住北京", "北京住北京"]
    offsets = [token_offsets(list(text), [False] * 5) for text in texts]
    spans = [span_array([(0, 2), (3, 5)])] * 3
    regions = reader.read(texts, offsets, spans)
    mentions, contexts = reader.mentions(regions), reader.contexts(regions)
    assert mentions.row_of.tolist() == [0, 1, 2, 1, 1, 1]
    assert contexts.row_of.tolist() == [0, 1, 0, 2, 0, 3]
    assert not mentions.places.any() and contexts.places.tolist() == [1, 4, 4, 4]
    for region, row, place in zip(
        regions, contexts.row_of, contexts.places[contexts.row_of], strict=True
    ):
        ids, places = reader.context(region)
        assert contexts.rows[row].tolist() == ids.tolist() and place == places
    empty = reader.mentions([])
    assert empty.rows == [] and empty.row_of.shape == (0,)


def test_docs_are_read_by_sentence(tokenizer: Any) -> None:
    """In the order given; a region of two sentences has both for its context."""
    nlp = spacy.blank("en")
    words = ["我", "在", "北", "京", "张", "三"]
    doc = make_doc(nlp, words, sentence_starts=[0, 4])
    spans = [span_array([(5, 6), (0, 1), (3, 5)]), span_array([]), span_array([(0, 1)])]
    docs = [doc, make_doc(nlp, []), make_doc(nlp, words)]
    found = read_docs(RegionReader(tokenizer, capacity=100), docs, spans)
    assert [tuple("".join(names(tokenizer, part)) for part in parts) for parts in found] == [
        ("张", "三", ""),
        ("", "我", "在北京"),
        ("我在北", "京张", "三"),
        ("", "我", "在北京张三"),
    ]
    assert read_docs(RegionReader(tokenizer, capacity=100), docs, [span_array([])] * 3) == []


def test_a_tokenizer_without_a_mask(tokenizer: Any) -> None:
    class Plain:
        mask_token_id = None

    with pytest.raises(ValueError, match=r"\[HE250\] The tokenizer Plain has no mask piece"):
        RegionReader(Plain(), capacity=10)
    with pytest.raises(ValueError, match=r"\[HE078\] capacity"):
        RegionReader(tokenizer, capacity=0)
