"""Package a trained pipeline as a wheel, with ``spacy package`` and without an index.

``spacy package --build wheel`` builds in an isolated environment, into which it would have to
download setuptools. The folder that it generates builds as well in this environment.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from _util import run
from spacy.cli import package
from typer import Argument, Option
from wasabi import msg

from spacy_hetner.errors import Errors
from spacy_hetner.files import replacing


def main(
    model: Annotated[Path, Argument(help="Folder of a trained pipeline", exists=True)],
    out: Annotated[Path, Argument(help="Folder for the wheel")],
    name: Annotated[str, Option(help="Name of the package, behind its language")],
    version: Annotated[str, Option(help="Version of the package")] = "0.1.0",
) -> None:
    """Package a trained pipeline as a wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        package(
            model,
            Path(scratch),
            name=name,
            version=version,
            create_sdist=False,
            require_parent=True,
        )
        (folder,) = Path(scratch).iterdir()
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(folder)]
        done = subprocess.run(build, capture_output=True, text=True, errors="replace")
        wheels = sorted(folder.glob("dist/*.whl"))
        if done.returncode or len(wheels) != 1:
            reason = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise ValueError(Errors.HE104.format(model=model, reason=reason))
        with replacing(out / wheels[0].name) as partial:
            shutil.copyfile(wheels[0], partial)
    msg.good(f"Packaged {model} as {out / wheels[0].name}")


if __name__ == "__main__":
    run(main)
