"""Fetch the files of a corpus or of knowledge, from a local mirror or their public homes."""

import hashlib
import http.client
import lzma
import os
from pathlib import Path
from typing import Annotated, List, Optional, Tuple
from urllib.error import URLError
from urllib.request import urlopen

from _util import run
from corpora import CORPORA, Source, get_sources
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.errors import Errors
from spacy_hetner.files import replacing

TIMEOUT = 30
"""Seconds without an answer after which a server counts as out of reach."""


def fetch_data(name: str, out: Path, mirror: Optional[Path] = None) -> List[Path]:
    """Make sure that all files of a name lie under a folder, each as its digest says.

    Files that are there already are not fetched again; a file appears when it is whole.

    name (str): One of ``corpora.CORPORA`` or ``corpora.KNOWLEDGE``.
    out (Path): The folder to write, laid out as a mirror.
    mirror (Optional[Path]): Folder to take the files from; by default their public URLs.
    RETURNS (List[Path]): The files.

    Raises ValueError for an unknown name (HE004), a mirror without one of the files (HE102), a
    file without a public URL (HE100), one that cannot be fetched (HE101) or is another than
    expected (HE103), and a folder that cannot be written (HE081).
    """
    mirror = _shipped(name) or mirror
    files = []
    for source in get_sources(name):
        target = out / source.path
        if source.sha256 is None or not _is_there(target, source.sha256):
            data = _read(source, name, mirror)
            with replacing(target) as partial:
                partial.write_bytes(data)
        files.append(target)
    return files


def _shipped(name: str) -> Optional[Path]:
    return CORPORA[name].mirror if name in CORPORA else None


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _read(source: Source, name: str, mirror: Optional[Path]) -> bytes:
    """The bytes of a file, unpacked and compared with their digest."""
    place: object
    if mirror is not None:
        place, data = _read_mirror(source, mirror)
    else:
        if source.url is None:
            raise ValueError(Errors.HE100.format(path=source.path, corpus=name))
        place, data = source.url, _read_url(source.url)
    found = hashlib.sha256(data).hexdigest()
    if source.sha256 not in (None, found):
        raise ValueError(Errors.HE103.format(place=place, found=found, expected=source.sha256))
    return data


def _read_mirror(source: Source, mirror: Path) -> Tuple[Path, bytes]:
    plain = mirror / source.path
    packed = plain.with_name(f"{plain.name}.xz")
    path = plain if plain.is_file() else packed
    try:
        data = path.read_bytes()
        return path, lzma.decompress(data) if path is packed else data
    except (OSError, lzma.LZMAError) as error:
        raise ValueError(
            Errors.HE102.format(mirror=mirror, path=source.path, reason=error)
        ) from error


def _read_url(url: str) -> bytes:
    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except (URLError, OSError, http.client.HTTPException) as error:
        raise ValueError(Errors.HE101.format(url=url, reason=error)) from error


def main(
    name: Annotated[str, Argument(help="A corpus, or a set of knowledge: see corpora.py")],
    out: Annotated[Path, Argument(help="Folder to write, laid out as a mirror")],
    mirror: Annotated[
        str, Option(help="Local mirror; default: the folder HETNER_DATA, else the public URLs")
    ] = "",
) -> None:
    """Fetch the files of a name, from a local mirror or from their public homes."""
    folder = mirror or os.environ.get("HETNER_DATA", "")
    files = fetch_data(name, out, Path(folder) if folder else None)
    place = _shipped(name) or folder or "their public URLs"
    msg.good(f"{len(files)} files of '{name}' from {place} in {out}")


if __name__ == "__main__":
    run(main)
