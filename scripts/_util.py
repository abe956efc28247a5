"""What the scripts share."""

from typing import Any, Callable

import typer
from wasabi import msg

from spacy_hetner.errors import is_coded


def run(main: Callable[..., Any]) -> None:
    """Run a script's function from the command line; coded errors are told without a traceback."""
    try:
        typer.run(main)
    except ValueError as error:
        if not is_coded(error):
            raise
        msg.fail(str(error), exits=1)
