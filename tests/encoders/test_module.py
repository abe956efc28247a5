"""The bucketed encoder equals each text sent through the plain encoder on its own."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
import spacy
import torch
from spacy.tokens import Doc
from transformers import AutoModel, AutoTokenizer

from spacy_hetner.encoders.module import TokenEncoder
from spacy_hetner.encoders.pieces import PieceTokenizer

TEXTS = [
    "a mayor",
    "the old mayor of Oslo met 3 friends , near a lake .",
    "x",
    "unbelievable internationalisation happens elsewhere",
    "two  spaces\n",
    "Lima , Oslo and Quito",
]
POOL = {
    "first": lambda pieces: pieces[0],
    "last": lambda pieces: pieces[-1],
    "mean": lambda pieces: pieces.mean(0),
    "max": lambda pieces: pieces.amax(0),
}


@pytest.fixture(scope="module")
def docs() -> List[Doc]:
    return list(spacy.blank("en").pipe(TEXTS))


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_encoder, local_files_only=True)


@pytest.fixture
def plain(tiny_encoder: Path) -> Any:
    """The encoder as Hugging Face loads it, without dropout."""
    return AutoModel.from_pretrained(
        tiny_encoder, local_files_only=True, add_pooling_layer=False
    ).eval()


def bucketed(folder: Path, tokenizer: Any, **settings: Any) -> TokenEncoder:
    module = TokenEncoder(
        **{
            "pooling": "max",
            "layers": 1,
            "precision": "fp32",
            "min_density": 0.5,
            "max_batch_pieces": 4096,
            **settings,
        }
    )
    module.tokenizer = tokenizer
    module.transformer = AutoModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False
    )
    return module.eval()


def one_by_one(
    plain: Any, tokenizer: Any, docs: List[Doc], pooling: str, layers: int
) -> torch.Tensor:
    """Token vectors by the definition: a text alone, no padding, characters compared one by one."""
    vectors = []
    for doc in docs:
        encoded = tokenizer(doc.text, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0].tolist()
        hidden = plain(**encoded, output_hidden_states=True).hidden_states
        states = sum(hidden[-1 - i][0] for i in range(layers)) / layers
        for token in doc:
            own = [
                states[p]
                for p, (start, end) in enumerate(offsets)
                if max(start, token.idx) < min(end, token.idx + len(token))
            ]
            vectors.append(POOL[pooling](torch.stack(own)) if own else torch.zeros(32))
    return torch.stack(vectors)


def gradients(module: torch.nn.Module) -> Dict[str, torch.Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("pooling", list(POOL))
def test_vectors_and_gradients_equal_each_text_alone(
    tiny_encoder: Path, tokenizer: Any, plain: Any, docs: List[Doc], pooling: str, layers: int
) -> None:
    batch = PieceTokenizer(tokenizer, capacity=500, overlap=0)(docs)
    module = bucketed(tiny_encoder, tokenizer, pooling=pooling, layers=layers)
    found = module(batch)
    expected = one_by_one(plain, tokenizer, docs, pooling, layers)
    assert module.padding_use.real < module.padding_use.padded  # There was padding to get wrong.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    own, theirs = gradients(module.transformer), gradients(plain)
    assert set(own) == set(theirs) and len(own) > 30
    for name, gradient in own.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("settings", [(0.0, 4096), (1.0, 4096), (0.9, 1), (0.5, 30)])
def test_buckets_do_not_change_the_vectors(
    tiny_encoder: Path, tokenizer: Any, docs: List[Doc], settings: Tuple[float, int]
) -> None:
    batch = PieceTokenizer(tokenizer, capacity=500, overlap=0)(docs)
    expected = bucketed(tiny_encoder, tokenizer)(batch)
    density, limit = settings
    module = bucketed(tiny_encoder, tokenizer, min_density=density, max_batch_pieces=limit)
    torch.testing.assert_close(module(batch), expected, rtol=1e-5, atol=1e-5)
    assert module.padding_use.real >= density * module.padding_use.padded


def test_windows_are_encoded_apart_and_joined(
    tiny_encoder: Path, tokenizer: Any, plain: Any, docs: List[Doc]
) -> None:
    pieces = PieceTokenizer(tokenizer, capacity=12, overlap=4)
    doc = docs[1]
    batch = pieces([doc])
    assert len(batch.window_ids) > 2
    found = bucketed(tiny_encoder, tokenizer, pooling="first")(batch)
    states = [
        plain(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0]
        for ids in batch.window_ids
    ]
    firsts = [batch.link_token.tolist().index(token.i) for token in doc]
    expected = torch.stack([states[batch.link_window[i]][batch.link_row[i]] for i in firsts])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_stays_inside(tiny_encoder: Path, tokenizer: Any, docs: List[Doc]) -> None:
    batch = PieceTokenizer(tokenizer, capacity=500, overlap=0)(docs)
    for layers in (1, 2):
        full = bucketed(tiny_encoder, tokenizer, layers=layers)(batch)
        half = bucketed(tiny_encoder, tokenizer, layers=layers, precision="bf16")(batch)
        assert full.dtype == half.dtype == torch.float32
        assert not torch.equal(full, half)
        assert torch.cosine_similarity(full, half, dim=1)[full.any(dim=1)].min() > 0.999
        half.sum().backward()


@pytest.mark.parametrize("pooling", list(POOL))
def test_tokens_without_pieces_are_zero(tiny_encoder: Path, tokenizer: Any, pooling: str) -> None:
    nlp = spacy.blank("en")
    docs = [nlp.make_doc("a  b"), nlp.make_doc("\n\n"), nlp.make_doc("\u200b c")]
    batch = PieceTokenizer(tokenizer, capacity=500, overlap=0)(docs)
    vectors = bucketed(tiny_encoder, tokenizer, pooling=pooling)(batch)
    blank = [not token.text.strip(" \n\u200b") for doc in docs for token in doc]
    assert (vectors == 0).all(dim=1).tolist() == blank
    assert any(blank) and not all(blank)


def test_padding_use_adds_up(tiny_encoder: Path, tokenizer: Any, docs: List[Doc]) -> None:
    module = bucketed(tiny_encoder, tokenizer)
    batch = PieceTokenizer(tokenizer, capacity=500, overlap=0)(docs)
    module(batch)
    once = module.padding_use
    assert once.real == sum(len(ids) for ids in batch.window_ids)
    module(batch)
    assert module.padding_use == (2 * once.real, 2 * once.padded)
