"""The speed of the decoupled scorer: both sides compute the same, and what is counted."""

from types import ModuleType
from typing import Any

import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.types import LabelledSpan

SENTENCES = ["张三住在北京", "李四住在上海", "张三在上海大学学习"]


@pytest.fixture(scope="module")
def nlp(decoupled_speed: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pipeline over three sentences, each twice, which are in the folder too."""
    folder = tmp_path_factory.mktemp("speed")
    (folder / "text.txt").write_text("".join(SENTENCES), encoding="utf8")
    encoder = build_encoder("tiny", folder / "encoder", vocab_text=folder / "text.txt")
    for part in ("train", "dev"):
        records = [
            Record(list(text), [LabelledSpan(0, 2, "PER")], [False] * len(text))
            for text in SENTENCES * 2
        ]
        write_parquet(records, folder / "weibo" / f"{part}.parquet")
    nlp = decoupled_speed.make_pipeline("weibo", encoder, folder)
    examples = list(decoupled_speed.read_proposed(nlp, folder / "weibo" / "dev.parquet"))
    return nlp, examples


def test_the_loop_computes_the_same(decoupled_speed: ModuleType, nlp: Any) -> None:
    pipeline, examples = nlp
    docs = [example.predicted for example in examples]
    found = decoupled_speed.race(pipeline, docs, rounds=2)
    assert found["candidates"] == sum(len(doc.spans["candidates"]) for doc in docs) > 6
    assert found["difference"] < 1e-5 and len(found["ratios"]) == 2
    assert found["ratio"] > 0 and found["candidates_per_s"] > 0


def test_other_probabilities_are_an_error(
    decoupled_speed: ModuleType, nlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, examples = nlp
    whole = decoupled_speed.score_all
    monkeypatch.setattr(
        decoupled_speed, "score_all", lambda *args: [part + 1e-3 for part in whole(*args)]
    )
    with pytest.raises(ValueError, match=r"others, by up to 0\.001"):
        decoupled_speed.race(pipeline, [example.predicted for example in examples], rounds=1)


def test_what_is_saved(decoupled_speed: ModuleType, nlp: Any) -> None:
    pipeline, examples = nlp
    pipeline.batch_size = 3
    found = decoupled_speed.count(pipeline, examples)
    docs = [example.predicted for example in examples]
    words = {span.text for doc in docs for span in doc.spans["candidates"]}
    # Two batches of the same three sentences: the second knows all of their mentions.
    assert found["distinct_share"] == pytest.approx(2 * len(words) / found["candidates"], abs=1e-4)
    assert found["hit_share"] == 0.5
    assert 0 <= found["padding"] <= 0.1
    assert found["recall"] == 1.0 and found["candidates_per_gold"] == found["candidates"] / 6
