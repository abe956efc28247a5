"""What pictures share: fonts that have the characters, and files that are the same each time."""

import warnings
from pathlib import Path
from typing import Any, Callable, Iterable, List, Tuple

from ..files import replacing
from ..types import PathLike

FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Arial Unicode MS",
    "DejaVu Sans",
)
"""Those that are installed draw a picture: the first ones have Chinese characters."""


def choose_fonts(texts: Iterable[str]) -> Tuple[List[str], List[str]]:
    """The installed fonts, and the characters of the texts that none of them has."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in FONTS if name in installed]
    drawn = {
        code
        for font in fonts
        for code in font_manager.get_font(font_manager.findfont(font)).get_charmap()
    }
    return fonts, sorted({c for c in "".join(texts) if ord(c) not in drawn and not c.isspace()})


def save_figure(path: PathLike, draw: Callable[[], Any], **settings: Any) -> None:
    """Write the figure that ``draw`` returns, as .svg or .png by the suffix of the path.

    The same figure gives the same bytes. An .svg keeps its text as text.

    settings: More of matplotlib's ``rcParams``.
    RAISES (ValueError): HE081 where the file cannot be written.
    """
    import matplotlib

    suffix = Path(path).suffix
    fixed: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "spacy_hetner",  # names within the file would be drawn at random
        "text.parse_math": False,  # a dollar is a dollar
        **settings,
    }
    metadata = {"Date": None} if suffix == ".svg" else None
    with replacing(path) as partial, matplotlib.rc_context(fixed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # characters that no font has, one by one
        draw().savefig(partial, format=suffix[1:], dpi=150, metadata=metadata)
