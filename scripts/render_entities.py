"""Draw the nested entities of a text with displaCy, as a page or as a picture."""

import unicodedata
from pathlib import Path
from typing import Annotated, Callable, Dict

import spacy
import typer
from _util import run
from spacy import displacy
from spacy.tokens import Doc
from wasabi import msg

from spacy_hetner.errors import Errors
from spacy_hetner.files import replacing

PALETTE = ("#7aecec", "#feca74", "#aa9cfc", "#bfeeb7", "#ff9561", "#9cc9cc", "#f0d0ff", "#ffeb80")
_EM = 16
_TOP, _STEP = 40, 17  # displaCy's: from the text's top to the first bar, and between bars

_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}">
<rect width="100%" height="100%" fill="white"/>
<foreignObject width="100%" height="100%">
<div xmlns="http://www.w3.org/1999/xhtml" style="font: {em}px sans-serif; padding: 8px">
{markup}
</div>
</foreignObject>
</svg>
"""


def to_html(doc: Doc, *, spans_key: str = "entities", page: bool = True) -> str:
    """The spans of a doc as displaCy draws them, a colour for each label."""
    labels = sorted({span.label_ for span in doc.spans[spans_key]})
    colors = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(labels)}
    options = {"spans_key": spans_key, "colors": colors}
    return displacy.render(doc, style="span", page=page, jupyter=False, options=options)


def to_svg(doc: Doc, *, spans_key: str = "entities", width: int = 900) -> str:
    """The same as a picture: displaCy's HTML inside an SVG that is as high as it takes."""
    spans = doc.spans[spans_key]
    depth = max((sum(s.start <= i < s.end for s in spans) for i in range(len(doc))), default=0)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in doc.text)
    length = _EM * (wide + 0.65 * (len(doc.text) - wide))
    lines = 1 + int(length // (width - 2 * _EM))
    return _SVG.format(
        width=width,
        height=lines * (_TOP + _STEP * (depth + 1)) + _EM,
        em=_EM,
        markup=to_html(doc, spans_key=spans_key, page=False).strip(),
    )


def main(
    model: Annotated[str, typer.Argument(help="Pipeline: an installed package or a folder")],
    text: Annotated[str, typer.Argument(help="A sentence")],
    out: Annotated[Path, typer.Option(help="File to write: NAME.html or NAME.svg")],
) -> None:
    """Draw the nested entities of a text."""
    renderers: Dict[str, Callable[[Doc], str]] = {".html": to_html, ".svg": to_svg}
    if out.suffix not in renderers:
        raise ValueError(
            Errors.HE004.format(
                name="kind of picture", value=out.name, choices=", ".join(renderers)
            )
        )
    markup = renderers[out.suffix](spacy.load(model)(text))
    with replacing(out) as partial:
        partial.write_text(markup, encoding="utf8")
    msg.good(f"Drew {out}")


if __name__ == "__main__":
    run(main)
