"""What the pages say is so: links, names, settings, commands, and the examples of all formats."""

import configparser
import dataclasses
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Set

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.util import load_config
from typer.main import get_command
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.readers import FORMATS
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.pretraining.settings import SECTION, Settings
from spacy_hetner.types import LabelledSpan

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
CODE = re.compile(r"^```.*?^```", re.M | re.S)
PRETRAINING = f"[{SECTION}]"
TABLE_ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|", re.M)


def page_id(path: Path) -> str:
    return path.name


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf8")


def blocks(text: str, language: str) -> List[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", text, re.M | re.S)


def anchors(text: str) -> Set[str]:
    """The anchors that GitHub gives the headings of a page."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {title.replace(" ", "-") for title in titles}


def entry_points() -> Dict[str, Set[str]]:
    """The registered names of each group in setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf8")
    groups = config["options.entry_points"]
    return {
        group: {line.partition("=")[0].strip() for line in lines.strip().splitlines()}
        for group, lines in groups.items()
    }


# Links and names


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_relative_links_resolve(path: Path) -> None:
    for target in LINK.findall(CODE.sub("", text_of(path))):
        if re.match(r"\w+://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(text_of(linked)), target


def test_names_in_the_docs_are_those_that_are_registered() -> None:
    groups = entry_points()
    factories = groups.pop("spacy_factories")
    groups.pop("spacy_cli")
    registered = factories.union(*groups.values())
    text = "\n".join(map(text_of, PAGES))
    named = set(re.findall(r"\bspacy_hetner\.\w+\.v\d+\b", text))
    named |= set(re.findall(r"[`\"](hetner_\w+)[`\"]", text))
    assert named == registered


def test_every_page_is_reachable_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (target.partition("#")[0] for target in LINK.findall(text_of(page)))
        waiting += [(page.parent / name).resolve() for name in links if name and ":" not in name]
    assert set(PAGES) <= reached


# Settings


def documented_settings() -> Dict[str, Dict[str, str]]:
    """Defaults as configuration.md writes them, for each component and registered function."""
    parts = re.split(
        r"^## `(\[?[\w.]+\]?)`$", text_of(ROOT / "docs" / "configuration.md"), flags=re.M
    )
    return {
        name: {setting: default.strip() for setting, default in TABLE_ROW.findall(body)}
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def real_settings(name: str) -> Dict[str, Any]:
    """Defaults of a component but for its model and scorer, of a registered function, or of the
    section for pre-training."""
    if name == PRETRAINING:
        return {field.name: default_of(field) for field in dataclasses.fields(Settings)}
    for group, names in entry_points().items():
        if name not in names:
            continue
        if group == "spacy_factories":
            defaults = Language.get_factory_meta(name).default_config or {}
            return {key: defaults[key] for key in defaults if key not in ("model", "scorer")}
        function = getattr(spacy.registry, group.removeprefix("spacy_")).get(name)
        parameters = inspect.signature(function).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}
    raise AssertionError(f"{name} is not registered")


def default_of(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


@pytest.mark.parametrize("name", documented_settings())
def test_settings_and_defaults_are_documented(name: str) -> None:
    spacy.blank("en")  # registers the factories
    documented, real = documented_settings()[name], real_settings(name)
    assert list(documented) == list(real)
    for setting, default in documented.items():
        if real[setting] is inspect.Parameter.empty:
            assert default == ""
        elif re.fullmatch(r"`spacy_hetner\.\w+\.v\d+`", default):
            assert spacy.registry.misc.get(default.strip("`"))() == real[setting], setting
        elif "/" in default:
            assert float(Fraction(default.strip("`"))) == pytest.approx(real[setting])
        else:
            assert json.loads(default.strip("`")) == real[setting], setting


def test_settings_of_everything_registered_are_documented() -> None:
    groups = entry_points()
    groups.pop("spacy_cli")
    assert set(documented_settings()) == {PRETRAINING}.union(*groups.values())


# Commands


def shell_lines(path: Path) -> List[str]:
    joined = (block.replace("\\\n", " ") for block in blocks(text_of(path), "sh"))
    return [line for block in joined for line in block.splitlines() if line.strip()]


def cli_lines() -> Iterator[List[str]]:
    """Arguments of every `spacy hetner` command in a shell block."""
    for path in PAGES:
        for line in shell_lines(path):
            match = re.match(r"(?:python -m )?spacy hetner (.+)", line)
            if match:
                yield shlex.split(match[1], comments=True)


@pytest.mark.parametrize("arguments", list(cli_lines()), ids=" ".join)
def test_commands_and_options_exist(arguments: List[str]) -> None:
    command: Any = get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    known = {o for param in command.params for o in (*param.opts, *param.secondary_opts)}
    if command.context_settings.get("ignore_unknown_options"):
        known |= overrides_of(ROOT / rest[0])
    assert {word for word in rest if re.match(r"--?[a-z]", word)} <= known


def overrides_of(config: Path) -> Set[str]:
    """An option for each value of a config; of one that a reader makes, for those of configs/."""
    paths = [config] if config.exists() else sorted((ROOT / "configs").glob("*.cfg"))
    return {f"--{name}" for path in paths for name in dotted(load_config(path))}


def dotted(section: Mapping[str, Any]) -> Iterator[str]:
    for key, value in section.items():
        names = dotted(value) if isinstance(value, Mapping) else [""]
        yield from (f"{key}.{name}".rstrip(".") for name in names)


def test_make_targets_and_project_commands_exist() -> None:
    makefile = text_of(ROOT / "Makefile")
    project = srsly.read_yaml(ROOT / "project.yml")
    commands = {command["name"] for command in project["commands"]} | set(project["workflows"])
    for path in PAGES:
        text = text_of(path)
        for target in re.findall(r"(?:`|^)make (\w+)", text, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"
        for command, options in re.findall(r"spacy project run ([\w-]+)([^`\n]*)", text):
            assert command in commands, command
            assert set(re.findall(r"--vars\.(\w+)", options)) <= set(project["vars"])


# Formats


class Example(NamedTuple):
    """One example of formats.md: its files, the command, and the entities it gives."""

    files: Dict[str, str]
    command: List[str]
    entities: List[str]


def format_examples() -> List[Example]:
    text = text_of(ROOT / "docs" / "formats.md")
    pattern = r"((?:^```text title=.*?^```\n+)+)^```sh\n(.*?)\n^```\n+Gives (.*?)\.$"
    found = []
    for files, command, gives in re.findall(pattern, text, re.M | re.S):
        titled = re.findall(r"^```text title=(\S+)\n(.*?)^```", files, re.M | re.S)
        words = shlex.split(command)[2:]
        found.append(Example(dict(titled), words, re.findall(r"`([^`]+)`", gives)))
    return found


@pytest.mark.parametrize("example", format_examples(), ids=lambda e: " ".join(e.command))
def test_format_examples(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in example.files.items():
        Path(name).write_text(content, encoding="utf8")
    result = CliRunner().invoke(app, example.command)
    assert result.exit_code == 0, result.output
    assert "dropped" not in result.output and "inconsistent" not in result.output
    output = next(word for word in example.command if word.endswith(".parquet"))
    entities: Counter[str] = Counter()
    for record in read_stores([output]):
        spaces = record.spaces or [True] * len(record.tokens)
        for start, end, label in record.spans:
            words = zip(record.tokens[start:end], spaces[start:end], strict=True)
            text = "".join(f"{token} " if space else token for token, space in words)
            entities[f"{label} {text.strip()}"] += 1
    assert entities == Counter(example.entities)


def test_every_format_is_shown_with_all_its_options() -> None:
    shown = {e.command[e.command.index("--format") + 1] for e in format_examples()}
    assert shown == set(FORMATS)
    text = text_of(ROOT / "docs" / "formats.md")
    listed = re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \|", text, re.M)
    assert listed == list(FORMATS)
    documented = set(re.findall(r"`(--[a-z-]+)`", text))
    command: Any = get_command(app)
    options = {o for param in command.commands["convert"].params for o in param.opts}
    assert {o for o in options if o.startswith("--")} == documented - {"--no-spaces"}


# An objective of one's own

QUICK = """max_epochs = 40

[pretraining.optimizer]
@misc = "spacy_hetner.AdamW.v1"
learn_rate = 0.01
"""


def titled_blocks(path: Path) -> Dict[str, str]:
    """The code blocks of a page that are files, by their names."""
    found = re.findall(r"^```\w+ title=(\S+)\n(.*?)^```", text_of(path), re.M | re.S)
    return dict(found)


def test_objective_of_ones_own(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of pretraining.md, with a rate and a length that suit an encoder of random weights,
    on sentences whose entities are always one word."""
    files = titled_blocks(ROOT / "docs" / "pretraining.md")
    assert set(files) == {"has_entity.py", "has_entity.cfg"}
    for name, text in files.items():
        text = text.replace("encoders/minilm-l6-en", str(tiny_encoder))
        (tmp_path / name).write_text(text.replace("max_epochs = 3", QUICK), encoding="utf8")
    for part, count in (("train", 300), ("dev", 40)):
        sentences = (["x", "y" if i % 3 else "z"] for i in range(count))
        records = (
            Record(words, [LabelledSpan(1, 2, "A")] if "z" in words else []) for words in sentences
        )
        write_parquet(records, tmp_path / f"{part}.parquet")
    (command,) = (words for words in cli_lines() if "has_entity.cfg" in words)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*command, "--cpu"])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    stage = srsly.read_json(tmp_path / "run" / "encoder" / "stage.json")
    assert stage["objective"]["name"] == "has_entity"
    assert stage["data"]["train"]["counts"]["sentences"] == {"with entities": 100}
    assert stage["scores"]["best"]["accuracy"] == 1.0


# API pages


def test_api_pages_build_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pdoc is not installed: pip install 'spacy_hetner[dev]'")
    build = [sys.executable, str(ROOT / "scripts" / "build_docs.py"), "--out", str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "arn" not in done.stderr, done.stderr  # Warning, Warn:
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "spacy_hetner/locate/component.html"} <= pages
    assert "SpanProposer" in text_of(tmp_path / "spacy_hetner" / "locate" / "component.html")
