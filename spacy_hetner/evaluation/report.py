"""The full report of an evaluation, as text tables and as JSON."""

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Optional, Sequence

from wasabi import table

from .metrics import PRF, CandidateScores, SpanScores


@dataclass
class Report:
    """What one evaluation found. A section is None where data or pipeline have no such spans.

    spans: ``doc.spans[spans_key]`` against the reference's group; candidates:
    ``doc.spans[candidates_key]`` against the same group; ents: ``doc.ents`` against the
    reference's. gold_tokens: whether the pipeline was given the reference's tokens.
    """

    model: str
    data: str
    documents: int
    tokens: int
    gold_tokens: bool
    spans_key: str
    candidates_key: str
    spans: Optional[SpanScores]
    candidates: Optional[CandidateScores]
    ents: Optional[SpanScores]

    def to_dict(self) -> Dict[str, Any]:
        """The whole report with all counts, ready for JSON."""
        return {
            "model": self.model,
            "data": self.data,
            "documents": self.documents,
            "tokens": self.tokens,
            "gold_tokens": self.gold_tokens,
            "spans_key": self.spans_key,
            "candidates_key": self.candidates_key,
            "spans": self.spans and span_scores_to_dict(self.spans),
            "candidates": self.candidates and candidate_scores_to_dict(self.candidates),
            "ents": self.ents and span_scores_to_dict(self.ents),
        }

    def to_text(self) -> str:
        """The whole report as tables, ratios in percent."""
        tokens = "gold tokens" if self.gold_tokens else "the pipeline's own tokens"
        parts = [f"{self.model} on {self.data}: {self.documents} documents, {tokens}"]
        if self.spans:
            parts.append(span_scores_to_text(self.spans, f"doc.spans['{self.spans_key}']"))
        if self.candidates:
            title = f"doc.spans['{self.candidates_key}']"
            parts.append(candidate_scores_to_text(self.candidates, title))
        if self.ents:
            parts.append(span_scores_to_text(self.ents, "doc.ents"))
        return "\n\n".join(parts)


def span_scores_to_dict(scores: SpanScores) -> Dict[str, Any]:
    """All scores of labelled spans with their counts, ready for JSON."""
    return {
        "documents": scores.documents,
        **{name: _prf_to_dict(prf) for name, prf in _overall(scores).items()},
        "unreachable": scores.unreachable,
        "per_label": {name: _prf_to_dict(prf) for name, prf in scores.per_label.items()},
        "by_length": {name: _prf_to_dict(prf) for name, prf in scores.by_length.items()},
        "by_depth": {name: _prf_to_dict(prf) for name, prf in scores.by_depth.items()},
    }


def candidate_scores_to_dict(scores: CandidateScores) -> Dict[str, Any]:
    """All scores of candidates with their counts, ready for JSON."""
    return {
        "documents": scores.documents,
        "recall": scores.recall.value,
        "found": scores.recall.confirmed,
        "gold": scores.recall.total,
        "candidates": scores.candidates,
        "tokens": scores.tokens,
        "per_gold": scores.per_gold,
        "per_token": scores.per_token,
        "by_length": {
            name: {"recall": ratio.value, "found": ratio.confirmed, "gold": ratio.total}
            for name, ratio in scores.by_length.items()
        },
    }


def span_scores_to_text(scores: SpanScores, title: str) -> str:
    """Tables of labelled spans: all measures, then by label, length and depth."""
    tables = [
        _prf_table(f"{title}, all measures", _overall(scores)),
        _prf_table(f"{title}, by label", scores.per_label),
        _prf_table(f"{title}, by length in tokens", scores.by_length),
        _prf_table(f"{title}, by depth of nesting", scores.by_depth),
    ]
    if scores.unreachable:
        gold = scores.strict.recall.total
        tables.append(f"{scores.unreachable} of {gold} gold spans do not fit the predicted tokens.")
    return "\n\n".join(tables)


def candidate_scores_to_text(scores: CandidateScores, title: str) -> str:
    """Tables of candidates: coverage and cost, then recall by length."""
    cost = [
        ("recall", _percent(scores.recall.value)),
        ("gold spans", str(scores.recall.total)),
        ("candidates", str(scores.candidates)),
        ("per gold span", f"{scores.per_gold:.2f}"),
        ("per token", f"{scores.per_token:.2f}"),
    ]
    lengths = [
        (name, _percent(ratio.value), str(ratio.total)) for name, ratio in scores.by_length.items()
    ]
    return "\n\n".join(
        [
            _table(f"{title}, candidates", ("", "total"), cost),
            _table(f"{title}, recall by length in tokens", ("", "R", "gold"), lengths),
        ]
    )


def _overall(scores: SpanScores) -> Dict[str, PRF]:
    return {
        "strict": scores.strict,
        "unlabelled": scores.unlabelled,
        "boundary": scores.boundary,
        "overlap": scores.overlap,
    }


def _prf_to_dict(prf: PRF) -> Dict[str, Any]:
    return {
        **prf.to_dict(),
        "predicted": prf.precision.total,
        "correct": prf.precision.confirmed,
        "gold": prf.recall.total,
        "found": prf.recall.confirmed,
    }


def _prf_table(title: str, rows: Dict[str, PRF]) -> str:
    cells = [
        (
            name,
            *(_percent(ratio) for ratio in prf.to_dict().values()),
            str(prf.recall.total),
            str(prf.precision.total),
        )
        for name, prf in rows.items()
    ]
    return _table(title, ("", "P", "R", "F", "gold", "predicted"), cells)


def _table(title: str, header: Sequence[str], rows: List[Any]) -> str:
    aligns: List[Literal["l", "r", "c"]] = ["r"] * len(header)
    aligns[0] = "l"
    body = table(rows, header=header, divider=True, aligns=aligns) if rows else "(none)"
    return "\n".join([title, body.strip("\n")])


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.2f}"
