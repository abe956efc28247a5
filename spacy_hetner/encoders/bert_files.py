"""The files of a BERT encoder folder, written byte by byte the same with every library version.

Neither torch nor transformers nor tokenizers is needed to write them: weights are numpy arrays,
and the tokenizer is described in the JSON that fast tokenizers read.
"""

import re
import unicodedata
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy
from safetensors.numpy import save

from ..files import write_json
from .chinese import CJK
from .folder import CONFIG, WEIGHTS

PAD, UNK, CLS, SEP, MASK = SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Those of XLM-R, whose tokenizer multilingual-e5 shares.
_START, _END = "<s>", "</s>"
_XLMR_SPECIAL = {
    "bos_token": _START,
    "cls_token": _START,
    "eos_token": _END,
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "sep_token": _END,
    "unk_token": "<unk>",
}

# One word a character where ChineseTokenizer makes one token a character: CJK, symbols (emoji
# too), marks without a letter before them. BERT's own rules then cut at spaces and punctuation.
_ALONE = rf"[{CJK}]|[^\p{{L}}\p{{M}}\p{{N}}\s]|(?<![\p{{L}}\p{{M}}\p{{N}}])\p{{M}}+"
_VARIATION_SELECTORS = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"

# What SentencePiece's rule nmt_nfkc does beside NFKC: control characters vanish, unusual spaces and
# what has no width are spaces, and one full-width character stays.
_VANISHING = "[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"
_SPACES = "[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"
_TILDE, _TILDE_MEANWHILE = "～", "\x01"  # the latter has vanished from the text by then


def bert_config(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    inner: int,
    positions: int,
    pad: int = 0,
) -> Dict[str, Any]:
    """The config.json of a BertModel.

    inner: the width inside the feed-forward layers; pad: the id of the padding piece.
    """
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": inner,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "model_type": "bert",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": pad,
        "position_embedding_type": "absolute",
        # What to compute in, whatever precision the weights are stored in.
        "torch_dtype": "float32",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def bert_shapes(config: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Name and shape of every weight of a BertModel without pooler, in a fixed order."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: Dict[str, Tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
    }
    dense = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (inner, width),
        "output.dense": (width, inner),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        for part, (n_out, n_in) in dense.items():
            shapes[f"{prefix}.{part}.weight"] = (n_out, n_in)
            shapes[f"{prefix}.{part}.bias"] = (n_out,)
        norms += [f"{prefix}.attention.output.LayerNorm", f"{prefix}.output.LayerNorm"]
    for norm in norms:
        shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (width,)
    return shapes


def fold(text: str) -> str:
    """What the tokenizer makes of a text before it looks for pieces: the characters to know."""
    return re.sub(_VARIATION_SELECTORS, "", unicodedata.normalize("NFKC", text))


def write_bert(
    folder: Path, config: Mapping[str, Any], weights: Mapping[str, numpy.ndarray]
) -> None:
    """Write config.json and model.safetensors; ``weights`` is named as in ``bert_shapes``."""
    write_json(folder / CONFIG, config)
    # The format entry is what transformers asks for before it reads a file.
    (folder / WEIGHTS).write_bytes(save(dict(weights), metadata={"format": "pt"}))


def write_character_tokenizer(folder: Path, vocabulary: List[str], max_length: int) -> None:
    """Write the files of a cased WordPiece tokenizer that takes Chinese by the character.

    Full-width forms are folded to their half-width kin (NFKC) and variation selectors dropped, so
    that ``２０２４`` and ``☺️`` meet the pieces they have; offsets stay those of the text.

    vocabulary: pieces by id, SPECIAL_PIECES first; max_length: positions of the encoder.
    """
    (folder / "vocab.txt").write_text(
        "".join(f"{piece}\n" for piece in vocabulary), encoding="utf8", newline="\n"
    )
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    _write_tokenizer(
        folder,
        _character_tokenizer(ids),
        {f"{piece.strip('[]').lower()}_token": piece for piece in SPECIAL_PIECES},
        {
            "clean_up_tokenization_spaces": True,
            "do_lower_case": False,
            "model_max_length": max_length,
            "strip_accents": False,
            "tokenize_chinese_chars": True,
            "tokenizer_class": "BertTokenizer",
        },
    )


def write_unigram_tokenizer(
    folder: Path, pieces: Sequence[str], scores: Sequence[float], max_length: int
) -> None:
    """Write the files of XLM-R's tokenizer, as its published tokenizer.json describes it.

    Its normalizer is a table that SentencePiece compiled of nmt_nfkc; here the rule is written out.

    pieces: by id, XLM-R's special pieces among them; scores: log-probability of each; max_length:
        positions of the encoder.
    """
    _write_tokenizer(
        folder,
        _unigram_tokenizer(pieces, scores),
        _XLMR_SPECIAL,
        {
            "clean_up_tokenization_spaces": True,
            "model_max_length": max_length,
            # That of any tokenizer.json: it asks for no further package.
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def _write_tokenizer(
    folder: Path, fast: Mapping[str, Any], special: Mapping[str, str], settings: Mapping[str, Any]
) -> None:
    write_json(folder / "tokenizer.json", fast)
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {**special, **settings})


def _character_tokenizer(ids: Dict[str, int]) -> Dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(piece, ids[piece]) for piece in SPECIAL_PIECES],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                _replace({"Regex": _VARIATION_SELECTORS}, ""),
                {
                    "type": "BertNormalizer",
                    "clean_text": True,
                    "handle_chinese_chars": True,
                    "strip_accents": False,
                    "lowercase": False,
                },
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _ALONE},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "BertPreTokenizer"},
            ],
        },
        "post_processor": _template(
            [_special(CLS), _text("A"), _special(SEP)],
            [_special(CLS), _text("A"), _special(SEP), _text("B", 1), _special(SEP, 1)],
            {piece: ids[piece] for piece in (CLS, SEP)},
        ),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": UNK,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _unigram_tokenizer(pieces: Sequence[str], scores: Sequence[float]) -> Dict[str, Any]:
    special = set(_XLMR_SPECIAL.values())
    ids = {piece: i for i, piece in enumerate(pieces) if piece in special}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    first = [_special(_START), _text("A"), _special(_END)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(piece, id_, lstrip=piece == _XLMR_SPECIAL["mask_token"])
            for piece, id_ in ids.items()
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                _replace({"Regex": _VANISHING}, ""),
                _replace({"Regex": _SPACES}, " "),
                _replace({"String": _TILDE}, _TILDE_MEANWHILE),
                {"type": "NFKC"},
                _replace({"String": _TILDE_MEANWHILE}, _TILDE),
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace],
        },
        "post_processor": _template(
            first,
            [*first, _special(_END), _text("B"), _special(_END)],
            {piece: ids[piece] for piece in (_START, _END)},
        ),
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": ids[_XLMR_SPECIAL["unk_token"]],
            "vocab": list(zip(pieces, scores, strict=True)),
            "byte_fallback": False,
        },
    }


def _added(piece: str, id_: int, *, lstrip: bool = False) -> Dict[str, Any]:
    return {
        "id": id_,
        "content": piece,
        "single_word": False,
        "lstrip": lstrip,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _replace(pattern: Dict[str, str], content: str) -> Dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _template(
    single: List[Dict[str, Any]], pair: List[Dict[str, Any]], ids: Mapping[str, int]
) -> Dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": {
            piece: {"id": piece, "ids": [id_], "tokens": [piece]} for piece, id_ in ids.items()
        },
    }


def _special(piece: str, type_id: int = 0) -> Dict[str, Any]:
    return {"SpecialToken": {"id": piece, "type_id": type_id}}


def _text(which: str, type_id: int = 0) -> Dict[str, Any]:
    return {"Sequence": {"id": which, "type_id": type_id}}
