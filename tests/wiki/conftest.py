"""Fixtures of the tests of wikis."""

from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from dumps import PACKERS, header


@pytest.fixture
def write_dump(tmp_path: Path) -> Callable[..., Path]:
    """Write a dump of pages: as text, or as bytes that are packed already."""

    def write(pages: Any, name: str = "dump.xml", head: Optional[str] = None) -> Path:
        path = tmp_path / name
        if isinstance(pages, bytes):
            path.write_bytes(pages)
            return path
        xml = f"{header() if head is None else head}{''.join(pages)}</mediawiki>\n".encode()
        path.write_bytes(PACKERS[name[name.index(".") :]](xml))
        return path

    return write
