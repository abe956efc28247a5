"""A reader's records and losses from a text in a file."""

from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Union

import pytest

from spacy_hetner.corpora.readers import read_records
from spacy_hetner.corpora.records import Ledger, Record


class Reading(NamedTuple):
    records: List[Record]
    ledger: Ledger

    @property
    def tokens(self) -> List[List[str]]:
        return [record.tokens for record in self.records]

    @property
    def spans(self) -> List[List[tuple]]:
        return [[tuple(span) for span in record.spans] for record in self.records]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Reading]:
    """Write texts (or bytes) to files f0.txt, f1.txt, ... and read them in a format."""

    def read_texts(
        format: str, *texts: Union[str, bytes], strict: bool = False, **options: Any
    ) -> Reading:
        paths = [tmp_path / f"f{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        ledger = Ledger(strict)
        return Reading(list(read_records(paths, ledger, format=format, **options)), ledger)

    return read_texts
