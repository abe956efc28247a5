"""Heat maps of Classification Attention: how much each class weighs each position of a text."""

import warnings
from html import escape
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.language import Language

from ..errors import Errors, Warnings
from ..files import replacing
from ..labels.codecs import encode_tags
from ..types import LabelledSpan, PathLike
from ..validation import check_choice
from .pictures import choose_fonts

DARK = (8, 48, 107)
"""The darkest shade, RGB. One hue from white on: lightness alone says the weight, which all eyes
and a printer can tell."""

_PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<title>Classification Attention</title>
<style>
table {{ border-collapse: collapse; font: 16px sans-serif }}
th, td {{ padding: 4px 8px; text-align: center; font-weight: normal }}
tbody th {{ text-align: right }}
tfoot td {{ font-size: 12px }}
</style>
</head>
<body>
<table>
<thead><tr><th></th>{tokens}</tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><th></th>{tags}</tr></tfoot>
</table>
</body>
</html>
"""


class HeatMap(NamedTuple):
    """weights: float32 (n_labels, n_tokens); labels, tokens, tags: what rows and columns are of."""

    weights: numpy.ndarray
    labels: List[str]
    tokens: List[str]
    tags: List[str]


def read_heat_map(nlp: Language, text: str, component: Optional[str] = None) -> HeatMap:
    """Read a text and look at what a component attends to in it.

    component (Optional[str]): Name of the component; by default the first one that can say.
    RAISES (ValueError): HE096 where there is none.
    """
    names = [name for name, pipe in nlp.pipeline if hasattr(pipe, "attention")]
    name = component or next(iter(names), "")
    if name not in names:
        raise ValueError(Errors.HE096.format(name=name, known=", ".join(nlp.pipe_names)))
    pipe: Any = nlp.get_pipe(name)
    with nlp.select_pipes(enable=nlp.pipe_names[: nlp.pipe_names.index(name) + 1]):
        doc = nlp(text)
    # Of several layers of tags, which may nest, the outermost is shown.
    spans: List[LabelledSpan] = []
    for span in sorted(doc.spans[pipe.settings["spans_key"]], key=lambda s: (s.start, -s.end)):
        if not spans or span.start >= spans[-1].end:
            spans.append(LabelledSpan(span.start, span.end, span.label_))
    tags = encode_tags(spans, len(doc), pipe.settings["scheme"])
    return HeatMap(pipe.attention(doc), list(pipe.labels), [token.text for token in doc], tags)


def save_heat_map(heat_map: HeatMap, path: PathLike) -> None:
    """Write a heat map as a page (.html) or as a picture (.png): a row a class, a column a token.

    Warns (HW092) of characters that no font here can draw in a picture.

    RAISES (ValueError): HE004 for another suffix, HE081 where the file cannot be written, HE097
        for a picture without matplotlib.
    """
    writers: Dict[str, Callable[[HeatMap, Path], None]] = {".html": _write_html, ".png": _write_png}
    suffix = check_choice("kind of picture", Path(path).suffix, list(writers))
    with replacing(path) as partial:
        writers[suffix](heat_map, partial)


def _write_html(heat_map: HeatMap, path: Path) -> None:
    shades = _shades(heat_map.weights)
    rows = [
        f"<tr><th>{escape(label)}</th>{''.join(map(_cell, row, weights))}</tr>"
        for label, row, weights in zip(heat_map.labels, shades, heat_map.weights, strict=True)
    ]
    page = _PAGE.format(
        tokens=_cells("th", heat_map.tokens),
        rows="\n".join(rows),
        tags=_cells("td", heat_map.tags),
    )
    path.write_text(page, encoding="utf8")


def _shades(weights: numpy.ndarray) -> numpy.ndarray:
    """From 0 to 1, the largest weight of all."""
    return weights / max(float(weights.max(initial=0)), numpy.finfo("float32").tiny)


def _cell(shade: float, weight: float) -> str:
    color = ", ".join(str(round(255 + (part - 255) * float(shade))) for part in DARK)
    return f'<td style="background: rgb({color})" title="{weight:.3f}"></td>'


def _cells(kind: str, texts: Sequence[str]) -> str:
    return "".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts)


def _write_png(heat_map: HeatMap, path: Path) -> None:
    try:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure

        fonts, missing = choose_fonts([*heat_map.labels, *heat_map.tokens])
    except ImportError as error:
        raise ValueError(Errors.HE097.format(reason=error)) from error
    if missing:
        warnings.warn(Warnings.HW092.format(characters="".join(missing)), stacklevel=4)
    n_labels, n_tokens = heat_map.weights.shape
    figure = Figure(figsize=(1.5 + 0.35 * n_tokens, 1.2 + 0.35 * n_labels), layout="constrained")
    axes = figure.add_subplot()
    dark: Tuple[float, ...] = tuple(part / 255 for part in DARK)
    if heat_map.weights.size:
        axes.imshow(
            heat_map.weights,
            cmap=LinearSegmentedColormap.from_list("attention", [(1.0, 1.0, 1.0), dark]),
            vmin=0,
            aspect="auto",
        )
    axes.set_yticks(range(n_labels), heat_map.labels, family=fonts)
    columns = [f"{token}\n{tag}" for token, tag in zip(heat_map.tokens, heat_map.tags, strict=True)]
    axes.set_xticks(range(n_tokens), columns, family=fonts, fontsize=7)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # one by one, what is told above
        figure.savefig(path, format="png", dpi=150)
