"""What all commands that run a job over shards have in common: their options and their summary."""

from typing import Annotated, List, Optional, Sequence

from typer import Option
from wasabi import table

from ..engine.task import Counts

EngineOption = Annotated[
    str, Option("--engine", help="local: this machine, no service; ray: a Ray cluster")
]
AddressOption = Annotated[
    str, Option("--address", help="ray: address of the cluster; default: start one here")
]
WorkersOption = Annotated[
    Optional[int],
    Option("--workers", "-w", help="Processes; default: 1, with ray all processors", min=1),
]
ResumeOption = Annotated[
    bool, Option("--resume/--no-resume", help="Go on with finished shards, or start anew")
]
SeedOption = Annotated[int, Option("--seed", "-s", help="Seed of all that is sampled")]
StrictOption = Annotated[
    bool, Option("--strict", help="Stop at the first thing that cannot be read")
]


def counts_table(counts: Counts, sections: Sequence[str]) -> str:
    """The counts of the named sections as a table, the most frequent first under each heading.

    The first section has no heading: its rows are the totals, in their own order.
    """
    rows: List[Sequence[str]] = []
    for section in sections:
        items = list(counts.get(section, {}).items())
        if section == sections[0]:
            rows += [(name, f"{count:,}") for name, count in items]
        else:
            items.sort(key=lambda item: (-item[1], item[0]))
            rows += [(f"{section}: {name}", f"{count:,}") for name, count in items]
    return table(rows, aligns=("l", "r"))
