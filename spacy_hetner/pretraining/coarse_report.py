"""What a chain of stages tells a person: scores, and what each round changed in the labels."""

from typing import Any, Iterable, List, Mapping, NamedTuple, Sequence

from ..corpora.changes import write_changes


class Round(NamedTuple):
    """A run that is through.

    stage, number: Which it is; run: its folder; steps: how many it had; scores: on dev, if there
        is one.
    """

    stage: str
    number: int
    run: str
    steps: int
    scores: Mapping[str, float]


class Picking(NamedTuple):
    """Labels that a model picked: the round of its model, the threshold, and what changed."""

    number: int
    delta: float
    changes: Mapping[str, Any]


def write_report(
    rounds: Sequence[Round], kept: Iterable[str], pickings: Sequence[Picking], notes: Sequence[str]
) -> str:
    """As Markdown.

    kept: The folders of the runs that are, or for now would be, the best of their stages.
    """
    names = sorted({name for done in rounds for name in done.scores})
    header = ["stage", "round", "steps", *names, "best"]
    chosen = set(kept)
    rows = [
        [
            done.stage,
            str(done.number),
            f"{done.steps:,}",
            *(f"{100 * done.scores[name]:.2f}" if name in done.scores else "" for name in names),
            "yes" if done.run in chosen else "",
        ]
        for done in rounds
    ]
    lines = ["# From coarse to fine", ""]
    lines += [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    lines += [line for note in notes for line in ("", note)]
    for picking in pickings:
        lines += [
            "",
            f"## Labels picked after round {picking.number}",
            "",
            f"Threshold {picking.delta:g}. {write_changes(dict(picking.changes)).rstrip()}",
        ]
    return "\n".join(lines) + "\n"


def describe_rounds(rounds: Sequence[Round], kept: Iterable[str]) -> List[Mapping[str, Any]]:
    """The same table as JSON."""
    chosen = set(kept)
    return [{**done._asdict(), "best": done.run in chosen} for done in rounds]
