"""Build the API pages of every module from its docstrings, with pdoc."""

import pkgutil
import sys
import warnings
from pathlib import Path
from typing import Annotated, List

import pdoc
import typer
from wasabi import msg

import spacy_hetner

ROOT = Path(__file__).resolve().parent.parent


def module_names() -> List[str]:
    """The package and what lies directly in it: pdoc finds the rest.

    It does not find these by itself, since the package's ``__all__`` does not name them.
    """
    name = spacy_hetner.__name__
    modules = pkgutil.iter_modules(spacy_hetner.__path__, f"{name}.")
    return [name, *(module.name for module in modules)]


def main(
    out: Annotated[Path, typer.Option(help="Folder for the pages")] = ROOT / "docs" / "api",
) -> None:
    """Build the API pages; what pdoc warns of is an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Docstrings are written in lines, "name (type): what": a page keeps them apart.
        pdoc.render.configure(template_directory=ROOT / "scripts" / "api_template")
        pdoc.pdoc(*module_names(), output_directory=out)
    for warning in caught:
        msg.fail(f"{warning.filename}:{warning.lineno}: {warning.message}")
    if caught:
        sys.exit(1)
    msg.good(f"Built the API pages of {spacy_hetner.__name__} in {out}")


if __name__ == "__main__":
    typer.run(main)
