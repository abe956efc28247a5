"""Sentences with their anchors: tokens, and which of them link to which page."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Iterator, List, NamedTuple, Sequence, Tuple

import pyarrow as pa

from ..corpora.sentences import sentence_spans
from ..corpora.words import Words, make_splitter
from ..engine.tables import read_shard
from ..engine.task import Counts, Shard
from ..validation import check_count
from .namespaces import Namespaces
from .wikitext import Cleaner

FEW_ANCHORS = "sentence with too few anchors"
TOO_LONG = "sentence of too many tokens"
SPLIT_TOKEN = "token cut where an anchor ends in it"
PAGES_READ, SENTENCES, ANCHORS, TOKENS = "pages read", "sentences read", "anchors", "tokens"

SCHEMA = pa.schema(
    [
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("spaces", pa.list_(pa.bool_()), nullable=False),
        pa.field("starts", pa.list_(pa.int32()), nullable=False),
        pa.field("ends", pa.list_(pa.int32()), nullable=False),
        pa.field("titles", pa.list_(pa.string()), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
    ]
)
_BATCH = 4096
_Range = Tuple[int, int, str]
"""A link in a sentence: characters, and the title."""


class Anchor(NamedTuple):
    """A link: half-open token span, and the normalised title, redirects not resolved."""

    start: int
    end: int
    title: str


@dataclass(frozen=True)
class AnchoredSentence:
    """One sentence with its links.

    tokens (List[str]), spaces (List[bool]): See ``Record``.
    anchors (List[Anchor]): In order; they do not overlap.
    id (str): Number of the page and of the sentence on it, as in ``736-12``.
    doc_id (str): Number of the page.
    """

    tokens: List[str]
    spaces: List[bool]
    anchors: List[Anchor]
    id: str
    doc_id: str


@dataclass(frozen=True)
class AnchorsTask:
    """Rows of ``PagesTask`` to rows of anchored sentences.

    lang (str): Language of the wiki.
    min_anchors (int): Leave out sentences with fewer links.
    max_tokens (int): Leave out longer sentences; 0 is no limit.
    per_character (bool): Chinese and Japanese: every character a token, see ``make_splitter``.
    headings (bool): Keep headings, as sentences of their own.
    variants (Tuple[str, ...]): Of Chinese text in several scripts, see ``Cleaner``.
    namespaces (Tuple[Tuple[str, int], ...]): Of the wiki, ``read_header(dump).namespaces.own``.

    Raises ValueError (HE078) for negative limits.
    """

    lang: str
    min_anchors: int = 1
    max_tokens: int = 0
    per_character: bool = False
    headings: bool = False
    variants: Tuple[str, ...] = ("zh-hans", "zh-cn", "zh")
    namespaces: Tuple[Tuple[str, int], ...] = ()

    schema: ClassVar[pa.Schema] = SCHEMA

    def __post_init__(self) -> None:
        check_count("min_anchors", self.min_anchors, 0)
        check_count("max_tokens", self.max_tokens, 0)

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Read a shard. Counts ``totals``, ``dropped`` by cause, and ``changed`` tokens."""
        reader = _reader_of(self)
        totals = counts["totals"]
        sentences: List[AnchoredSentence] = []
        for batch in read_shard(shard, ["id", "redirect", "text"]):
            for page_id, redirect, text in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                if redirect is None:
                    totals[PAGES_READ] += 1
                    sentences += reader.read(page_id, text, counts)
                if len(sentences) >= _BATCH:
                    yield to_batch(sentences)
                    sentences = []
        if sentences:
            yield to_batch(sentences)


class AnchorReader:
    """Reads the sentences with links off the wikitext of pages."""

    def __init__(self, settings: AnchorsTask) -> None:
        self.settings = settings
        self._clean = Cleaner(
            Namespaces(settings.namespaces),
            lang=settings.lang,
            headings=settings.headings,
            variants=settings.variants,
        )
        self._split = make_splitter(settings.lang, per_character=settings.per_character)

    def read(self, page_id: int, text: str, counts: Counts) -> Iterator[AnchoredSentence]:
        """The anchored sentences of a page. Counts as ``AnchorsTask`` says."""
        settings = self.settings
        prose, links = self._clean(text)
        spans = sentence_spans(prose, lang=settings.lang, unbroken=[link[:2] for link in links])
        following = number = few = long = tokens = anchored = cut = 0
        for number, (start, end) in enumerate(spans, 1):
            first = following
            while following < len(links) and links[following].start < end:
                following += 1
            if following - first < settings.min_anchors:
                few += 1
                continue
            inside = [(a - start, b - start, title) for a, b, title in links[first:following]]
            whole = self._split(prose[start:end])
            words, anchors = _align(whole, inside)
            if 0 < settings.max_tokens < len(words.tokens):
                long += 1
                continue
            cut += len(words.tokens) - len(whole.tokens)
            anchored += len(inside)
            tokens += len(words.tokens)
            name = f"{page_id}-{number - 1}"
            yield AnchoredSentence(words.tokens, words.spaces, anchors, name, str(page_id))
        counts["totals"].update({SENTENCES: number, ANCHORS: anchored, TOKENS: tokens})
        counts["dropped"].update(+Counter({FEW_ANCHORS: few, TOO_LONG: long}))
        counts["changed"].update(+Counter({SPLIT_TOKEN: cut}))


def to_batch(sentences: Sequence[AnchoredSentence]) -> pa.RecordBatch:
    """Sentences as rows of ``SCHEMA``."""
    columns = {
        "tokens": [sentence.tokens for sentence in sentences],
        "spaces": [sentence.spaces for sentence in sentences],
        "starts": [[anchor.start for anchor in sentence.anchors] for sentence in sentences],
        "ends": [[anchor.end for anchor in sentence.anchors] for sentence in sentences],
        "titles": [[anchor.title for anchor in sentence.anchors] for sentence in sentences],
        "id": [sentence.id for sentence in sentences],
        "doc_id": [sentence.doc_id for sentence in sentences],
    }
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def from_batch(batch: pa.RecordBatch) -> Iterator[AnchoredSentence]:
    """The inverse of ``to_batch``."""
    columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
    for tokens, spaces, starts, ends, titles, name, doc_id in zip(*columns, strict=True):
        anchors = list(map(Anchor, starts, ends, titles))
        yield AnchoredSentence(tokens, spaces, anchors, name, doc_id)


@lru_cache(maxsize=2)
def _reader_of(settings: AnchorsTask) -> AnchorReader:
    """One a process, for its tokenizer learns."""
    return AnchorReader(settings)


def _align(words: Words, links: Sequence[_Range]) -> Tuple[Words, List[Anchor]]:
    """Links on tokens. A token in which one begins or ends is cut: no link gets lost."""
    anchors = []
    for start, end, title in links:
        first, last = bisect_left(words.starts, start), bisect_left(words.ends, end)
        if words.starts[first : first + 1] != [start] or words.ends[last : last + 1] != [end]:
            return _align(_cut(words, links), links)
        anchors.append(Anchor(first, last + 1, title))
    return words, anchors


def _cut(words: Words, links: Sequence[_Range]) -> Words:
    """Cut tokens where links begin and end, such as ``Inc.`` in ``[[Apple Inc]].``."""
    borders = {place for link in links for place in link[:2]}
    cut = Words([], [], [], [])
    for token, space, start, end in zip(*words, strict=True):
        edges = [start, *sorted(place for place in borders if start < place < end), end]
        for left, right in pairwise(edges):
            cut.tokens.append(token[left - start : right - start])
            cut.spaces.append(space and right == end)
            cut.starts.append(left)
            cut.ends.append(right)
    return cut
