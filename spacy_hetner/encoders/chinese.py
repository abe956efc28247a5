"""A tokenizer for Chinese text with Latin words, digits and emoji in it.

Chinese entity recognition counts in characters, yet a Latin word or a number is one unit to an
encoder: it cannot tell the letters of a word piece apart. So the rule is one token a character
where a script is written without spaces, and one token a run elsewhere. Which characters stand
alone is decided here once; the encoders that this package builds cut their words by the same
``CJK`` class, so that a word piece lies inside one token.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Tuple, Union

import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..errors import Errors

# Inside a character class: Han with all its extensions, radicals and iteration marks, CJK
# punctuation and squared forms, kana, bopomofo, Hangul (syllables and leading letters).
CJK = (
    "\u1100-\u115f\u2e80-\u2fff\u3001-\u9fff\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff"
    "\uff66-\uff9d\uffa0-\uffdc\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
# What continues a character although it is no mark: joiners, vowels and finals of decomposed
# Hangul, half-width voicing; skin tones and flag tags.
_CONTINUING = "\u200c\u200d\u1160-\u11ff\ud7b0-\ud7fb\uff9e\uff9f"
_ASTRAL_CONTINUING = "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_PICTURES = "\xa9\xae\u203c\u2049\u2122\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"


def create_chinese_tokenizer(
    *, per_character: bool = False
) -> Callable[[Language], "ChineseTokenizer"]:
    """Registered as ``spacy_hetner.ChineseTokenizer.v1``; see ChineseTokenizer for the rules.

    per_character (bool): Make every character a token, Latin letters and digits too, as corpora
        with one character a line (BMES, BIO) have it.
    RETURNS (Callable[[Language], ChineseTokenizer]): Makes the tokenizer of a pipeline.
    """

    def tokenizer_factory(nlp: Language) -> ChineseTokenizer:
        return ChineseTokenizer(nlp.vocab, per_character=per_character)

    return tokenizer_factory


class ChineseTokenizer:
    """Cut a text into tokens by these rules; ``doc.text == text`` for every text.

    1. A character of a script written without spaces is a token: Han (all extensions), kana,
       bopomofo, Hangul syllables.
    2. A run of other letters and digits is a token, full-width forms like their half-width kin:
       ``iPhone15``, ``２０２４``, ``Müller``.
    3. Every punctuation mark or symbol is a token, inside numbers and names too: ``3.14`` and
       ``GPT-4`` are three tokens, ``U.S.`` four, ``C++`` three, addresses as many as they have
       words and marks. An entity may begin or end at any mark, so no rule may glue it.
    4. Combining marks, variation selectors and joiners stay with the character before them; an
       emoji sequence or a flag is one token.
    5. One U+0020 after a token is its ``whitespace_``; whitespace that is left over is a token a
       run.

    With ``per_character`` rule 2 is dropped and leftover whitespace is a token a character.
    """

    def __init__(self, vocab: Vocab, *, per_character: bool = False) -> None:
        self.vocab = vocab
        self.per_character = per_character

    def __call__(self, text: str) -> Doc:
        """Tokenise a text.

        RAISES (ValueError): HE040 for a lone surrogate, which is half a character.
        """
        words, spaces = self.split(text)
        try:
            return Doc(self.vocab, words=words, spaces=spaces)
        except UnicodeEncodeError:
            place = next(i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff")
            raise ValueError(
                Errors.HE040.format(code=f"U+{ord(text[place]):04X}", place=place)
            ) from None

    def split(self, text: str) -> Tuple[List[str], List[bool]]:
        """The tokens of a text, and whether a blank follows each: what a Doc would hold."""
        pairs = _pattern(self.per_character).findall(text)
        return [word for word, _ in pairs], [bool(space) for _, space in pairs]

    def pipe(self, texts: Iterable[str], **_: Any) -> Iterator[Doc]:
        """Tokenise a stream of texts."""
        return map(self, texts)

    def to_bytes(self, **_: Any) -> bytes:
        """Serialize the settings."""
        return srsly.json_dumps({"per_character": self.per_character}).encode("utf8")

    def from_bytes(self, data: bytes, **_: Any) -> "ChineseTokenizer":
        """Take over the settings that ``to_bytes`` wrote."""
        self.per_character = bool(srsly.json_loads(data)["per_character"])
        return self

    def to_disk(self, path: Union[str, Path], **_: Any) -> None:
        """Write the settings to a file."""
        Path(path).write_bytes(self.to_bytes())

    def from_disk(self, path: Union[str, Path], **_: Any) -> "ChineseTokenizer":
        """Take over the settings that ``to_disk`` wrote."""
        return self.from_bytes(Path(path).read_bytes())


@lru_cache(maxsize=2)
def _pattern(per_character: bool) -> "re.Pattern[str]":
    """Matches one token and the space after it; consecutive matches leave nothing out."""
    basic = f"[{_marks(0, 0x10000)}{_CONTINUING}]*"
    astral = f"[{_marks(0x10000, 0x20000)}{_marks(0xE0100, 0xE01F0)}{_ASTRAL_CONTINUING}]"
    # Apart, since re tries astral ranges one by one: in one class they made this 7 times slower.
    more = rf"{basic}(?:[^\0-\uffff](?<={astral}){basic})*"
    emoji = rf"(?!\w)[{_PICTURES}]{more}(?:(?<=\u200d)[{_PICTURES}]{more})*"
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    character = rf"{flag}{more}|{emoji}|\S{more}"
    run = rf"(?:[^\W_{CJK}]{more})+"
    token = rf"\r\n|\s|{character}" if per_character else rf"{run}|\s+|{character}"
    # Han first: it is most of the text, and the other ways to match it are slower.
    return re.compile(rf"([\u4e00-\u9fff]{more}|{token})((?: (?<=\S ))?)")


def _marks(first: int, end: int) -> str:
    """The combining marks of a range of code points, for a character class."""
    return "".join(chr(c) for c in range(first, end) if unicodedata.category(chr(c))[0] == "M")
