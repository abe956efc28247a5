"""Fail where a step did not write what it should: weasel records a step without looking."""

from pathlib import Path
from typing import Annotated, List

from _util import run
from typer import Argument

from spacy_hetner.errors import Errors


def main(
    paths: Annotated[List[Path], Argument(help="Files, and folders that are not empty")],
) -> None:
    """Fail unless all of them are there."""
    missing = [str(path) for path in paths if not _is_written(path)]
    if missing:
        raise ValueError(Errors.HE105.format(paths=", ".join(missing)))


def _is_written(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.is_file()


if __name__ == "__main__":
    run(main)
