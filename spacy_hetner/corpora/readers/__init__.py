"""The formats that corpora come in: one reader a family, found by name."""

from inspect import Parameter, signature
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ...errors import Errors
from ...sources import find_files
from ...types import PathLike
from ...validation import check_choice
from ..records import Ledger, Record
from .brat import read_brat
from .chunk_lines import read_chunk_lines
from .cluener import read_cluener
from .columns import read_columns
from .json_text import read_json_text
from .json_tokens import read_json_tokens
from .layered import read_layered, read_multilabel
from .parallel import read_parallel
from .span_lines import read_span_lines


class Format(NamedTuple):
    """A corpus format.

    read (Callable[..., Iterator[Record]]): Its reader.
    suffixes (Tuple[str, ...]): Which files of a folder are its own; all if empty.
    knows_spaces (bool): Whether its files say where blanks stand.
    """

    read: Callable[..., Iterator[Record]]
    suffixes: Tuple[str, ...] = ()
    knows_spaces: bool = False

    @property
    def options(self) -> List[str]:
        """The names of the reader's options."""
        parameters = signature(self.read).parameters.values()
        return [item.name for item in parameters if item.kind is Parameter.KEYWORD_ONLY]


FORMATS: Dict[str, Format] = {
    "columns": Format(read_columns),
    "layered": Format(read_layered),
    "multilabel": Format(read_multilabel),
    "parallel": Format(read_parallel),
    "span_lines": Format(read_span_lines),
    "chunk_lines": Format(read_chunk_lines, knows_spaces=True),
    "cluener": Format(read_cluener, knows_spaces=True),
    "json_tokens": Format(read_json_tokens),
    "json_text": Format(read_json_text, knows_spaces=True),
    "brat": Format(read_brat, suffixes=(".txt", ".ann"), knows_spaces=True),
}


def get_format(name: str) -> Format:
    """A format by its name; hyphens count as underscores. Raises ValueError (HE004)."""
    return FORMATS[check_choice("format", name.replace("-", "_"), list(FORMATS))]


def read_records(
    inputs: Sequence[PathLike], ledger: Ledger, *, format: str, **options: Any
) -> Iterator[Record]:
    """Stream the records of files or folders in a named format.

    options: Those of the format's reader, see ``read_columns`` and its neighbours.

    Raises ValueError for an unknown format (HE004), an option that it does not take (HE076), and
    paths without files (HE075), and what the reader raises: always with file and line.
    """
    chosen = get_format(format)
    for option in options:
        if option not in chosen.options:
            choices = ", ".join(chosen.options)
            raise ValueError(Errors.HE076.format(format=format, option=option, choices=choices))
    return chosen.read(find_files(inputs, chosen.suffixes), ledger, **options)
