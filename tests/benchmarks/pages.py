"""What the tables of a page say."""

from typing import Dict, List


def cells_of(text: str) -> List[Dict[str, str]]:
    """The lines of all tables in a page, each as heading -> cell."""
    lines: List[Dict[str, str]] = []
    header: List[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif not set(line) <= set("|-: "):
            lines.append(dict(zip(header, cells, strict=True)))
    return lines
