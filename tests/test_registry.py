"""Every entry point of setup.cfg is found under its name, where setup.cfg says it is."""

import importlib
from configparser import ConfigParser
from importlib.metadata import distribution
from pathlib import Path

import pytest
import spacy
from spacy.language import Language

SETUP = Path(__file__).resolve().parent.parent / "setup.cfg"


def entry_points():
    """(group, name, target) of each line."""
    config = ConfigParser(delimiters=("=",), interpolation=None)
    config.optionxform = str
    config.read(SETUP, encoding="utf8")
    return [
        (group, *(part.strip() for part in line.split("=")))
        for group, lines in config["options.entry_points"].items()
        for line in lines.strip().splitlines()
    ]


ENTRY_POINTS = entry_points()


def test_there_are_entry_points():
    groups = {group for group, _, _ in ENTRY_POINTS}
    assert {"spacy_factories", "spacy_architectures", "spacy_scorers", "spacy_cli"} <= groups


@pytest.mark.parametrize(("group", "name", "target"), ENTRY_POINTS)
def test_entry_point(group, name, target):
    """What the registry gives is what the target names; spaCy's group is spacy_ and the kind."""
    module, _, attribute = target.partition(":")
    expected = getattr(importlib.import_module(module), attribute)
    kind = group.removeprefix("spacy_")
    found = getattr(spacy.registry, kind).get(name)
    assert found is expected
    if kind not in ("factories", "cli"):
        assert name.startswith("spacy_hetner.") and name.rpartition(".v")[2].isdigit()


@pytest.mark.parametrize("name", [name for g, name, _ in ENTRY_POINTS if g == "spacy_factories"])
def test_factory(name):
    """A component is added by its name, with defaults for all that it takes."""
    assert name.startswith("hetner_")
    nlp = spacy.blank("en")
    nlp.add_pipe(name)
    assert Language.get_factory_meta(name).factory == name
    assert nlp.get_pipe_config(name)["factory"] == name
    assert nlp.get_pipe(name).name == name


def test_installed_entry_points_are_those_of_setup_cfg():
    """A stale installation would hide a name that setup.cfg has."""
    ours = {(group, name, target) for group, name, target in ENTRY_POINTS}
    installed = {
        (point.group, point.name, point.value)
        for point in distribution("spacy_hetner").entry_points
        if point.group.startswith(("spacy_", "thinc_"))
    }
    assert ours == installed
