"""Every public corpus of the local mirror converts, with the counts that others took."""

import json
from typing import Any, Dict, List, NamedTuple

import pytest

from spacy_hetner.corpora.convert import convert
from spacy_hetner.corpora.readers import read_records
from spacy_hetner.corpora.readers.rows import EMPTY_SENTENCE, EMPTY_TOKEN
from spacy_hetner.corpora.records import Ledger
from spacy_hetner.corpora.stores import read_parquet
from spacy_hetner.labels.codecs import LABEL_CHANGE, ORPHAN

pytestmark = pytest.mark.slow


class Corpus(NamedTuple):
    """Files of the mirror, how they are read, and their name among the independent counts."""

    name: str
    inputs: List[str]
    options: Dict[str, Any]


def columns(name: str, **options: Any) -> Corpus:
    return Corpus(name, [name], {"format": "columns", **options})


SPLITS = ("train", "dev", "test")
GENIA_TYPES = ("protein", "DNA", "RNA", "cell_line", "cell_type")
DOMAINS = ("politics", "science", "music", "literature", "ai")
CHINESE = [
    *(columns(f"weibo/weiboNER_2nd_conll.{split}", strip_token_digit=True) for split in SPLITS),
    *(
        columns(f"weibo/bmes/{split}.{part}.bmes", scheme="BMES")
        for split in SPLITS
        for part in ("all", "ne", "nm")
    ),
    *(columns(f"resume/{split}.char.bmes", scheme="BMES") for split in SPLITS),
    *(columns(f"ecommerce/{split}.txt.bieos", scheme="BIEOS") for split in SPLITS),
    columns("msra/dh_msra.zip"),
    columns("msra/msra_test_bio"),
    columns("msra/test.char.bmes", scheme="BMES"),
    *(
        Corpus(f"cluener/{split}.json", [f"cluener/{split}.json"], {"format": "cluener"})
        for split in SPLITS
    ),
]
ENGLISH = [
    *(columns(f"crossner/{domain}/{split}.txt") for domain in DOMAINS for split in SPLITS),
    *(columns(f"twitter2015/{split}.txt") for split in ("train", "valid", "test")),
    *(columns(f"btc/{section}.conll") for section in "abefgh"),
    *(columns(f"re3d/re3d-{split}.conll") for split in ("train", "test")),
    *(
        columns(f"bionlp13/BioNLP13CG-IOB/{split}.tsv", scheme="BIO")
        for split in ("train", "devel", "test")
    ),
]
NESTED = [
    *(
        Corpus(
            f"genia per type {split}",
            [f"genia/mlc_per_type/{kind}/{kind}_{split}.conll.xz" for kind in GENIA_TYPES],
            {"format": "parallel"},
        )
        for split in SPLITS
    ),
    *(
        Corpus(name, [name], {"format": "layered"})
        for name in ("genia/iob2_layered/genia.dev.iob2", "genia/iob2_layered/genia.test.iob2")
    ),
    Corpus("litbank/entities/tsv/*.tsv", ["litbank/entities/tsv"], {"format": "layered"}),
]
DISTANT = [
    *(
        columns(f"dsner/{corpus}/{part}")
        for corpus in ("EC", "MSRA")
        for part in ("train", "dev", "test", "ds_fa")
    ),
    *(columns(f"dsner/{corpus}/ds_pa", unknown="UNK") for corpus in ("EC", "MSRA")),
]
CORPORA = CHINESE + ENGLISH + NESTED + DISTANT


@pytest.fixture(scope="module")
def counts(data_dir):
    return json.loads((data_dir / "counts.json").read_text(encoding="utf8"))["counts"]


@pytest.fixture
def convert_from(data_dir, tmp_path):
    """Convert files of the mirror; skips where they are not all there."""

    def convert_files(inputs, **options):
        paths = [data_dir / path for path in inputs]
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            pytest.skip(f"not in the mirror: {', '.join(missing)}")
        return convert(paths, tmp_path / "out.parquet", **options)

    return convert_files


def test_no_counted_corpus_is_left_out(counts):
    assert {corpus.name for corpus in CORPORA} == set(counts)


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_counts_are_those_of_independent_readers(convert_from, counts, corpus):
    expected = counts[corpus.name]
    if corpus.options["format"] == "cluener":
        report = convert_from(corpus.inputs, per_character=True, **corpus.options)
    else:
        report = convert_from(corpus.inputs, **corpus.options)
    # A Doc holds no empty token: those of BTC are dropped, and counted.
    dropped = dict(report.dropped)
    measured = {
        "sentences": report.sentences + dropped.pop(EMPTY_SENTENCE, 0),
        "tokens": report.tokens + dropped.pop(EMPTY_TOKEN, 0),
        "entities": report.entities,
        "labels": report.labels,
        "orphan_inside": report.inconsistent.get(ORPHAN, 0)
        + report.inconsistent.get(LABEL_CHANGE, 0),
        "inside_another": report.nested,
    }
    assert {key: measured[key] for key in expected} == expected
    assert dropped == {}


@pytest.mark.parametrize("split", ["train", "dev"])
def test_cluener_spans_that_tokenisation_splits_are_counted(convert_from, counts, split):
    report = convert_from([f"cluener/{split}.json"], format="cluener")
    expected = counts[f"cluener/{split}.json"]["entities"]
    lost = sum(report.dropped.values())
    assert report.entities + lost == expected and 0 < lost < 0.01 * expected


@pytest.mark.parametrize(
    "inputs, options, sentences, entities, nested",
    [
        ("genia/jsonlines/dev.jsonlines", {"format": "json_tokens"}, 1765, 4714, 444),
        ("genia/jsonlines/test.jsonlines", {"format": "json_tokens"}, 1732, 5119, 603),
        ("msra/testright1.txt", {"format": "chunk_lines", "lang": "zh"}, 4365, 6181, 0),
    ],
)
def test_counts_of_the_source(convert_from, inputs, options, sentences, entities, nested):
    report = convert_from([inputs], **options)
    assert (report.sentences, report.entities, report.nested) == (sentences, entities, nested)
    assert report.inconsistent == report.dropped == {}


def test_span_lines_sample_converts_whole(convert_from):
    inputs = [f"genia/sample_span_lines/{split}.data" for split in SPLITS]
    report = convert_from(inputs, format="span_lines")
    assert report.sentences > 100 and report.nested > 0
    assert set(report.labels) <= set(GENIA_TYPES) and report.dropped == {}


@pytest.mark.parametrize("unit, records", [("document", 100), ("line", 8562)])
def test_brat_and_columns_of_litbank_hold_the_same_spans(convert_from, counts, unit, records):
    report = convert_from(["litbank/entities/brat"], format="brat", unit=unit, lang="en")
    lost = sum(report.dropped.values())
    assert report.sentences == records
    assert report.entities + lost == counts["litbank/entities/tsv/*.tsv"]["entities"]
    assert lost < 20  # the English tokenizer cuts a few of the corpus's own tokens


@pytest.mark.parametrize("split", ["dev", "test"])
def test_multilabel_and_layers_of_genia_hold_the_same_spans(data_dir, split):
    spans = {}
    for name, path in (
        ("layered", f"iob2_layered/genia.{split}.iob2"),
        ("multilabel", f"multilabel/genia_multilabel_{split}.conll"),
    ):
        records = read_records([data_dir / "genia" / path], Ledger(strict=True), format=name)
        spans[name] = {tuple(record.tokens): record.spans for record in records}
    shared = set(spans["layered"]) & set(spans["multilabel"])
    assert len(shared) > 1600
    assert all(spans["layered"][tokens] == spans["multilabel"][tokens] for tokens in shared)


@pytest.mark.parametrize(
    "path, scheme, tokens",
    [
        ("ecommerce/dev.txt.bieos", "BIEOS", {"\u0085": 1, "\u3000": 1}),
        ("ecommerce/train.txt.bieos", "BIEOS", {"\u3000": 2}),
        ("twitter2015/valid.txt", "BIO", {"\u00a0": 1}),
        ("weibo/weiboNER_2nd_conll.train", "BIO", {"\ufffd\ufffd": 12}),
    ],
)
def test_awkward_tokens_survive(convert_from, tmp_path, path, scheme, tokens):
    strip = {"strip_token_digit": True} if path.startswith("weibo/weibo") else {}
    convert_from([path], format="columns", scheme=scheme, lang="zh", **strip)
    found = [token for r in read_parquet(tmp_path / "out.parquet") for token in r.tokens]
    assert {token: found.count(token) for token in tokens} == tokens


def test_twitter_orphans_by_cause(convert_from):
    report = convert_from(["twitter2015/train.txt"], format="columns")
    assert report.inconsistent == {ORPHAN: 175, LABEL_CHANGE: 11}
    strict = convert_from(["twitter2015/train.txt"], format="columns", decoding="strict")
    assert strict.entities == 6166 == report.entities - 186
