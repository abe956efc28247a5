"""Our encoder behind spaCy's transformer component: loading, long texts, training, saving."""

import json
import logging
import pickle
import shutil
import socket
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy
import pytest
import spacy
import srsly
import torch
from safetensors.torch import load, load_file, save_file
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from spacy_hetner.encoders.encoder import build_encoder_model
from spacy_hetner.encoders.pieces import PieceTokenizer
from spacy_hetner.encoders.spacy_adapter import torch_encoder

LONG = " ".join(f"word{i} ," if i % 7 == 0 else f"w{i}" for i in range(400))

LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "pooling": {"@layers": "reduce_mean.v1"},
}


def edit_json(path: Path, **changes: Any) -> None:
    """Replace entries of a JSON file."""
    content = json.loads(path.read_text(encoding="utf8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf8")


def weights_of(nlp: Language) -> Any:
    return torch_encoder(nlp.get_pipe("transformer").model).transformer.state_dict()


def tensors(nlp: Language, texts: List[str]) -> List[numpy.ndarray]:
    return [doc.tensor for doc in nlp.pipe(texts)]


# Long and empty texts


def test_a_long_text_loses_nothing(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline()
    module = torch_encoder(nlp.get_pipe("transformer").model)
    pieces = module.tokenizer(LONG, add_special_tokens=False, verbose=False)["input_ids"]
    positions = module.transformer.config.max_position_embeddings
    assert len(pieces) > 2 * positions
    doc = nlp(LONG)
    assert doc.tensor.shape == (len(doc), 32)
    assert doc.tensor.any(axis=1).all()
    # 256 new pieces in the first window, at least 256 - 64 in every other, two special in each.
    assert module.padding_use.real >= len(pieces)
    assert module.padding_use.real <= len(pieces) * 256 / (256 - 64) + 256


def test_tokens_far_from_the_edge_of_a_window_are_encoded_in_it(
    pipeline: Callable[..., Language], tiny_encoder: Path
) -> None:
    nlp = pipeline(window=100, overlap=40, pooling="first")
    plain = AutoModel.from_pretrained(
        tiny_encoder, local_files_only=True, add_pooling_layer=False
    ).eval()
    tokenizer = torch_encoder(nlp.get_pipe("transformer").model).tokenizer

    def check(text: str, start: int, end: int, far: range) -> None:
        """Compare tokens whose first piece is in ``far`` with the encoding of [start, end)."""
        doc = nlp(text)
        encoded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        ids = encoded["input_ids"][0]
        read = torch.cat([ids[:1], ids[1 + start : 1 + end], ids[-1:]])
        with torch.no_grad():
            states = plain(input_ids=read[None]).last_hidden_state[0, 1:]
        starts = [begin for begin, _ in encoded["offset_mapping"][0, 1:-1].tolist()]
        pairs = [(t.i, p - start) for t in doc if (p := starts.index(t.idx)) in far]
        tokens, rows = zip(*pairs, strict=True)
        numpy.testing.assert_allclose(
            doc.tensor[[*tokens]], states[[*rows]].numpy(), rtol=1e-4, atol=1e-5
        )

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    short, long = LONG[:80], LONG[:600]
    n = count(long)
    assert count(short) <= 100 < 300 < n
    check(short, 0, count(short), range(count(short)))
    # A cut lies in what two windows share, so half a window from its edge is surely inside.
    check(long, 0, 100, range(50))
    check(long, n - 100, n, range(n - 50, n))


def test_an_encoder_with_few_positions_reads_smaller_windows(
    pipeline: Callable[..., Language], encoder_copy: Path
) -> None:
    edit_json(encoder_copy / "config.json", max_position_embeddings=20)
    weights = load_file(encoder_copy / "model.safetensors")
    table = "embeddings.position_embeddings.weight"
    save_file({**weights, table: weights[table][:20].clone()}, encoder_copy / "model.safetensors")
    nlp = pipeline(encoder_copy, window=256, overlap=255)
    seen: List[int] = []
    transformer = torch_encoder(nlp.get_pipe("transformer").model).transformer
    transformer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    doc = nlp(LONG[:300])
    assert doc.tensor.any(axis=1).all()
    assert max(seen) == 20


def test_empty_texts_are_carried_along(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline()
    texts = ["", "a lake", "", "\n\n", "Oslo", ""]
    together = tensors(nlp, texts)
    assert [len(vectors) for vectors in together] == [0, 2, 0, 1, 1, 0]
    for text, vectors in zip(texts, together, strict=True):
        numpy.testing.assert_allclose(nlp(text).tensor, vectors, rtol=1e-4, atol=1e-5)
    assert not together[3].any()


@pytest.mark.parametrize("texts", [["", ""], ["\n\n", " "], ["", "a lake", "\n\n"]])
def test_training_takes_batches_with_little_in_them(
    pipeline: Callable[..., Language],
    tagged_examples: Callable[..., List[Example]],
    texts: List[str],
) -> None:
    nlp = pipeline(tagger=True)
    before = {name: value.clone() for name, value in weights_of(nlp).items()}
    for _ in range(2):  # A tagger starts at zero: nothing reaches the encoder in its first step.
        nlp.update(tagged_examples(nlp, texts))
    learned = any(not torch.equal(value, before[name]) for name, value in weights_of(nlp).items())
    assert learned == ("a lake" in texts)
    assert all(value.isfinite().all() for value in weights_of(nlp).values())


# Sharing the encoder with spaCy's own components


def test_components_of_spacy_listen_and_train(tiny_encoder: Path) -> None:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(tiny_encoder)}
    nlp.add_pipe("transformer", config={"model": model})
    nlp.add_pipe("ner", config={"model": {"tok2vec": LISTENER}})
    nlp.add_pipe("tagger", config={"model": {"tok2vec": LISTENER}})
    examples = []
    for place in ("Oslo", "Lima", "Quito", "Bern"):
        doc = nlp.make_doc(f"we met in {place} , near a lake")
        tags = ["X" if token.text == place else "O" for token in doc]
        gold = Doc(nlp.vocab, words=[t.text for t in doc], tags=tags)
        gold.set_ents([Span(gold, 3, 4, label="GPE")])
        examples.append(Example(doc, gold))
    before = {n: v.clone() for n, v in initialized(nlp, examples).items()}
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.01
    history = []
    for _ in range(40):
        losses: Any = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        history.append(losses["ner"] + losses["tagger"])
    assert history[-1] < 0.1 * history[0]
    assert all(
        not torch.equal(value, before[name])
        for name, value in weights_of(nlp).items()
        if "LayerNorm" in name
    )
    doc = nlp("we met in Lima , near a lake")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Lima", "GPE")]
    assert doc[3].tag_ == "X"
    reloaded = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert [e.text for e in reloaded("we met in Lima , near a lake").ents] == ["Lima"]


def initialized(nlp: Language, examples: List[Example]) -> Any:
    nlp.initialize(lambda: examples)
    return weights_of(nlp)


def test_vectors_of_a_doc_do_not_depend_on_its_batch(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline(window=30, overlap=10)
    texts = [LONG[i * 100 : i * 100 + 20 * (i % 5) + 5] for i in range(10)]
    for text, vectors in zip(texts, tensors(nlp, texts), strict=True):
        numpy.testing.assert_allclose(nlp(text).tensor, vectors, rtol=1e-4, atol=1e-5)


# Saving and loading


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection can be opened, and nothing can be unpickled."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("this must not be used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("by_token", [False, True])
def test_a_saved_pipeline_needs_neither_folder_nor_network(
    pipeline: Callable[..., Language], encoder_copy: Path, tmp_path: Path, by_token: bool
) -> None:
    nlp = pipeline(encoder_copy, by_token=by_token, layers=2, window=50, overlap=20)
    texts = ["a lake near Oslo", LONG[:600], ""]
    expected = tensors(nlp, texts)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(encoder_copy)
    from_disk = spacy.load(tmp_path / "saved")
    from_bytes = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    for loaded in (from_disk, from_bytes):
        assert_same_weights(loaded, nlp)
        for found, vectors in zip(tensors(loaded, texts), expected, strict=True):
            numpy.testing.assert_array_equal(found, vectors)
        assert loaded.get_pipe("transformer").model.get_dim("nO") == 32
    # Saving what was loaded gives the same again.
    assert_same_weights(from_bytes.from_bytes(from_disk.to_bytes()), nlp)


def assert_same_weights(one: Language, other: Language) -> None:
    left, right = weights_of(one), weights_of(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.filterwarnings(r"ignore:\[HW145\]")
def test_a_config_given_when_loading_decides(
    pipeline: Callable[..., Language], tmp_path: Path
) -> None:
    pipeline().to_disk(tmp_path / "saved")
    changes = {"window": 40, "overlap": 10, "precision": "bf16", "pooling": "mean"}
    config = {f"components.transformer.model.{key}": value for key, value in changes.items()}
    loaded = spacy.load(tmp_path / "saved", config=config)
    texts = [LONG[:600], "unbelievable"]
    expected = tensors(pipeline(**changes), texts)
    for found, vectors in zip(tensors(loaded, texts), expected, strict=True):
        numpy.testing.assert_array_equal(found, vectors)


def test_a_listener_cannot_be_replaced(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline()
    nlp.add_pipe("tagger", config={"model": {"tok2vec": LISTENER}})
    nlp.get_pipe("transformer").find_listeners(nlp.get_pipe("tagger"))
    with pytest.raises(ValueError, match=r"\[HE037\]"):
        nlp.replace_listeners("transformer", "tagger", ["model.tok2vec"])


def test_weights_are_stored_as_safetensors(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline()
    shim = nlp.get_pipe("transformer").model.layers[0].shims[0]
    message = srsly.msgpack_loads(srsly.msgpack_loads(shim.to_bytes())["state"])
    stored = load(message["weights"])
    assert all(torch.equal(stored[name], value) for name, value in weights_of(nlp).items())
    assert {"config.json", "tokenizer.json"} <= set(message["files"])
    # Every zip file that torch.save writes has a data.pkl.
    assert b"data.pkl" not in nlp.to_bytes()


def test_a_pipeline_saved_before_it_was_initialized_can_be_initialized(
    make_pipeline: Callable[..., Language], tiny_encoder: Path
) -> None:
    data = make_pipeline().to_bytes()
    nlp = make_pipeline().from_bytes(data)
    with pytest.raises(ValueError, match=r"\[HE033\]"):
        nlp("a lake")
    nlp.initialize()
    assert nlp("a lake").tensor.any()


def test_initializing_again_keeps_a_trained_encoder(pipeline: Callable[..., Language]) -> None:
    nlp = pipeline()
    weights = weights_of(nlp)
    with torch.no_grad():
        weights["embeddings.word_embeddings.weight"] += 1
    expected = weights["embeddings.word_embeddings.weight"].clone()
    nlp.initialize()
    assert torch.equal(weights_of(nlp)["embeddings.word_embeddings.weight"], expected)


# What loading says, and what it refuses


@pytest.fixture
def transformers_log() -> Iterator[List[str]]:
    """All messages that transformers logs, at the level it has by itself."""
    messages: List[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = transformers_logging.get_logger("transformers")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_a_pooler_that_is_left_out_is_no_news(
    pipeline: Callable[..., Language], encoder_copy: Path, transformers_log: List[str]
) -> None:
    weights = load_file(encoder_copy / "model.safetensors")
    pooler = {"pooler.dense.weight": torch.ones(32, 32), "pooler.dense.bias": torch.ones(32)}
    save_file({**weights, **pooler}, encoder_copy / "model.safetensors", metadata={"format": "pt"})
    AutoModel.from_pretrained(encoder_copy, local_files_only=True, add_pooling_layer=False)
    assert len(transformers_log) == 1 and "pooler.dense" in transformers_log.pop()
    verbosity = transformers_logging.get_verbosity()
    nlp = pipeline(encoder_copy)
    assert transformers_log == []
    assert transformers_logging.get_verbosity() == verbosity
    assert not [name for name in weights_of(nlp) if "pooler" in name]
    list(nlp.pipe([LONG, "a lake"]))
    nlp.from_bytes(nlp.to_bytes())
    assert transformers_log == []


def test_missing_weights_are_an_error(
    pipeline: Callable[..., Language], encoder_copy: Path, transformers_log: List[str]
) -> None:
    weights = load_file(encoder_copy / "model.safetensors")
    lost = "encoder.layer.1.output.dense.weight"
    del weights[lost]
    save_file(weights, encoder_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"\[HE034\].*1 are missing, such as {lost}"):
        pipeline(encoder_copy)


def test_weights_of_another_shape_are_an_error(
    pipeline: Callable[..., Language], encoder_copy: Path
) -> None:
    edit_json(encoder_copy / "config.json", intermediate_size=48)
    with pytest.raises(ValueError, match=r"(?s)\[HE034\].*size mismatch"):
        pipeline(encoder_copy)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"num_attention_heads": 3}, "HE034"),
        ({"num_attention_heads": 0}, "HE034"),
        ({"hidden_act": "foo"}, "HE034"),
        ({"hidden_size": "x"}, "HE034"),
        ({"vocab_size": "x"}, "HE034"),
        ({"num_labels": "x"}, "HE021"),
        ({"torch_dtype": 3}, "HE021"),
    ],
)
def test_values_that_make_no_encoder_are_an_error(
    make_pipeline: Callable[..., Language], encoder_copy: Path, changes: Any, code: str
) -> None:
    edit_json(encoder_copy / "config.json", **changes)
    nlp = make_pipeline(encoder_copy)
    with pytest.raises(ValueError, match=rf"(?s)\[{code}\].*copy.*encoder build"):
        nlp.initialize()


@pytest.fixture
def sizes(tiny_encoder: Path, worded_encoder: Path) -> str:
    """What is told of the tokenizer of the one and the encoder of the other."""
    pieces, rows = (
        len((folder / "vocab.txt").read_text(encoding="utf8").splitlines())
        for folder in (worded_encoder, tiny_encoder)
    )
    assert pieces > rows
    return f"{pieces} pieces, .* for {rows}"


def test_a_tokenizer_of_another_encoder_is_an_error(
    make_pipeline: Callable[..., Language], encoder_copy: Path, worded_encoder: Path, sizes: str
) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copy(worded_encoder / name, encoder_copy / name)
    nlp = make_pipeline(encoder_copy)
    for _ in range(2):  # Nothing of it is kept that would pass the second time.
        with pytest.raises(ValueError, match=rf"\[HE039\].*copy.* {sizes}"):
            nlp.initialize()


def test_a_tokenizer_of_another_encoder_in_a_saved_pipeline_is_an_error(
    pipeline: Callable[..., Language], worded_encoder: Path, sizes: str
) -> None:
    shim = pipeline().get_pipe("transformer").model.layers[0].shims[0]
    saved = srsly.msgpack_loads(shim.to_bytes())
    message = srsly.msgpack_loads(saved["state"])
    message["files"]["tokenizer.json"] = (worded_encoder / "tokenizer.json").read_bytes()
    saved["state"] = srsly.msgpack_dumps(message)
    with pytest.raises(ValueError, match=rf"\[HE039\].*saved pipeline.* {sizes}"):
        shim.from_bytes(srsly.msgpack_dumps(saved))


@pytest.mark.parametrize(
    ("model_type", "code"), [("t5", "HE035"), ("bart", "HE035"), ("no-such-type", "HE021")]
)
def test_a_model_that_is_no_encoder_is_an_error(
    pipeline: Callable[..., Language], encoder_copy: Path, model_type: str, code: str
) -> None:
    edit_json(encoder_copy / "config.json", model_type=model_type)
    with pytest.raises(ValueError, match=rf"\[{code}\].*{model_type}"):
        pipeline(encoder_copy)


def broken_folder(folder: Path, what: str) -> Path:
    if what == "no folder":
        shutil.rmtree(folder)
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what == "pickled weights":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif what == "cut weights":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    elif what == "no tokenizer":
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").unlink()
    elif what == "cut tokenizer":
        text = (folder / "tokenizer.json").read_text(encoding="utf8")
        (folder / "tokenizer.json").write_text(text[: len(text) // 2], encoding="utf8")
    elif what == "empty tokenizer":
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("no folder", "HE020"),
        ("no config", "HE021"),
        ("pickled weights", "HE022"),
        ("cut weights", "HE022"),
        ("no tokenizer", "HE023"),
        ("cut tokenizer", "HE023"),
        ("empty tokenizer", "HE023"),
    ],
)
def test_a_broken_folder_is_an_error_that_names_it(
    make_pipeline: Callable[..., Language], encoder_copy: Path, what: str, code: str
) -> None:
    nlp = make_pipeline(broken_folder(encoder_copy, what))
    with pytest.raises(ValueError, match=rf"\[{code}\].*copy.*encoder build"):
        nlp.initialize()


def test_an_encoder_without_weights_yet_is_an_error(
    make_pipeline: Callable[..., Language],
) -> None:
    with pytest.raises(ValueError, match=r"\[HE033\].*tiny.*nlp.initialize"):
        make_pipeline()("a lake")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"pooling": "sum"}, "HE004"),
        ({"precision": "fp8"}, "HE004"),
        ({"min_density": 1.5}, "HE002"),
        ({"min_density": -0.5}, "HE002"),
        ({"layers": 0}, "HE002"),
        ({"context_sentences": -2}, "HE002"),
        ({"max_batch_pieces": 0}, "HE002"),
        ({"window": 64, "overlap": 64}, "HE032"),
        ({"overlap": -1}, "HE032"),
        ({"window": 0, "overlap": 0}, "HE032"),
    ],
)
def test_bad_settings_are_errors(tiny_encoder: Path, settings: Any, code: str) -> None:
    with pytest.raises(ValueError, match=rf"\[{code}\]"):
        build_encoder_model(str(tiny_encoder), **settings)


def test_more_layers_than_there_are_is_an_error(pipeline: Callable[..., Language]) -> None:
    with pytest.raises(ValueError, match=r"\[HE002\] layers must lie in \[1, 2\], got 3"):
        pipeline(layers=3)


# Other kinds of encoder


@pytest.fixture(scope="module")
def byte_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of random weights with 34 positions, two of them reserved; a byte is a piece."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("bytes")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet, "Ġa"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "a")], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    RobertaTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=34,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("by_token", [False, True])
def test_an_encoder_of_another_family(
    pipeline: Callable[..., Language], byte_encoder: Path, by_token: bool
) -> None:
    nlp = pipeline(byte_encoder, representation={"width": 16}, by_token=by_token)
    texts = ["a 😀 lake a", LONG[:200], ""]
    expected = tensors(nlp, texts)
    assert all(vectors.any(axis=1).all() for vectors in expected)
    tokenizer = torch_encoder(nlp.get_pipe("transformer").model).tokenizer
    batch = PieceTokenizer(tokenizer, capacity=30, overlap=5, by_token=by_token)([nlp("a a")])
    # On its own, each token is read as if a space stood before it.
    space_and_a = tokenizer.convert_tokens_to_ids("Ġa")
    assert batch.window_ids[0].tolist().count(space_and_a) == (2 if by_token else 1)
    nlp.from_bytes(nlp.to_bytes())
    for found, vectors in zip(tensors(nlp, texts), expected, strict=True):
        numpy.testing.assert_array_equal(found, vectors)
