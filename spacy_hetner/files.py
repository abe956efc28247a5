"""How files are written."""

import json
from pathlib import Path
from typing import Any, Mapping


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people and programs: indented, not ASCII only, one newline at the end."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf8", newline="\n")
