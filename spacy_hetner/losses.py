"""What of an input did not become a row: counted by cause, told once."""

from collections import Counter
from typing import Dict

from .errors import Errors


class Losses:
    """Counts by cause, with the place of the first of each.

    counts (Counter): How often, by cause.
    first (Dict[str, str]): Where first, by cause: file, line and what stands there.

    With ``strict`` the first loss is an error (ValueError HE074) that names file and line.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.counts: Counter[str] = Counter()
        self.first: Dict[str, str] = {}

    def add(self, cause: str, place: str, detail: str) -> None:
        """Count what is lost because it is not as it should be."""
        shown = repr(detail if len(detail) <= 40 else f"{detail[:40]}...")
        if self.strict:
            raise ValueError(Errors.HE074.format(place=place, cause=cause, detail=shown))
        self.pass_over(cause, f"{place}: {shown}")

    def pass_over(self, cause: str, place: str) -> None:
        """Count what is left out by intention: never an error."""
        self.counts[cause] += 1
        self.first.setdefault(cause, place)
