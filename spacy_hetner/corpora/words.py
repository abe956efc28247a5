"""Text to tokens, fast: exactly spaCy's tokens without a Doc for every text.

spaCy cuts a text at white space and then each chunk by its rules, on its own. So what it makes of
a chunk is looked up, after the first time. Only its special cases are matched once more over the
whole text; where one could begin in a chunk and end in another, spaCy gets the text itself.
"""

from collections import defaultdict
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import add
from typing import Callable, DefaultDict, Dict, Iterator, List, NamedTuple, Optional, Tuple

import spacy
from spacy.attrs import LENGTH, SPACY
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.vocab import Vocab

from .readers.texts import CHINESE_TOKENIZER, language_code, make_tokenizer
from .sentences import sentence_spans

MAX_KNOWN = 2**18
"""Strings that a splitter remembers before it starts anew, which bounds its memory."""
_UNSPACED = ("zh", "ja")


class Words(NamedTuple):
    """The tokens of a text.

    tokens (List[str]), spaces (List[bool]): Each token, and whether a blank follows it.
    starts, ends (List[int]): Where each stands in the text, in characters.
    """

    tokens: List[str]
    spaces: List[bool]
    starts: List[int]
    ends: List[int]


Splitter = Callable[[str], Words]


@lru_cache(maxsize=8)
def make_splitter(lang: str, *, per_character: bool = False) -> Splitter:
    """What cuts texts of a language into tokens, as its tokenizer does; one a process.

    Chinese and Japanese are cut by the package's tokenizer for Chinese, all others by spaCy's
    rules for the language.

    per_character (bool): Chinese and Japanese only: every Latin letter and digit a token too.

    Raises ValueError for a language that spaCy does not have, or not without a package that is
    missing (HE085), and for ``per_character`` in another language (HE086).
    """
    if (code := language_code(lang)) in _UNSPACED:
        create = spacy.registry.tokenizers.get(CHINESE_TOKENIZER)(per_character=per_character)
        split = create(spacy.blank("xx")).split
        return lambda text: _words_of(*split(text))
    tokenizer = make_tokenizer(code, per_character=per_character)
    return (
        ChunkSplitter(tokenizer)
        if type(tokenizer) is Tokenizer
        else DocSplitter(lambda: make_tokenizer(code))
    )


def cut_text(text: str, *, lang: str, per_character: bool, sentences: bool) -> Iterator[Words]:
    """The words of a text, or those of each of its sentences; see ``make_splitter``."""
    split = make_splitter(lang, per_character=per_character)
    if not sentences:
        yield split(text)
        return
    for start, end in sentence_spans(text, lang=lang):
        yield split(text[start:end])


class DocSplitter:
    """Reads the tokens off the Docs that a tokenizer makes.

    make (Callable[[], Callable[[str], Doc]]): Makes the tokenizer, with a vocab of its own.
    """

    def __init__(self, make: Callable[[], Callable[[str], Doc]]) -> None:
        self._make = make
        self._tokenizer = make()

    def __call__(self, text: str) -> Words:
        """Cut a text into tokens."""
        doc = self._tokenizer(text)
        if len(doc.vocab.strings) > MAX_KNOWN:
            self._tokenizer = self._make()
        return _read_off(text, doc)


class ChunkSplitter:
    """Cuts texts as a spaCy tokenizer with rules does, chunk by chunk."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._chunks = _Chunks(tokenizer)

    def __call__(self, text: str) -> Words:
        """Cut a text into tokens."""
        chunks = text.split(" ")
        tokens: List[str] = []
        spaces: List[bool] = []
        open_borders = 0
        try:
            for chunk, known in zip(chunks, map(self._chunks.__getitem__, chunks), strict=True):
                if known is _WHOLE:
                    tokens.append(chunk)
                    spaces.append(True)
                    open_borders = 0
                elif open_borders & known.begins:
                    return self._chunks.tokenise(text)
                else:
                    tokens += known.tokens
                    spaces += known.spaces
                    open_borders = known.ends
        except _NoChunk:
            return self._chunks.tokenise(text)
        spaces[-1] = False
        return _words_of(tokens, spaces)


class _Chunk(NamedTuple):
    """What is known of a run of characters without white space.

    tokens, spaces: What it is cut into, and that a blank follows the last.
    begins, ends (int): The borders within special cases that could lie before it and behind it,
        one a bit.
    """

    tokens: Tuple[str, ...]
    spaces: Tuple[bool, ...]
    begins: int
    ends: int


_WHOLE = _Chunk((), (), 0, 0)
"""Of most chunks: that they are one token, and no part of a special case."""


class _NoChunk(Exception):
    """A text has more white space than single blanks between chunks."""


class _Chunks(Dict[str, _Chunk]):
    """Chunks that were met, and a tokenizer for those that were not."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._model = tokenizer
        self._tokenizer = _copy(tokenizer, tokenizer.rules)
        self._before: DefaultDict[str, List[Tuple[str, int]]] = defaultdict(list)
        self._after: DefaultDict[str, List[Tuple[str, int]]] = defaultdict(list)
        for number, (before, after) in enumerate(_special_borders(tokenizer)):
            self._before[before[-1]].append((before, 1 << number))
            self._after[after[0]].append((after, 1 << number))

    def tokenise(self, text: str) -> Words:
        """Have a text cut by spaCy."""
        return _read_off(text, self._tokenizer(text))

    def __missing__(self, chunk: str) -> _Chunk:
        if chunk.split() != [chunk]:
            raise _NoChunk
        if len(self) >= MAX_KNOWN:
            # With a new vocab, since spaCy's keep every string that they met.
            self.clear()
            self._tokenizer = _copy(self._model, self._model.rules)
        tokens = tuple(token.text for token in self._tokenizer(chunk))
        spaces = (*(False for _ in tokens[1:]), True)
        begins = sum(bit for after, bit in self._after[chunk[0]] if chunk.startswith(after))
        ends = sum(bit for before, bit in self._before[chunk[-1]] if chunk.endswith(before))
        is_whole = len(tokens) == 1 and not begins | ends
        known = self[chunk] = _WHOLE if is_whole else _Chunk(tokens, spaces, begins, ends)
        return known


def _copy(tokenizer: Tokenizer, rules: Optional[Dict]) -> Tokenizer:
    """A tokenizer with the same patterns, other special cases and a vocab of its own."""
    return Tokenizer(
        Vocab(),
        rules=rules,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        token_match=tokenizer.token_match,
        url_match=tokenizer.url_match,
        faster_heuristics=tokenizer.faster_heuristics,
    )


def _special_borders(tokenizer: Tokenizer) -> List[Tuple[str, str]]:
    """Neighbouring tokens in what a tokenizer's patterns make of its special cases.

    spaCy looks for these tokens in all of a text, over white space too. That changes no token
    there, but it can keep another special case from being applied that overlaps.
    """
    plain = _copy(tokenizer, None)
    return sorted({pair for case in tokenizer.rules for pair in pairwise(map(str, plain(case)))})


def _read_off(text: str, doc: Doc) -> Words:
    if not len(doc):
        return Words([], [], [], [])
    lengths, spaces = doc.to_array([LENGTH, SPACY]).T.astype(int).tolist()
    edges = accumulate(map(add, lengths, spaces), initial=0)
    tokens = [text[start : start + length] for start, length in zip(edges, lengths, strict=False)]
    return _words_of(tokens, list(map(bool, spaces)))


def _words_of(tokens: List[str], spaces: List[bool]) -> Words:
    lengths = list(map(len, tokens))
    starts = list(accumulate(map(add, lengths, spaces), initial=0))
    starts.pop()
    return Words(tokens, spaces, starts, list(map(add, starts, lengths)))
