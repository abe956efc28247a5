"""The files of a BERT encoder folder, written byte by byte the same with every library version.

Neither torch nor transformers nor tokenizers is needed to write them: weights are numpy arrays,
and the tokenizer is described in the JSON that fast tokenizers read.
"""

import re
import unicodedata
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import numpy
from safetensors.numpy import save

from ..files import write_json
from .chinese import CJK
from .folder import CONFIG, WEIGHTS

PAD, UNK, CLS, SEP, MASK = SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# One word a character where ChineseTokenizer makes one token a character: CJK, symbols (emoji
# too), marks without a letter before them. BERT's own rules then cut at spaces and punctuation.
_ALONE = rf"[{CJK}]|[^\p{{L}}\p{{M}}\p{{N}}\s]|(?<![\p{{L}}\p{{M}}\p{{N}}])\p{{M}}+"
_VARIATION_SELECTORS = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"


def bert_config(
    *, vocabulary: int, width: int, layers: int, heads: int, inner: int, positions: int
) -> Dict[str, Any]:
    """The config.json of a BertModel; ``inner`` is the width inside the feed-forward layers."""
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
        "pad_token_id": 0,
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
    write_json(folder / "tokenizer.json", _fast_tokenizer(ids))
    names = {f"{piece.strip('[]').lower()}_token": piece for piece in SPECIAL_PIECES}
    write_json(folder / "special_tokens_map.json", names)
    write_json(
        folder / "tokenizer_config.json",
        {
            **names,
            "clean_up_tokenization_spaces": True,
            "do_lower_case": False,
            "model_max_length": max_length,
            "strip_accents": False,
            "tokenize_chinese_chars": True,
            "tokenizer_class": "BertTokenizer",
        },
    )


def _fast_tokenizer(ids: Dict[str, int]) -> Dict[str, Any]:
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[piece], "content": piece, **special, "special": True}
            for piece in SPECIAL_PIECES
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": _VARIATION_SELECTORS}, "content": ""},
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
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_special(CLS, 0), _text("A", 0), _special(SEP, 0)],
            "pair": [
                _special(CLS, 0),
                _text("A", 0),
                _special(SEP, 0),
                _text("B", 1),
                _special(SEP, 1),
            ],
            "special_tokens": {
                piece: {"id": piece, "ids": [ids[piece]], "tokens": [piece]} for piece in (CLS, SEP)
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": UNK,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _special(piece: str, type_id: int) -> Dict[str, Any]:
    return {"SpecialToken": {"id": piece, "type_id": type_id}}


def _text(which: str, type_id: int) -> Dict[str, Any]:
    return {"Sequence": {"id": which, "type_id": type_id}}
