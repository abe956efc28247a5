"""Tag schemes: one tag a token in, labelled spans out, and back.

Four schemes are known. A tag is a prefix, a hyphen and a label; the label is everything after the
*first* hyphen, because labels hold hyphens themselves (``B-Multi-tissue_structure``).

======  =====================================  ==============================================
scheme  also called                            prefixes
======  =====================================  ==============================================
BIO     IOB2                                   B begins, I continues, O outside
IOB1    IOB                                    I begins and continues; B only between two
                                               touching spans of one label
BMES    BMESO, BMEO                            B begins, M continues, E ends, S is alone
BIOES   BIEOS, IOBES                           as BMES, with I for M
======  =====================================  ==============================================
"""

from functools import lru_cache
from typing import Dict, Iterable, List, Literal, NamedTuple, Optional, Sequence, Tuple

from ..errors import Errors
from ..types import LabelledSpan
from ..validation import check_choice

Decoding = Literal["conlleval", "strict"]
DECODINGS = ("conlleval", "strict")

OUTSIDE = "O"
BEGIN, INSIDE, END, SINGLE = "begin", "inside", "end", "single"


class _Scheme(NamedTuple):
    """What each prefix of a scheme does, and what a well-formed span looks like in it."""

    roles: Dict[str, str]
    closes: bool  # a span has to end in E or S
    inside_begins: bool  # I opens a span, B is for the second of two that touch

    def prefix(self, role: str) -> str:
        return next(prefix for prefix, its_role in self.roles.items() if its_role == role)


SCHEMES = {
    "BIO": _Scheme({"B": BEGIN, "I": INSIDE}, closes=False, inside_begins=False),
    "IOB1": _Scheme({"B": BEGIN, "I": INSIDE}, closes=False, inside_begins=True),
    "BMES": _Scheme(
        {"B": BEGIN, "M": INSIDE, "E": END, "S": SINGLE}, closes=True, inside_begins=False
    ),
    "BIOES": _Scheme(
        {"B": BEGIN, "I": INSIDE, "E": END, "S": SINGLE}, closes=True, inside_begins=False
    ),
}
_ALIASES = {
    "IOB2": "BIO",
    "IOB": "IOB1",
    "BMESO": "BMES",
    "BMEO": "BMES",
    "BIEOS": "BIOES",
    "IOBES": "BIOES",
}

ORPHAN = "inside tag after no span"
LABEL_CHANGE = "inside tag after another label"
UNCLOSED = "span without an end tag"
NEEDLESS_BEGIN = "begin tag that separates nothing"


class TagFault(NamedTuple):
    """A span that its scheme does not allow: where it starts, and the first thing wrong with it."""

    position: int
    cause: str


class DecodedTags(NamedTuple):
    """The spans of one sentence, in order, and the faults found on the way.

    Each fault belongs to one span that ``"conlleval"`` keeps and ``"strict"`` drops.
    """

    spans: List[LabelledSpan]
    faults: List[TagFault]


class UnknownTagError(ValueError):
    """A tag that its scheme does not have. ``position`` is the number of its token."""

    def __init__(self, tag: str, scheme: str, position: int, place: str = "") -> None:
        prefixes = SCHEMES[scheme].roles
        message = Errors.HE060.format(
            place=place or f"token {position}",
            tag=tag,
            scheme=scheme,
            expected=", ".join([OUTSIDE, *(f"{prefix}-LABEL" for prefix in prefixes)]),
        )
        super().__init__(message)
        self.tag, self.scheme, self.position = tag, scheme, position

    def at(self, place: str) -> "UnknownTagError":
        """The same error, told with the tag's file and line."""
        return UnknownTagError(self.tag, self.scheme, self.position, place)


def scheme_name(name: str) -> str:
    """The one name of a scheme that goes by many (``"IOB2"`` -> ``"BIO"``).

    Raises ValueError (HE004) if there is no such scheme.
    """
    key = check_choice("tag scheme", name.upper(), [*SCHEMES, *_ALIASES])
    return _ALIASES.get(key, key)


def decode_tags(tags: Sequence[str], scheme: str, mode: Decoding = "conlleval") -> DecodedTags:
    """Read the spans out of one sentence's tags.

    ``"conlleval"`` keeps every span: an inside or end tag that continues nothing starts a span of
    its own, and a span that is never closed ends where the next begins (Tjong Kim Sang and De
    Meulder 2003). ``"strict"`` drops each span that does not follow its scheme to the letter. Both
    report the same faults.

    tags (Sequence[str]): One tag a token.
    scheme (str): ``"BIO"``, ``"IOB1"``, ``"BMES"``, ``"BIOES"`` or another name of these.
    mode (str): ``"conlleval"`` or ``"strict"``.
    RETURNS (DecodedTags): Half-open labelled spans, and the faults.

    Raises ValueError (HE004) for an unknown scheme or mode, and UnknownTagError (HE060), which is
    a ValueError, for a tag that the scheme does not have.
    """
    name = scheme_name(scheme)
    check_choice("decoding", mode, DECODINGS)
    rules = SCHEMES[name]
    chunks: List[Tuple[LabelledSpan, str]] = []
    start, label, cause = -1, "", ""  # the open span; start is -1 where none is

    def close(end: int, ended: bool) -> None:
        nonlocal start, cause
        if start < 0:
            return
        if rules.closes and not ended:
            cause = cause or UNCLOSED
        chunks.append((LabelledSpan(start, end, label), cause))
        start, cause = -1, ""

    for index, tag in enumerate(tags):
        if tag == OUTSIDE:
            close(index, ended=False)
            continue
        parsed = _parse(tag, name)
        if parsed is None:
            raise UnknownTagError(tag, name, index)
        role, tag_label = parsed
        if start >= 0 and (role in (BEGIN, SINGLE) or tag_label != label):
            continues_nothing = LABEL_CHANGE
            close(index, ended=False)
        else:
            continues_nothing = ORPHAN
        if start < 0:
            if role in (INSIDE, END) and not rules.inside_begins:
                cause = continues_nothing
            elif role == BEGIN and rules.inside_begins and not _touches(chunks, index, tag_label):
                cause = NEEDLESS_BEGIN
            start, label = index, tag_label
        if role in (END, SINGLE):
            close(index + 1, ended=True)
    close(len(tags), ended=False)
    return DecodedTags(
        [span for span, cause in chunks if mode == "conlleval" or not cause],
        [TagFault(span.start, cause) for span, cause in chunks if cause],
    )


def encode_tags(spans: Iterable[LabelledSpan], n: int, scheme: str) -> List[str]:
    """Write the tags of one sentence. The inverse of ``decode_tags``.

    spans (Iterable[LabelledSpan]): Half-open labelled spans that do not overlap, in any order.
    n (int): Number of tokens.
    scheme (str): As in ``decode_tags``.
    RETURNS (List[str]): ``n`` tags.

    Raises ValueError for an unknown scheme (HE004), for a span that is empty or outside of
    ``[0, n)`` (HE061) and for two that overlap, which one tag a token cannot say (HE062).
    """
    rules = SCHEMES[scheme_name(scheme)]
    begin, inside = rules.prefix(BEGIN), rules.prefix(INSIDE)
    tags = [OUTSIDE] * n
    previous = LabelledSpan(0, 0, "")
    for span in sorted(LabelledSpan(*span) for span in spans):
        if not 0 <= span.start < span.end <= n:
            raise ValueError(Errors.HE061.format(span=tuple(span), n=n))
        if span.start < previous.end:
            raise ValueError(Errors.HE062.format(first=tuple(previous), second=tuple(span)))
        prefixes = [begin] + [inside] * (span.end - span.start - 1)
        if rules.closes:
            prefixes[-1] = rules.prefix(END if len(prefixes) > 1 else SINGLE)
        elif rules.inside_begins and (previous.end, previous.label) != (span.start, span.label):
            prefixes[0] = inside
        tags[span.start : span.end] = [f"{prefix}-{span.label}" for prefix in prefixes]
        previous = span
    return tags


@lru_cache(maxsize=4096)
def _parse(tag: str, scheme: str) -> Optional[Tuple[str, str]]:
    """Role and label of a tag; None where the scheme has no such tag."""
    prefix, _, label = tag.partition("-")
    role = SCHEMES[scheme].roles.get(prefix)
    return (role, label) if role and label else None


def _touches(chunks: List[Tuple[LabelledSpan, str]], index: int, label: str) -> bool:
    return bool(chunks) and chunks[-1][0][1:] == (index, label)
