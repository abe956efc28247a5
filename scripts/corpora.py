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
    "gazetteers/thuocl/THUOCL_IT.txt": (
        "e8cd42c9f5559735fa3bfb91515cbe051f991efd4a803038a1d5c0da85af3526"
    ),
    "gazetteers/thuocl/THUOCL_diming.txt": (
        "ca5574399da5750a2c36dc373f36e31a66ed1f8a4b21646df6ca44ec0b888d89"
    ),
    "gazetteers/thuocl/THUOCL_food.txt": (
        "084caa96ad4f976720003e9420097ba7cb5ddbb17f9f8c8f76bc4b8e0cc777fd"
    ),
    "gazetteers/thuocl/THUOCL_law.txt": (
        "8ef1a5f41052ac95dedde88b167c5031a43b3e0211bf128b6125736cc76ef7b2"
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
    "unlabelled/zh_tnews/unlabeled.json": (
        "8b3ecb742f611718fac1a0576cda84211052e94aa07669e2052c89d3bca6e506"
    ),
    "unlabelled/zh_eprstmt/unlabeled.json": (
        "1bf7d22da37ff652f0ce58c5d69c14680e29008a290101fbac29befe06a6fdfe"
    ),
    "unlabelled/zh_thucnews_titles/dev.txt": (
        "6ed73aa2c57ee1560c8f76570d48735c4b1c29ae4983fe3523d56e115813e175"
    ),
    "unlabelled/zh_thucnews_titles/test.txt": (
        "ebecc8c896635ad69730083ca7b81d37c42c9a5779bc05c9d2479d894e34f026"
    ),
    "unlabelled/zh_wiki_cmrc2018/cmrc2018_dev.json": (
        "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f"
    ),
    "unlabelled/zh_wiki_cmrc2018/cmrc2018_trial.json": (
        "f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3"
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
    "crossner/politics/train.txt": (
        "1d8be31abb58463349496fe21b13d70114cf015294a9ff9cce77af9b83e8aa84"
    ),
    "crossner/politics/dev.txt": (
        "4f1f30eb832f4c5fe474f67ca45e875d863bddf0bbe432262d272ef13639fa8f"
    ),
    "crossner/politics/test.txt": (
        "05cadc5e129d394f7f92b4a052cf4b6ea4c60878d32a833e500cf046c297455f"
    ),
    "crossner/science/train.txt": (
        "8f6a26096cc7be6790b5790bf5f5b5c8928d8b73d4632e7d45dc8bffad0504ac"
    ),
    "crossner/science/dev.txt": (
        "87ec141c7b41b3b52ec861737c4030d65c6e53954ed3d8106baca8603bbf8f24"
    ),
    "crossner/science/test.txt": (
        "3616d59d4d2b9dbf4c1126f8d8ba47ff97886223c95f93649bfd527343e64ced"
    ),
    "crossner/music/train.txt": (
        "3774c38e0ebbeb4b98dbfae137071e4911e8764cdb7f247599009841f68d9fb5"
    ),
    "crossner/music/dev.txt": ("e256f1949df52a61a3bb60095a0f41c1060843f1014b0f3d22d8371611b72e78"),
    "crossner/music/test.txt": ("c66e345f959ac65593f76c6b1bd8c6d75f2a6f0bc197389b2e6700d101fd094c"),
    "crossner/literature/train.txt": (
        "0647e403a85040742c2f4041cf002146a81aa2e13adda19d0e82a8bcd493c18b"
    ),
    "crossner/literature/dev.txt": (
        "99281a51943cf7e3c2a58b3dc45c0e5ab6d329624ebf2ba6b4801c428396162f"
    ),
    "crossner/literature/test.txt": (
        "77267f8b3e8afe993865c64cfc605f65671f6a0ac9cba65de970f12180fed20e"
    ),
    "crossner/ai/train.txt": ("484217a660f52927bd5157507c22fc103b36306364329f62f80fc8acb897b187"),
    "crossner/ai/dev.txt": ("b47ffda6de5901a454a873feac1bebe782e54ce7edf9deb729cab3d769212eee"),
    "crossner/ai/test.txt": ("7595ad386e0a98067100fe47f86811b38867a236011fee97cfaa90f778c37bcf"),
    "twitter2015/train.txt": ("a6246e37aa1c8acd738747fa8257e01775f2a1cc0d4f36f82f9d41d6246ad6fa"),
    "twitter2015/valid.txt": ("9dcc7f9df7331de3c9cdf67a3450e041c41c6254b5e43925c576e2dfaaabe2ad"),
    "twitter2015/test.txt": ("edb2665b89bfe58bca06a2c10b9b31cbfa95456135b6a4cbf55c872e48d9b8f9"),
    "btc/a.conll": ("ac824cc13c88283fe3cca05343e46c79ec4cd5b174429f27bf8fe0ebdc1bbf33"),
    "btc/b.conll": ("504a094a0398e03fd7b394510e313b8fc844407102252182d90aea23f53cc322"),
    "btc/e.conll": ("77aca745cdc28ae0fafbcf36a93ccfd15357a8db97c21d91083592dd85e348c5"),
    "btc/f.conll": ("d0839ddb0bd57f3a59ac9ab35d371dc140db8280e0001469a4e56fe8f776ce8a"),
    "btc/g.conll": ("d53a27645cabc4e63313d573498b48b0cc5ed780d280edfbdc4fedefe23479da"),
    "btc/h.conll": ("7f31215a79f3131526236203907c8d003b8e0f8ee6eef2a216ebb685340ebe39"),
    "re3d/re3d-train.conll": ("036a45856cef9355631c7bca3b0e23a84a6cf09c1897c9f6489a22eb90997902"),
    "re3d/re3d-test.conll": ("885c389d81d9488bcb33c670ef9761ed7ab118c34a056925fdf6b772bda20cb1"),
    "bionlp13/BioNLP13CG-IOB/train.tsv": (
        "016ee311428431433c46ceeebeba5fce9c3da9bfd05fafcc484e57a736ea91e7"
    ),
    "bionlp13/BioNLP13CG-IOB/devel.tsv": (
        "6c834f3a16ed080940e7e12d831ca8f79458d08db5d6f0c1fdbfe85c3c7a072c"
    ),
    "bionlp13/BioNLP13CG-IOB/test.tsv": (
        "9ee374ba1b93af177ba3d39dfda4c7e1602bd703d8011bae46a34f3d719cd338"
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


def _columns(train: List[str], dev: str, test: str) -> Corpus:
    """English BIO files of two columns, flat; they come from a mirror."""

    def split(names: List[str]) -> Split:
        return Split(
            "columns", [_source(*name.rsplit("/", 1)) for name in names], {"scheme": "BIO"}
        )

    splits = {"train": split(train), "dev": split([dev]), "test": split([test])}
    return Corpus("en", splits, dict(_FLAT))


def _crossner(domain: str) -> Corpus:
    """A few hundred sentences of Wikipedia (Liu et al. 2021)."""
    train, dev, test = (f"crossner/{domain}/{split}.txt" for split in ("train", "dev", "test"))
    return _columns([train], dev, test)


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
    # Flat, characters, news. Its parts are public in one file, which benchmarks/msra.py cuts: there
    # is nothing here for the project to convert.
    "msra": Corpus(lang="zh", splits={}, settings=_chinese(per_character=True, **_FLAT)),
    # Weibo without its nominal mentions, which benchmarks/decoupled_stages.py makes of it.
    "weibo_names": Corpus(lang="zh", splits={}, settings=_chinese(per_character=True, **_FLAT)),
    # Flat, English: encyclopedia, tweets, reports of a defence ministry, papers on cancer.
    **{
        f"crossner_{domain}": _crossner(domain)
        for domain in ("politics", "science", "music", "literature", "ai")
    },
    "twitter2015": _columns(
        ["twitter2015/train.txt"], "twitter2015/valid.txt", "twitter2015/test.txt"
    ),
    # Its files are parts of the corpus by region and time; no split comes with them. In NER-BERT
    # train has half of h, too.
    "btc": _columns([f"btc/{part}.conll" for part in "abeg"], "btc/h.conll", "btc/f.conll"),
    # There is no dev part: test stands in for it, so choose nothing by it.
    "re3d": _columns(["re3d/re3d-train.conll"], "re3d/re3d-test.conll", "re3d/re3d-test.conll"),
    "bionlp13cg": _columns(
        ["bionlp13/BioNLP13CG-IOB/train.tsv"],
        "bionlp13/BioNLP13CG-IOB/devel.tsv",
        "bionlp13/BioNLP13CG-IOB/test.tsv",
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
_FEWCLUE = f"{_HOST}/CLUEbenchmark/FewCLUE/62a02c6f31cf32814cfe522f78ef088228840f8d/datasets"
_TITLES = (
    f"{_HOST}/649453932/Chinese-Text-Classification-Pytorch"
    "/6cb26819af7b646275aff8a4693676f2849e67f6/THUCNews/data"
)
_PARAGRAPHS = f"{_HOST}/ymcui/cmrc2018/c0eb1b6ba219847457e6af3180da722bbeb656af/squad-style-data"
_DUMP = f"{_HOST}/piskvorky/gensim/e0627c62749efa78376b7af1f6e93660def8601a/gensim/test/test_data"
_CLASSES = f"{_HOST}/smart-task/smart-dataset/5274f25bd8dc340d52d7546f00b5dd7a2373f9e0"
_TYPES = f"{_HOST}/JunhengH/joie-kdd19/8b187ece604f44b455bbd80bbeb1ed32bdb02aef/dbpedia"


def _posts() -> List[Source]:
    folder = "unlabelled/zh_cluemotion"
    return [_source(folder, name, _POSTS) for name in ("valid.txt", "test.txt")]


KNOWLEDGE: Dict[str, List[Source]] = {
    # Names of places and of historical people, words that are none, posts to find the names in.
    "distant": [
        *(
            _source("gazetteers/thuocl", f"THUOCL_{name}.txt", _THUOCL)
            for name in ("diming", "lishimingren", "IT", "food", "law")
        ),
        *_posts(),
    ],
    # Posts, headlines, reviews of goods, titles of news, paragraphs of an encyclopedia. The rumours
    # of CED are left out: they are public as 3,387 files.
    "text-zh": [
        *_posts(),
        _source("unlabelled/zh_tnews", "unlabeled.json", f"{_FEWCLUE}/tnews"),
        _source("unlabelled/zh_eprstmt", "unlabeled.json", f"{_FEWCLUE}/eprstmt"),
        _source("unlabelled/zh_thucnews_titles", "dev.txt", _TITLES),
        _source("unlabelled/zh_thucnews_titles", "test.txt", _TITLES),
        _source("unlabelled/zh_wiki_cmrc2018", "cmrc2018_dev.json", _PARAGRAPHS),
        _source("unlabelled/zh_wiki_cmrc2018", "cmrc2018_trial.json", _PARAGRAPHS),
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
    corpora = {corpus: CORPORA[corpus].sources for corpus in CORPORA if CORPORA[corpus].splits}
    known = {**KNOWLEDGE, **corpora}
    if name not in known:
        raise ValueError(Errors.HE004.format(name="data", value=name, choices=", ".join(known)))
    return known[name]


def get_corpus(name: str) -> Corpus:
    """A corpus by its name. Raises ValueError (HE004)."""
    if name not in CORPORA:
        choices = ", ".join(CORPORA)
        raise ValueError(Errors.HE004.format(name="corpus", value=name, choices=choices))
    return CORPORA[name]
