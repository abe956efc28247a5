"""What the scripts share."""

import re
from typing import Any, Callable

import typer
from wasabi import msg


def run(main: Callable[..., Any]) -> None:
    """Run a script's function from the command line; coded errors are told without a traceback."""
    try:
        typer.run(main)
    except ValueError as error:
        if not re.match(r"\[H?E\d+\]", str(error)):
            raise
        msg.fail(str(error), exits=1)
