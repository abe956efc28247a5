"""The model card of an encoder that was pre-trained: what it learned, from what, and how well."""

import json
from typing import Any, Iterator, List, Mapping, Sequence

from ..about import __title__

_MOST = 8
"""Of files, and of what was counted, the card shows so many; stage.json has all."""


def write_card(lineage: Sequence[Mapping[str, Any]]) -> str:
    """The card as Markdown with YAML front matter, in the style of Hugging Face.

    lineage: The records of all stages, the encoder that the first one started from first, the one
        that the card is of last.
    """
    base, stage = lineage[0], lineage[-1]
    objective = stage["objective"]
    sections = [
        _front_matter(base, stage),
        f"# {stage['name']}",
        f"An encoder for named entity recognition: `{stage['parent']['name']}`, taught "
        f"`{objective['name']}` with {__title__} {stage['versions'][__title__]}.",
        "## What it was taught",
        objective["about"],
        _table(["setting", "value"], [[k, _code(v)] for k, v in objective["settings"].items()]),
        f"{stage['steps']:,} steps ({stage['epochs']:.4g} epochs) in {stage['precision']} on "
        f"{stage['processes']} process(es), seed {stage['seed']}. The whole config is in "
        "`stage.json`.",
        "## Lineage",
        _table(
            ["encoder", "taught", "trained on", "steps", "weights (SHA-256)"],
            [_ancestor(record) for record in lineage],
        ),
        _origin(base),
        "## Data",
        "\n".join(line for part, data in stage["data"].items() for line in _part(part, data)),
        "## Scores",
        _scores(stage["scores"]),
        "## How to use it",
        _usage(stage["name"]),
        "## Limits",
        _limits(base, stage),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _front_matter(base: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    values = {
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "base_model": stage["parent"]["name"],
        "language": [code for code in base.get("languages", ()) if code != "any"],
        "tags": [__title__, "named-entity-recognition", stage["objective"]["name"]],
    }
    # JSON is YAML.
    lines = [f"{name}: {_json(value)}" for name, value in values.items() if value]
    return "\n".join(["---", *lines, "---"])


def _ancestor(record: Mapping[str, Any]) -> List[str]:
    weights = ", ".join(f"`{digest[:12]}`" for digest in record["weights"].values())
    if "objective" not in record:
        return [record["name"], "", "", "", weights]
    files = [file["name"] for file in record["data"].get("train", {}).get("files", ())]
    taught = f"`{record['objective']['name']}`"
    return [record["name"], taught, _shortened(files), f"{record['steps']:,}", weights]


def _origin(base: Mapping[str, Any]) -> str:
    if "source" not in base:
        return ""
    return (
        f"`{base['name']}`: {base['description']}; from {base['source']}; licence "
        f"{base['license']}."
    )


def _part(part: str, data: Mapping[str, Any]) -> Iterator[str]:
    files = data.get("files", ())
    shown = [f"`{file['name']}` ({file['bytes']:,} bytes, {file['hash']})" for file in files]
    yield f"- {part}: {_shortened(shown)}"
    sources = [source for origin in data.get("origins", ()) for source in origin["sources"]]
    if sources:
        told = [
            f"`{source['name']}` ({source['kept']['characters']:,} characters)"
            for source in sources
        ]
        yield f"    - collected from: {', '.join(told)}"
    for section, counter in data.get("counts", {}).items():
        largest = sorted(counter.items(), key=lambda item: -item[1])
        counted = [f"{name} {number:,}" for name, number in largest]
        yield f"    - {section}: {_shortened(counted) or 'none'}"


def _scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    told = {which: values for which, values in scores.items() if values}
    if not told:
        return "It was not scored: there was no dev part."
    names = list(dict.fromkeys(name for values in told.values() for name in values))
    rows = [
        [which, *(_number(values.get(name)) for name in names)] for which, values in told.items()
    ]
    kept = "best" if "best" in told else "last"
    return f"On the dev part of its data. The weights are those of the {kept} evaluation.\n\n" + (
        _table(["", *names], rows)
    )


def _usage(name: str) -> str:
    folder = f"path/to/{name}"
    return f"""\
In place of the encoder of any config of {__title__}:

```ini
[paths]
encoder = {_json(folder)}
```

With transformers:

```python
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({_json(folder)})
encoder = AutoModel.from_pretrained({_json(folder)})
vectors = encoder(**tokenizer("Ada Lovelace", return_tensors="pt")).last_hidden_state
```

`head.safetensors` is the head it was taught with, and `head.json` tells what the outputs of that
mean. To use the encoder takes neither."""


def _limits(base: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    licence = base.get("license", "which this card does not know")
    return f"""\
- It finds no entities by itself: train a component over it, on text annotated with your labels.
- It was taught what its data says, errors and omissions included, and in the languages and kinds of
  text of its data. The scores above are of the same data, and promise nothing for other.
- It reads at most {stage["longest_input"]:,} pieces at once. Components of {__title__} cut
  longer texts into overlapping windows; transformers leaves that to you.
- Where transformers adds a pooling layer, that has random weights: use the vectors of the pieces.
- Before you pass it on, see what the licences of the base encoder ({licence}) and of the data
  ask for."""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _shortened(items: Sequence[str]) -> str:
    more = [f"and {len(items) - _MOST:,} more"] if len(items) > _MOST else []
    return ", ".join([*items[:_MOST], *more])


def _code(value: Any) -> str:
    return f"`{_json(value)}`"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else f"{value:,}"
