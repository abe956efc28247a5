"""Raw texts to a store: each text once, no test sets, parts, origin, and the job over shards."""

import hashlib
import json
import subprocess
import sys
from itertools import islice

import pytest

from spacy_hetner.corpora.free_text import NOT_UTF8
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.corpora.text_store import FATES, REPEATED, SAME, SHARED, collect_texts
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.make import make_engine
from spacy_hetner.engine.tables import digest
from spacy_hetner.sampling import uniform
from spacy_hetner.types import LabelledSpan

LONG = "北京大学的学生昨天在图书馆里看了很多很多的书"  # 22 characters


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf8", newline="\n")
    return path


def collect(sources, out, **settings):
    settings = {"lang": "zh", "dev": 0, **settings}
    return collect_texts(sources, out, settings.pop("engine", make_engine()), **settings)


def texts_in(folder):
    return [record.text for record in read_stores([folder])]


@pytest.fixture
def posts(tmp_path):
    return write(
        tmp_path / "posts.txt", *(f"第{number}条消息。还有一句！" for number in range(200))
    )


def test_texts_become_records_without_spans(tmp_path):
    write_parquet(
        [Record(list("我在abc"), [LabelledSpan(0, 1, "X")], [False] * 5, "gold")],
        tmp_path / "gold.parquet",
    )
    raw = write(tmp_path / "raw.txt", "他 说 ok", "", "  你好。再见  ")
    counts = collect([tmp_path / "gold.parquet", raw], tmp_path / "out")
    assert list(read_stores([tmp_path / "out" / "train"])) == [
        Record(["我", "在", "abc"], [], [False] * 3, "gold.parquet@0", "gold.parquet@0"),
        Record(["他", "说", "ok"], [], [True, True, False], "raw.txt@0", "raw.txt@0"),
        Record(list("你好。再见"), [], [False] * 5, "raw.txt@12", "raw.txt@12"),
    ]
    assert counts["totals"] == {
        "texts read": 3,
        "texts kept": 3,
        "characters read": 14,
        "characters kept": 14,
        "records of train": 3,
    }
    assert not (tmp_path / "out" / "dev").exists()


def test_texts_can_be_cut_into_sentences_and_characters(tmp_path):
    raw = write(tmp_path / "raw.txt", "你好。ok！")
    collect([raw], tmp_path / "out", sentences=True, per_character=True)
    records = list(read_stores([tmp_path / "out" / "train"]))
    assert [(r.id, r.doc_id, r.tokens) for r in records] == [
        ("raw.txt@0-0", "raw.txt@0", list("你好。")),
        ("raw.txt@0-1", "raw.txt@0", list("ok！")),
    ]


def test_of_equal_texts_the_first_stays_in_the_order_of_sources(tmp_path):
    one = write(tmp_path / "one.txt", "同一句话 １", "甲")
    two = write(tmp_path / "two.txt", "乙", "同一句话1", "甲", "乙")
    counts = collect([one, two], tmp_path / "out")
    assert texts_in(tmp_path / "out" / "train") == ["同一句话 １", "甲", "乙"]
    assert counts["dropped"] == {REPEATED: 3}
    assert counts["texts read"] == {"one.txt": 2, "two.txt": 4}
    assert counts["texts kept"] == {"one.txt": 2, "two.txt": 1}
    assert counts["characters kept"] == {"one.txt": 6, "two.txt": 1}
    counts = collect([two, one], tmp_path / "turned")
    assert texts_in(tmp_path / "turned" / "train") == ["乙", "同一句话1", "甲"]


def test_texts_of_test_sets_are_left_out(tmp_path):
    gold = [Record(list(text), [], [False] * len(text)) for text in (LONG, "短句", "ＮＢＡ")]
    write_parquet(gold, tmp_path / "gold.parquet")
    texts = [f"说{LONG[1:21]}完", f"说{LONG[1:20]}完", "短 句", "短句！", "NBA", "NBA", LONG]
    raw = write(tmp_path / "raw.txt", *texts)
    counts = collect([raw], tmp_path / "out", exclude=[tmp_path / "gold.parquet"])
    assert texts_in(tmp_path / "out" / "train") == [texts[1], texts[3]]
    assert counts["dropped"] == {SAME: 4, SHARED: 1}
    assert counts["texts kept"] == {"raw.txt": 2} and counts["totals"]["texts read"] == 7
    counts = collect([raw], tmp_path / "wide", exclude=[tmp_path / "gold.parquet"], overlap=21)
    assert counts["dropped"] == {SAME: 4}


def test_a_text_left_out_takes_nothing_from_those_like_it(tmp_path):
    """What is excluded is no earlier text: all its copies are counted as excluded."""
    raw = write(tmp_path / "raw.txt", "甲", "甲", "乙", "乙")
    counts = collect([raw], tmp_path / "out", exclude=[write(tmp_path / "test.txt", "甲")])
    assert counts["dropped"] == {SAME: 2, REPEATED: 1}


def test_dev_is_drawn_by_seed_and_id(posts, tmp_path):
    counts = collect([posts], tmp_path / "out", dev=0.2, seed=3)
    parts = {part: list(read_stores([tmp_path / "out" / part])) for part in ("train", "dev")}
    ids = [record.id for part in parts.values() for record in part]
    assert len(set(ids)) == 200 and counts["totals"]["records of dev"] == len(parts["dev"]) > 20
    drawn = uniform(ids, seed=3, salt="dev part") < 0.2
    assert [id for id, is_dev in zip(ids, drawn, strict=True) if is_dev] == [
        record.id for record in parts["dev"]
    ]
    collect([posts, write(tmp_path / "more.txt", "别的")], tmp_path / "more", dev=0.2, seed=3)
    assert set(texts_in(tmp_path / "more" / "dev")) - {"别的"} == {r.text for r in parts["dev"]}


def test_sentences_of_a_text_are_in_one_part(posts, tmp_path):
    collect([posts], tmp_path / "out", dev=0.2, sentences=True)
    train, dev = (
        {record.doc_id for record in read_stores([tmp_path / "out" / part])}
        for part in ("train", "dev")
    )
    assert len(train) + len(dev) == 200 and not train & dev and dev


def many_sources(tmp_path):
    """Files that are cut, files that are put together, a store; with repeated texts."""
    write(tmp_path / "lines.txt", *(f"第{number % 90}行" for number in range(120)))
    for number in range(20):
        text = json.dumps({"s": f"第{number}行" if number % 2 else f"第{number}篇"})
        write(tmp_path / "posts" / f"{number}" / "1.json", text)
    records = [Record(list(f"第{n}篇"), [], None, f"{n}") for n in range(40)]
    write_parquet(records, tmp_path / "gold.parquet")
    return [tmp_path / "lines.txt", f"{tmp_path / 'posts'}:s", tmp_path / "gold.parquet"]


@pytest.mark.parametrize(
    "settings",
    [
        {"shard_bytes": 50},
        {"shard_bytes": 300, "engine": make_engine(workers=2)},
    ],
)
def test_result_does_not_depend_on_shards_and_processes(tmp_path, settings):
    sources = many_sources(tmp_path)
    common = {"dev": 0.1, "exclude": [write(tmp_path / "test.txt", "第7行")]}
    counts = collect(sources, tmp_path / "whole", **common)
    assert collect(sources, tmp_path / "cut", **common, **settings) == counts
    assert counts["dropped"] == {SAME: 3, REPEATED: 29 + 9 + 10}
    for part in ("train", "dev"):
        assert digest(tmp_path / "whole" / part) == digest(tmp_path / "cut" / part)
        origins = [tmp_path / name / part / "origin.json" for name in ("whole", "cut")]
        assert origins[0].read_bytes() == origins[1].read_bytes()


@pytest.mark.slow
def test_result_does_not_depend_on_ray(tmp_path):
    """In a process of its own: Ray changes the environment, and leaves threads."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'spacy_hetner[ray]'")
    sources = many_sources(tmp_path)
    collect(sources, tmp_path / "here", dev=0.1)
    options = ["--lang", "zh", "--dev", "0.1", "--engine", "ray", "--workers", "2"]
    command = [sys.executable, "-m", "spacy", "hetner", "text", *sources, tmp_path / "ray"]
    done = subprocess.run([*map(str, command), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in ("train", "dev"):
        assert digest(tmp_path / "here" / part) == digest(tmp_path / "ray" / part)


class Interrupted(LocalEngine):
    """Is stopped after so many shards of all its jobs."""

    def __init__(self, shards):
        super().__init__()
        self.left = shards

    def run(self, work, shards):
        for rows in islice(super().run(work, shards), self.left):
            self.left -= 1
            yield rows
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("shards", [1, 4, 7])
def test_a_job_that_was_cut_off_goes_on(tmp_path, shards):
    sources = many_sources(tmp_path)
    settings = {"dev": 0.1, "shard_bytes": 800}
    whole = collect(sources, tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        collect(sources, tmp_path / "out", engine=Interrupted(shards), **settings)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/part-*.parquet")}
    assert len(done) >= shards and not (tmp_path / "out" / "dev" / "origin.json").exists()
    assert collect(sources, tmp_path / "out", **settings) == whole
    assert all(path.stat().st_mtime_ns == written for path, written in done.items())
    for part in ("train", "dev"):
        assert digest(tmp_path / "whole" / part) == digest(tmp_path / "out" / part)


def test_a_folder_holds_one_job(posts, tmp_path):
    collect([posts], tmp_path / "out", dev=0.1)
    with pytest.raises(ValueError, match=r"HE125.*seed"):
        collect([posts], tmp_path / "out", dev=0.1, seed=1)
    with pytest.raises(ValueError, match=r"HE125.*per_character"):
        collect([posts], tmp_path / "out", dev=0.1, per_character=True)
    assert (tmp_path / "out" / "train" / "origin.json").exists()
    write(posts, "别的")
    with pytest.raises(ValueError, match=r"HE125.*sources"):
        collect([posts], tmp_path / "out", dev=0.1)
    collect([posts], tmp_path / "out", resume=False)
    assert texts_in(tmp_path / "out" / "train") == ["别的"]
    assert not (tmp_path / "out" / "dev").exists()


def test_each_part_says_what_it_was_made_of(tmp_path):
    raw = write(tmp_path / "raw.tsv", *(f"{n}\t文 {n % 60}" for n in range(100)), "坏")
    gold = write(tmp_path / "test.txt", "文5")
    collect([f"{raw}:2"], tmp_path / "out", exclude=[gold], dev=0.2, seed=1)
    origins = {
        part: json.loads((tmp_path / "out" / part / "origin.json").read_text(encoding="utf8"))
        for part in ("train", "dev")
    }
    kept = {part: texts_in(tmp_path / "out" / part) for part in origins}
    for part, origin in origins.items():
        (source,) = origin["sources"]
        characters = sum(len(text.replace(" ", "")) for text in kept[part])
        assert source.pop("kept") == {"texts": len(kept[part]), "characters": characters}
        assert source == {
            "name": "raw.tsv:2",
            "layout": "lines",
            "files": 1,
            "sha256": hashlib.sha256(raw.read_bytes()).hexdigest(),
            "read": {"texts": 100, "characters": 10 * 2 + 90 * 3 - 10},
            "dropped": {SAME: 2, REPEATED: 39},
        }
        assert origin["part"] == part and origin["records"] == len(kept[part]) > 0
        assert origin["exclude"][0]["sha256"] == hashlib.sha256(gold.read_bytes()).hexdigest()
        assert origin["dropped"] == {
            SAME: 2,
            REPEATED: 39,
            "line without a text under its key or in its column": 1,
        }
        assert origin["settings"]["seed"] == 1 and origin["settings"]["lang"] == "zh"


def test_what_cannot_be_read_is_counted_in_test_sets_too(tmp_path):
    raw, test = tmp_path / "raw.txt", tmp_path / "test.txt"
    raw.write_bytes(b"good\nb\xe4d\n")
    test.write_bytes(b"b\xe4d\nb\xe4d\nother\n")
    counts = collect([raw], tmp_path / "out", exclude=[test], lang="en")
    assert counts["dropped"] == {NOT_UTF8: 3}
    assert any("test.txt, byte 0" in place for place in counts["places"])
    with pytest.raises(ValueError, match=r"HE181.*raw\.txt, byte 5"):
        collect([raw], tmp_path / "strict", lang="en", strict=True)
    good = write(tmp_path / "good.txt", "good")
    with pytest.raises(ValueError, match=r"HE181.*test\.txt, byte 0"):
        collect([good], tmp_path / "strict", exclude=[test], lang="en", strict=True)


@pytest.mark.parametrize("lines", [(), ("", " "), ("甲", "甲")])
def test_no_text_left_is_an_error(tmp_path, lines):
    raw, test = write(tmp_path / "raw.txt", *lines), write(tmp_path / "test.txt", "甲")
    read = len(lines) if "甲" in lines else 0
    with pytest.raises(ValueError, match=rf"HE231.*{read} texts were read"):
        collect([raw], tmp_path / "out", exclude=[test])
    assert not (tmp_path / "out" / "train").exists()


def test_a_dev_part_without_a_text_is_told(tmp_path):
    raw = write(tmp_path / "raw.txt", "甲")
    with pytest.warns(UserWarning, match=r"HW230.*None of the 1 texts"):
        collect([raw], tmp_path / "out", dev=1e-9)


@pytest.mark.parametrize(
    "settings,error",
    [
        ({"dev": -0.1}, "HE230"),
        ({"dev": 1}, "HE230"),
        ({"dev": float("nan")}, "HE230"),
        ({"overlap": 0}, "HE078.*overlap"),
        ({"lang": "xyz"}, "HE085"),
        ({"lang": "en", "per_character": True}, "HE086"),
        ({"exclude": ["gone.parquet"]}, "HE232"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_written(posts, tmp_path, settings, error):
    with pytest.raises(ValueError, match=error):
        collect([posts], tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_fates_fit_into_a_byte_and_parts_come_first():
    assert FATES[:2] == ("train", "dev") and len(FATES) < 256
