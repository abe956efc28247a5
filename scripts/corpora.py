"""The corpora and the knowledge of this project: where their files are public.

A corpus says how its files are converted, too; knowledge is dictionaries, free text, dumps.

A file is named by its place in a local mirror (``--vars.data FOLDER``), where it may also lie
packed as ``NAME.xz``. A URL holds a full commit hash and the digest is that of the file's bytes,
so that a file from either place is the same file. A file without a URL has no public place that
could be verified: it comes from a mirror only.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from spacy_hetner.errors import Errors

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Source:
    """One file: its place in a mirror, its SHA-256 (None: not checked), its public URL if any."""

    path: str
    sha256: Optional[str] = None
    url: Optional[str] = None


@dataclass(frozen=True)
class Split:
    """A part of a corpus: its files, their format and the options of the format's reader."""

    format: str
    sources: List[Source]
    options: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """A corpus: its language, its parts, and where the training config has to differ for it.

    settings (Dict[str, Any]): Dotted names of the config and their values.
    mirror (Optional[Path]): Where its files come from, whatever the user says: they are shipped.
    """

    lang: str
    splits: Dict[str, Split]
    settings: Dict[str, Any] = field(default_factory=dict)
    mirror: Optional[Path] = None

    @property
    def sources(self) -> List[Source]:
        """All files, each once."""
        return list({s.path: s for split in self.splits.values() for s in split.sources}.values())


_HOST = "https://raw.githubusercontent.com"
_GENIA_TYPES = (
    f"{_HOST}/matirojasg/nested-ner-mlc/6a19f0cd0248ca868c5bc140b457a154414c6e24"
    "/data/data/adapted-formats/Genia/MLC"
)
_GENIA_LAYERS = (
    f"{_HOST}/thecharm/boundary-aware-nested-ner/56e7deef7550bd33cc4d789c067c568596658a2b"
    "/Our_boundary-aware_model/data/genia"
)
_WEIBO = f"{_HOST}/OYE93/Chinese-NLP-Corpus/bea87071cb28fbbed1a4186fc8ba02ca50bb449d/NER/Weibo"

_DIGESTS = {
    "gazetteers/thuocl/THUOCL_diming.txt": (
        "ca5574399da5750a2c36dc373f36e31a66ed1f8a4b21646df6ca44ec0b888d89"
    ),
    "gazetteers/thuocl/THUOCL_lishimingren.txt": (
        "d0e5094016e6db8c55d363dc022f48f7b1753cf6d07e216f63cf522ce8e53605"
    ),
    "unlabelled/zh_cluemotion/test.txt": (
        "651457927a6130006380d9596bae398f372b749b3820af017231b7ead0dd9324"
    ),
    "unlabelled/zh_cluemotion/valid.txt": (
        "a644591424f4c9798c9f61f3bfde18faa7da0f91ac02ce3f4406c9b6ecde85c2"
    ),
    "wikipedia/gensim/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2": (
        "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d"
    ),
    "dbpedia/smart_task/dbpedia_types.tsv": (
        "3061722b334681016aeefda7f0de75c9ba49615365c607e103a0279d6a9a5ab1"
    ),
    "dbpedia/joie_db111k/db_InsType_mini.txt": (
        "a24d4223451bb7f2bd0adf62e10230a0a222f9bacaf6d80f62711d869b34ee04"
    ),
    "genia/mlc_per_type/protein/protein_train.conll": (
        "d452ccdfdf8cf651faf5b8f7b449b8e5e09593f94a84295937e0f9a085160d7d"
    ),
    "genia/mlc_per_type/DNA/DNA_train.conll": (
        "0aa8a53310767ce01c433a2e2bc51dc70d57aab340e134e8718b7be1cce82451"
    ),
    "genia/mlc_per_type/cell_type/cell_type_train.conll": (
        "0511b969a8b570f351e2950df346a71983b7d40d6ff88182ab9c273ece1d5935"
    ),
    "genia/mlc_per_type/cell_line/cell_line_train.conll": (
        "e0a832b95664ea3df09d1d512e6fabb63761d1a16aca52d99a0f7e098d66beb9"
    ),
    "genia/mlc_per_type/RNA/RNA_train.conll": (
        "148bf6158cc72bc06020576dc2f5f74d04186d4d669c5cdaeb6ed872894518ff"
    ),
    "genia/iob2_layered/genia.dev.iob2": (
        "b8565cf774e8fceb38af62bbab0b84981640accc63fc5680223b97007da35903"
    ),
    "genia/iob2_layered/genia.test.iob2": (
        "607cfab2744aff2d8af5c5613320c8138605aca64a987c8ab2d98e5dfe067691"
    ),
    "weibo/weiboNER_2nd_conll.train": (
        "4e8954c54ab33b0afc9a8abb85715c47422645cc6d1b49fdb24540f4a427e997"
    ),
    "weibo/weiboNER_2nd_conll.dev": (
        "e72730d83aac680505280b6301c879b3ba470d29ac308979d48cdc58ee4907cc"
    ),
    "weibo/weiboNER_2nd_conll.test": (
        "faaf6c0ebde5348b935cfd5c89f0f22c9e0779d60667d8b5efbc647b6707d50e"
    ),
    "ecommerce/train.txt.bieos": (
        "30be03f457769ae12905c2f53ce2ac2f7efbf191542edb5f824bc44812846e66"
    ),
    "ecommerce/dev.txt.bieos": ("f06a7aa0fc70eede6fc247adac2c4c4e803aebac81097c8089921329424c64ea"),
    "ecommerce/test.txt.bieos": (
        "1ffe340955f04e03e0591d3c53e854ef1f9ea5c494d1209d8ad7647a3ac18f4c"
    ),
    "resume/train.char.bmes": "93b9bb0be5dd4730121587f9dc1378de3fbbe55cba1c575edec271f822c27be7",
    "resume/dev.char.bmes": "1b0d67153e6e8543e9444936ed1b107bd843078c282533898085e1a9aa293952",
    "resume/test.char.bmes": "c4a9f42622819a4b59f66e184d446ebfa89b2f1dbba06e11d70675e59fe7e79b",
}


def _source(folder: str, name: str, url: Optional[str] = None) -> Source:
    path = f"{folder}/{name}"
    return Source(path, _DIGESTS[path], url and f"{url}/{name}")


def _genia_train() -> Split:
    names = ("protein", "DNA", "cell_type", "cell_line", "RNA")
    files = [f"{name}/{name}_train.conll" for name in names]
    return Split("parallel", [_source("genia/mlc_per_type", f, _GENIA_TYPES) for f in files])


def _genia(split: str) -> Split:
    return Split("layered", [_source("genia/iob2_layered", f"genia.{split}.iob2", _GENIA_LAYERS)])


def _weibo(split: str) -> Split:
    source = _source("weibo", f"weiboNER_2nd_conll.{split}", _WEIBO)
    return Split("columns", [source], {"strip_token_digit": True})


def _resume(split: str) -> Split:
    return Split("columns", [_source("resume", f"{split}.char.bmes")], {"scheme": "BMES"})


def _ecommerce(split: str) -> Split:
    source = _source("ecommerce", f"{split}.txt.bieos")
    return Split("columns", [source], {"scheme": "BIOES", "separator": "tab"})


def _demo(split: str) -> Split:
    return Split("json_text", [Source(f"demo/{lang}.{split}.jsonl") for lang in ("en", "zh")])


def _chinese(*, per_character: bool, **settings: Any) -> Dict[str, Any]:
    return {
        "nlp.tokenizer.@tokenizers": "spacy_hetner.ChineseTokenizer.v1",
        "nlp.tokenizer.per_character": per_character,
        "components.transformer.model.by_token": True,
        **settings,
    }


_FLAT = {
    "components.span_classifier.nms_iou": 0.6,
    "components.span_classifier.min_score": 0.5,
}
_LONG = {"components.span_proposer.lengths": [*range(1, 12), 13, 15, 17, 20]}

CORPORA: Dict[str, Corpus] = {
    # Nested. The train part is public only as one file a type, which lacks what lies inside an
    # entity of its own type (about 5 % of all); dev and test are whole.
    "genia": Corpus(
        lang="en",
        splits={"train": _genia_train(), "dev": _genia("dev"), "test": _genia("test")},
    ),
    # Flat, characters.
    "weibo": Corpus(
        lang="zh",
        splits={split: _weibo(split) for split in ("train", "dev", "test")},
        settings=_chinese(per_character=True, **_FLAT),
    ),
    # Flat, characters, long entities.
    "resume": Corpus(
        lang="zh",
        splits={split: _resume(split) for split in ("train", "dev", "test")},
        settings=_chinese(per_character=True, **_FLAT, **_LONG),
    ),
    # Flat, characters, titles of goods.
    "ecommerce": Corpus(
        lang="zh",
        splits={split: _ecommerce(split) for split in ("train", "dev", "test")},
        settings=_chinese(per_character=True, **_FLAT),
    ),
    # Nested, Chinese and English in one pipeline. It has no test part: dev stands in for it.
    "demo": Corpus(
        lang="zh",
        splits={"train": _demo("train"), "dev": _demo("dev"), "test": _demo("dev")},
        settings=_chinese(per_character=False, **_LONG),
        mirror=ROOT / "assets",
    ),
}


_THUOCL = f"{_HOST}/thunlp/THUOCL/a30ce79d895d01ab5132a5c74c29703ff7efb4cc/data"
_POSTS = (
    f"{_HOST}/CLUEbenchmark/CLUEmotionAnalysis2020/ff1bc945fc3a5854e0013de5a2f222dd1da61516"
    "/CLUEdataset/emotion"
)
_DUMP = f"{_HOST}/piskvorky/gensim/e0627c62749efa78376b7af1f6e93660def8601a/gensim/test/test_data"
_CLASSES = f"{_HOST}/smart-task/smart-dataset/5274f25bd8dc340d52d7546f00b5dd7a2373f9e0"
_TYPES = f"{_HOST}/JunhengH/joie-kdd19/8b187ece604f44b455bbd80bbeb1ed32bdb02aef/dbpedia"

KNOWLEDGE: Dict[str, List[Source]] = {
    # Names of places and of historical people, and posts to find them in.
    "distant": [
        _source("gazetteers/thuocl", "THUOCL_diming.txt", _THUOCL),
        _source("gazetteers/thuocl", "THUOCL_lishimingren.txt", _THUOCL),
        _source("unlabelled/zh_cluemotion", "valid.txt", _POSTS),
        _source("unlabelled/zh_cluemotion", "test.txt", _POSTS),
    ],
    # A slice of a dump, the classes of the ontology, and what class each of 99,744 titles is of.
    "wiki": [
        _source(
            "wikipedia/gensim",
            "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
            _DUMP,
        ),
        _source("dbpedia/smart_task", "dbpedia_types.tsv", f"{_CLASSES}/evaluation/dbpedia"),
        _source("dbpedia/joie_db111k", "db_InsType_mini.txt", _TYPES),
    ],
}


def get_sources(name: str) -> List[Source]:
    """The files of a corpus or of a set of knowledge. Raises ValueError (HE004)."""
    known = {**KNOWLEDGE, **{corpus: CORPORA[corpus].sources for corpus in CORPORA}}
    if name not in known:
        raise ValueError(Errors.HE004.format(name="data", value=name, choices=", ".join(known)))
    return known[name]


def get_corpus(name: str) -> Corpus:
    """A corpus by its name. Raises ValueError (HE004)."""
    if name not in CORPORA:
        choices = ", ".join(CORPORA)
        raise ValueError(Errors.HE004.format(name="corpus", value=name, choices=choices))
    return CORPORA[name]
