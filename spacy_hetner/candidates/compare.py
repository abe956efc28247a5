"""Several proposers side by side: how many gold spans each finds, and at what cost."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

import spacy
from spacy.training import Example
from wasabi import table

from .component import CandidatePipe
from .proposer import CountingProposer, Proposer
from .structure import SpanGroupCandidates

ALL = "all together"


@dataclass
class CandidateRow:
    """What one proposer finds: see ``spacy_hetner.candidates_scorer.v1``.

    recall, per_gold, per_token: None where no doc has a gold span.
    dropped: what it left out, by cause.
    """

    name: str
    recall: Optional[float]
    per_gold: Optional[float]
    per_token: Optional[float]
    dropped: Dict[str, int]


@dataclass
class CandidateReport:
    """A row for each proposer, and one for all of them together."""

    rows: List[CandidateRow]

    def to_dict(self) -> Dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The report as a table."""
        data = [
            (row.name, *(_number(n) for n in (row.recall, row.per_gold, row.per_token)))
            for row in self.rows
        ]
        header = ("candidates", "recall", "per gold", "per token")
        text = table(data, header=header, divider=True, aligns=("l", "r", "r", "r"))
        lost = [
            f"{row.name}: {n:,} {cause}" for row in self.rows for cause, n in row.dropped.items()
        ]
        return "\n".join([text, *(f"left out by {line}" for line in lost)])


def compare_proposers(
    proposers: Mapping[str, Proposer],
    examples: Sequence[Example],
    *,
    gold_key: str = "entities",
    batch_size: int = 128,
) -> CandidateReport:
    """Run each proposer on the predicted docs of examples and hold it against the references.

    The predicted docs need what the proposers read, such as tags; they are left as they were.

    proposers (Mapping[str, Proposer]): Under names for the report.
    gold_key (str): The group in ``doc.spans`` of the references.
    RETURNS (CandidateReport): A row for each, and one for their union if there are several.
    RAISES (ValueError): As the proposers do, and HE176.
    """
    keys = {name: f"candidates by {name}" for name in [*proposers, ALL]}

    def score(name: str, chosen: Mapping[str, Proposer]) -> CandidateRow:
        return _score(name, chosen, examples, keys[name], gold_key, batch_size)

    try:
        rows = [score(name, {name: proposer}) for name, proposer in proposers.items()]
        if len(proposers) > 1:
            rows.append(score(ALL, {name: SpanGroupCandidates(keys[name]) for name in proposers}))
    finally:
        for example in examples:
            for key in keys.values():
                example.predicted.spans.pop(key, None)
    return CandidateReport(rows)


def _score(
    name: str,
    proposers: Mapping[str, Proposer],
    examples: Sequence[Example],
    key: str,
    gold_key: str,
    batch_size: int,
) -> CandidateRow:
    # By name, since scorers stand further down in this package, beside all other evaluation.
    scorer = spacy.registry.scorers.get("spacy_hetner.candidates_scorer.v1")(key, gold_key)
    pipe = CandidatePipe(name, proposers, candidates_key=key, overwrite=True, scorer=scorer)
    before = _dropped(proposers)
    for _ in pipe.pipe((example.predicted for example in examples), batch_size=batch_size):
        pass
    scores = pipe.score(examples)
    return CandidateRow(
        name,
        recall=scores[f"{key}_recall"],
        per_gold=scores[f"{key}_per_gold"],
        per_token=scores[f"{key}_per_token"],
        dropped=dict(_dropped(proposers) - before),
    )


def _dropped(proposers: Mapping[str, Any]) -> "Counter[str]":
    counting = [found for found in proposers.values() if isinstance(found, CountingProposer)]
    return sum((proposer.dropped for proposer in counting), Counter())


def _number(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.3f}"
