"""Every message that is raised is there, and every message is raised: no type checker sees it."""

import re
from collections import Counter
from pathlib import Path

from spacy_hetner import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(errors.__file__).resolve().parent
SOURCES = [*PACKAGE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
CODES = ("Errors", "HE"), ("Warnings", "HW")


def test_messages_that_are_used_are_there_once_and_others_are_not() -> None:
    text = "\n".join(path.read_text(encoding="utf8") for path in SOURCES)
    for name, prefix in CODES:
        used = set(re.findall(rf"\b{name}\.({prefix}\d+)\b", text))
        source = (PACKAGE / "errors.py").read_text(encoding="utf8")
        written = Counter(re.findall(rf"^    ({prefix}\d+) = ", source, flags=re.MULTILINE))
        assert used == written.keys()
        assert max(written.values()) == 1


def test_messages_begin_with_their_codes() -> None:
    for name, prefix in CODES:
        holder = getattr(errors, name)
        for code in vars(holder):
            if code.startswith(prefix):
                assert getattr(holder, code).startswith(f"[{code}] ")
