"""Print the entities of a text, what is nested below what holds it, with their scores."""

from typing import Annotated, Iterator

import spacy
import typer
from spacy.tokens import Doc


def entity_lines(doc: Doc, spans_key: str = "entities") -> Iterator[str]:
    """One line a span: score, label and text, indented once for each span that holds it.

    Raises ValueError (spaCy's E1046) where the doc has no such span group.
    """
    group = doc.spans[spans_key]
    scores = group.attrs["scores"]
    order = sorted(range(len(group)), key=lambda i: (group[i].start, -group[i].end))
    for i in order:
        span = group[i]
        depth = sum(
            j != i and other.start <= span.start and span.end <= other.end
            for j, other in enumerate(group)
        )
        yield f"{scores[i]:.2f}  {'    ' * depth}{span.label_:<10}{span.text}"


def main(
    model: Annotated[str, typer.Argument(help="Pipeline: an installed package or a folder")],
    text: Annotated[str, typer.Argument(help="A sentence")],
) -> None:
    """Print the entities of a text."""
    lines = list(entity_lines(spacy.load(model)(text)))
    print(text, *(lines or ["(no entity found)"]), sep="\n")


if __name__ == "__main__":
    typer.run(main)
