"""From real data to a recogniser in an environment of its own: what ``make demo`` runs.

Takes the corpus from the local mirror that HETNER_DATA names, else from its public URLs, else the
small one that comes along; runs the project on it; installs the packaged pipeline in a second
environment, as a user would, and lets it read a sentence there.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Iterator, List

from _util import run
from corpora import ROOT
from fetch_data import fetch_data
from typer import Option
from wasabi import msg

SETTINGS = {
    # A share of the corpus that trains within minutes on two cores.
    "genia": ["all", ".", "--vars.limit", "2000", "--vars.epochs", "3"],
    "demo": ["demo-corpus", "."],
}
PACKAGES = {"genia": "en_hetner_genia", "demo": "zh_hetner_demo"}
SENTENCES = {
    "genia": "Activation of the human interleukin 2 receptor alpha chain gene promoter in T "
    "lymphocytes requires the transcription factor NF - kappa B .",
    "demo": "武汉大学中南医院院长周启明和 director of the Vienna City Library 在广州南站附近见面。",
}


def choose_corpus() -> str:
    """The corpus to train on, of which all files are in reach; tells which and why.

    Raises ValueError as ``fetch_data`` does, but for public URLs that are out of reach.
    """
    mirror = os.environ.get("HETNER_DATA")
    try:
        fetch_data("genia", ROOT / "data" / "genia", Path(mirror) if mirror else None)
    except ValueError as error:
        if mirror or "[HE101]" not in str(error):  # the only one that means: out of reach
            raise
        msg.warn(str(error))
        msg.info("Data: the small corpus in assets/demo, because the public URLs are out of reach")
        return "demo"
    if mirror:
        msg.info(f"Data: GENIA from {mirror}, because HETNER_DATA names it")
    else:
        msg.info("Data: GENIA from its public URLs, because HETNER_DATA names no local mirror")
    return "genia"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Tell what is being done, and then how long it took."""
    msg.divider(title)
    start = time.perf_counter()
    yield
    msg.good(f"{title}: {time.perf_counter() - start:.0f} s")


def call(*command: object, cwd: Path = ROOT) -> None:
    """Run a command; where it fails, end as it did: it has said why."""
    done = subprocess.run([str(part) for part in command], cwd=cwd)
    if done.returncode:
        sys.exit(done.returncode)


def install_for_user(env: Path, model: Path) -> None:
    """Install the packaged pipeline, and this package, in a fresh environment."""
    call(sys.executable, "-m", "venv", "--clear", env)
    with tempfile.TemporaryDirectory() as dist:
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist]
        subprocess.run([*build, str(ROOT)], check=True, stdout=subprocess.DEVNULL)
        wheels: List[Path] = [*Path(dist).glob("*.whl"), model]
        pip = [env / "bin" / "python", "-m", "pip", "install", "--quiet"]
        call(*pip, "-c", ROOT / "constraints.txt", *wheels)


def main(
    user_env: Annotated[Path, Option(help="Folder for the user's environment")],
    text: Annotated[str, Option(help="A sentence for the trained pipeline")] = "",
    pictures: Annotated[Path, Option(help="Folder for the pictures")] = ROOT / "pictures",
) -> None:
    """Train, evaluate, package, install elsewhere, and read a sentence."""
    start = time.perf_counter()
    with step("Data"):
        corpus = choose_corpus()
    with step("Project"):
        project = [sys.executable, "-m", "spacy", "project", "run", *SETTINGS[corpus]]
        call(*project, "--vars.precision", "auto")
    package = PACKAGES[corpus]
    with step("A user's environment"):
        install_for_user(user_env, ROOT / "packages" / corpus / f"{package}-0.1.0-py3-none-any.whl")
    text = text or SENTENCES[corpus]
    user = (user_env / "bin" / "python").absolute()
    with step("Entities, nested ones below what holds them, with scores"):
        # From elsewhere, so that the installed packages are used and not what lies here.
        with tempfile.TemporaryDirectory() as elsewhere:
            script = ROOT / "scripts" / "show_entities.py"
            call(user, script, package, text, cwd=Path(elsewhere))
        for suffix in ("html", "svg"):
            picture = pictures.absolute() / f"entities.{suffix}"
            call(user, ROOT / "scripts" / "render_entities.py", package, text, "--out", picture)
    msg.good(
        f"Trained, packaged, installed and used {package} in {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    run(main)
