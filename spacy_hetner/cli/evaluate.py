"""``spacy hetner evaluate``: all scores of a pipeline, as tables and as JSON."""

from pathlib import Path
from typing import Annotated, Optional

from typer import Argument, Option
from wasabi import msg

from ..evaluation.evaluate import evaluate_model
from ..files import write_json


def evaluate_cli(
    model: Annotated[str, Argument(help="Pipeline: a folder or the name of an installed one")],
    data: Annotated[Path, Argument(help="Annotated data: a .spacy or .parquet file")],
    output: Annotated[
        Optional[Path], Option("--output", "-o", help="JSON file for the report", dir_okay=False)
    ] = None,
    spans_key: Annotated[
        str, Option("--spans-key", "-sk", help="Group of labelled spans")
    ] = "entities",
    candidates_key: Annotated[
        str, Option("--candidates-key", "-ck", help="Group of candidates")
    ] = "candidates",
    retokenise: Annotated[
        bool, Option("--retokenise", help="Let the pipeline tokenise the text itself")
    ] = False,
    batch_size: Annotated[
        Optional[int],
        Option("--batch-size", "-b", min=1, help="Documents a batch (default: the pipeline's)"),
    ] = None,
    gpu_id: Annotated[int, Option("--gpu-id", "-g", help="GPU ID or -1 for CPU")] = -1,
) -> None:
    """
    Evaluate a pipeline of nested entities: strict scores over all, by label, by length and by
    depth of nesting, lenient scores, and the candidates' recall and number. Spans are compared by
    character offsets, so a span that does not fit the gold tokens counts as wrong.
    """
    report = evaluate_model(
        model,
        data,
        spans_key=spans_key,
        candidates_key=candidates_key,
        gold_tokens=not retokenise,
        batch_size=batch_size,
        gpu_id=gpu_id,
    )
    print(report.to_text())
    if output is not None:
        write_json(output, report.to_dict())
        msg.good(f"Saved the report to {output}")
