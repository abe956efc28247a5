"""Alignment with a teacher: which pieces are compared, by what numbers, and that it is learnt."""

import json
import pickle
import shutil

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pretraining.conftest import read_log
from safetensors.torch import load_file, save_file
from torch import nn

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.encoders.pieces import Pieces
from spacy_hetner.encoders.tiny import write_tiny
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.pretraining.objectives.piece_alignment import (
    TOO_LONG,
    TOTALS,
    UNALIGNED,
    Student,
    _windows,
    find_blocks,
    make_piece_alignment,
)

RNG = numpy.random.default_rng(0)
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A tiny encoder whose vocabulary has the words of the corpus, each one piece."""
    folder = tmp_path_factory.mktemp("teacher") / "words"
    folder.mkdir()
    text = folder.parent / "text.txt"
    text.write_text("ada grace zed rome oslo lima queen saw the met why but " * 2, encoding="utf8")
    write_tiny(folder, text)
    return folder


@pytest.fixture(scope="session")
def small_pieces(tiny_encoder, tmp_path_factory):
    """The tiny encoder, which cuts words to letters."""
    folder = tmp_path_factory.mktemp("student") / "letters"
    shutil.copytree(tiny_encoder, folder)
    return folder


def record(text):
    return Record(text.split(" "), [])


@pytest.fixture
def cut(small_pieces, teacher, tmp_path):
    """Make the instances of texts; counts is filled with what is counted."""

    def make(records, counts=None, **settings):
        write_parquet(records, tmp_path / "records.parquet")
        objective = make_piece_alignment(teacher=str(teacher), **settings)
        task = pickle.loads(pickle.dumps(objective.task(small_pieces, {})))
        counts = new_counts() if counts is None else counts
        rows = []
        for shard in parquet_shards(tmp_path / "records.parquet"):
            for batch in task(shard, counts):
                assert batch.schema == task.schema
                rows += batch.to_pylist()
        assert all(row.pop("length") == len(row["pieces"]) for row in rows)
        return [{name: numpy.array(row[name], dtype="int32") for name in row} for row in rows]

    return make


# Blocks


def side(groups):
    """Pieces of which each is linked to the tokens given."""
    links = sorted((token, piece) for piece, tokens in enumerate(groups) for token in tokens)
    tokens, pieces = zip(*links, strict=True) if links else ((), ())
    return Pieces(
        numpy.arange(len(groups)),
        numpy.array(tokens, dtype="int64"),
        numpy.array(pieces, dtype="int64"),
    )


def test_blocks_end_where_pieces_of_both_sides_end():
    # a | b c | d : the teacher joins b and c; the student has two pieces of d.
    blocks = find_blocks([side([[0], [1], [2], [3], [3]]), side([[0], [1, 2], [3]])], 4)
    assert [found.tolist() for found in blocks.pieces] == [[0, 1, 1, 2, 2], [0, 1, 2]]
    assert (blocks.n, blocks.lost) == (3, 0)


def test_pieces_that_cross_each_other_are_one_block():
    blocks = find_blocks([side([[0, 1], [2], [3]]), side([[0], [1, 2], [3]])], 4)
    assert [found.tolist() for found in blocks.pieces] == [[0, 0, 1], [0, 0, 1]]


def test_a_run_with_a_token_that_one_side_lacks_is_no_block():
    blocks = find_blocks([side([[0], [2], [3], []]), side([[0], [1, 2], [3]])], 5)
    assert [found.tolist() for found in blocks.pieces] == [[0, -1, 1, -1], [0, -1, 1]]
    assert (blocks.n, blocks.lost) == (2, 3)


@st.composite
def covers(draw):
    """Tokens, and two lists of pieces in order: each of consecutive tokens, or a part of one."""
    n = draw(st.integers(0, 12))
    sides = []
    for _ in range(2):
        groups, at = [], 0
        while at < n:
            kind = draw(st.sampled_from(["join", "split", "skip"]))
            size = draw(st.integers(1, 3))
            if kind == "join":
                groups.append(list(range(at, min(n, at + size))))
                at += size
            else:
                groups += [[at]] * (size if kind == "split" else 0)
                at += 1
        sides.append(groups)
    return n, sides


@given(covers())
@settings(max_examples=300, deadline=None)
def test_blocks_are_the_components_of_what_shares_a_token(case):
    n, groups = case
    component = list(range(n))
    for tokens in [*groups[0], *groups[1]]:  # naively: all tokens of a piece are of one component
        for token in tokens:
            old, new = component[token], component[tokens[0]]
            component = [new if c == old else c for c in component]
    missing = {component[t] for t in range(n) for g in groups if not any(t in p for p in g)}
    names = [c for c in dict.fromkeys(component) if c not in missing]
    blocks = find_blocks([side(g) for g in groups], n)
    assert blocks.n == len(names)
    assert blocks.lost == sum(c in missing for c in component)
    for found, pieces in zip(blocks.pieces, groups, strict=True):
        expected = [component[p[0]] for p in pieces]
        assert found.tolist() == [names.index(c) if c in names else -1 for c in expected]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=30),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_windows_hold_what_fits_in_order(sizes, capacities):
    starts = [numpy.cumsum([0, *(size[k] for size in sizes)]) for k in range(2)]
    covered = []
    for begin, end in _windows(starts, capacities):
        if begin == end:
            assert any(s > c for s, c in zip(sizes[begin], capacities, strict=True))
            covered.append(begin)
            continue
        pieces = [sum(s[k] for s in sizes[begin:end]) for k in range(2)]
        assert all(p <= c for p, c in zip(pieces, capacities, strict=True))
        covered += range(begin, end)
    assert covered == list(range(len(sizes)))


# Instances


def test_words_of_the_teacher_stand_beside_letters(cut, small_pieces, teacher):
    counts = new_counts()
    (row,) = cut([record(f"ada {SWALLOWED} rome xy")], counts)
    letters, words = (load_encoder(folder).tokenizer for folder in (small_pieces, teacher))
    pieces = letters.convert_ids_to_tokens(row["pieces"].tolist())
    assert pieces == ["[CLS]", *["a", "##d", "##a", "r", "##o", "##m", "##e", "x", "##y"], "[SEP]"]
    assert row["rows"].tolist() == list(range(1, 10))
    assert row["blocks"].tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    theirs = words.convert_ids_to_tokens(row["teacher_pieces"].tolist())
    assert theirs == ["[CLS]", "ada", "rome", "x", "##y", "[SEP]"]
    assert row["teacher_rows"].tolist() == [1, 2, 3, 4]
    assert row["teacher_blocks"].tolist() == [0, 1, 2, 2]
    assert counts[DROPPED] == {UNALIGNED: 1}
    assert counts[TOTALS] == {"records": 1, "characters": 10, "blocks": 3}


def test_long_texts_are_cut_between_blocks(cut):
    counts = new_counts()
    rows = cut([record("ada rome xyxyxyxyx zed"), record("")], counts, max_pieces=8)
    assert [len(row["pieces"]) - 2 for row in rows] == [7, 3]
    assert [row["blocks"].tolist() for row in rows] == [[0, 0, 0, 1, 1, 1, 1], [0, 0, 0]]
    assert counts[DROPPED][TOO_LONG] == 1
    assert counts[TOTALS]["blocks"] == 3


def test_a_text_that_cannot_be_aligned_is_no_instance(cut):
    counts = new_counts()
    assert cut([record(SWALLOWED)], counts) == []
    assert counts[DROPPED] == {UNALIGNED: 1}


# Losses


class Scripted(nn.Module):
    """An encoder whose layers give fixed vectors for each piece id."""

    def __init__(self, layers):
        super().__init__()
        self.vectors = nn.Parameter(torch.as_tensor(layers, dtype=torch.float32))
        depth, _, width = self.vectors.shape
        self.config = type("Config", (), {"hidden_size": width, "num_hidden_layers": depth - 1})()

    def forward(self, input_ids, attention_mask, output_hidden_states, return_dict):
        assert output_hidden_states and return_dict
        states = tuple(layer[input_ids] for layer in self.vectors)
        return type("Output", (), {"hidden_states": states})()


ROWS = [
    {
        "pieces": numpy.array([9, 1, 2, 3, 9]),
        "rows": numpy.array([1, 2, 3]),
        "blocks": numpy.array([0, 0, 1]),
        "teacher_pieces": numpy.array([8, 4, 5, 6, 8]),
        "teacher_rows": numpy.array([1, 2, 3]),
        "teacher_blocks": numpy.array([0, 1, 1]),
    },
    {
        "pieces": numpy.array([9, 7, 9]),
        "rows": numpy.array([1]),
        "blocks": numpy.array([0]),
        "teacher_pieces": numpy.array([8, 3, 3, 8]),
        "teacher_rows": numpy.array([1, 2]),
        "teacher_blocks": numpy.array([0, 0]),
    },
]
# The pieces of each block, by hand.
STUDENT_BLOCKS, TEACHER_BLOCKS = [[1, 2], [3], [7]], [[4], [5, 6], [3, 3]]


def scripted(width=4, depth=3, seed=0):
    random = numpy.random.default_rng(seed)
    return Scripted(random.normal(size=(depth + 1, 10, width)))


def expected_losses(student, teacher, layers, scale):
    """Both losses, block by block; the mean over layers."""
    error, cosine = 0.0, 0.0
    for layer in layers or [1, 2, 3]:
        mine, theirs = (model.vectors[layer].detach().numpy() for model in (student, teacher))
        found = numpy.array([mine[block].mean(0) for block in STUDENT_BLOCKS], dtype="float64")
        target = numpy.array([theirs[block].mean(0) for block in TEACHER_BLOCKS], dtype="float64")
        if scale == "dimension":
            mean, spread = target.mean(0), target.std(0)
            found, target = (found - mean) / spread, (target - mean) / spread
        for f, t in zip(found, target, strict=True):
            error += ((f - t) ** 2).sum() / (t**2).sum()
            cosine += 1 - f @ t / numpy.linalg.norm(f) / numpy.linalg.norm(t)
    n = len(layers or [1, 2, 3])
    return error / n, cosine / n


@pytest.mark.parametrize("layers", [None, [-1], [1, -1], [0]])
@pytest.mark.parametrize("scale", ["vector", "dimension"])
def test_losses_are_sums_over_blocks(layers, scale):
    objective = make_piece_alignment(teacher="t", layers=layers, scale=scale)
    student, teacher = scripted(seed=1), scripted(seed=2)
    batch = objective.collate(ROWS, RNG)
    learner = Student(student, teacher, objective)
    losses = learner(batch.tensors)
    error, cosine = expected_losses(student, teacher, layers, scale)
    assert losses["squared_error"].item() == pytest.approx(error, rel=1e-5)
    assert losses["cosine"].item() == pytest.approx(cosine, rel=1e-5)
    terms = 3
    assert batch.counts == {"squared_error": terms, "cosine": terms}
    assert (batch.pieces, batch.padded) == (8, 10)
    scores = objective.scores(learner.measure(batch.tensors).detach().numpy())
    assert scores["similarity"] == pytest.approx(1 - cosine / terms, rel=1e-5)
    assert scores["error"] == pytest.approx(error / terms, rel=1e-5)


def test_the_scale_of_dimensions_does_not_matter_by_dimension():
    objective = make_piece_alignment(teacher="t", scale="dimension")
    student, teacher = scripted(seed=1), scripted(seed=2)
    batch = objective.collate(ROWS, RNG)
    before = Student(student, teacher, objective)(batch.tensors)
    with torch.no_grad():
        for model in (student, teacher):
            model.vectors.mul_(torch.tensor([1.0, 100.0, 0.1, 3.0])).add_(7.0)
    after = Student(student, teacher, objective)(batch.tensors)
    for name, loss in before.items():
        assert after[name].item() == pytest.approx(loss.item(), rel=1e-3)


def test_dimensions_without_spread_say_nothing():
    """As of a single block, or of a text with one word over and over."""
    objective = make_piece_alignment(teacher="t", scale="dimension")
    losses = Student(scripted(seed=1), scripted(seed=2), objective)(
        objective.collate([ROWS[1]], RNG).tensors
    )
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_only_the_student_is_trained_and_saved():
    objective = make_piece_alignment(teacher="t")
    learner = Student(scripted(seed=1), scripted(seed=2), objective)
    assert list(learner.state_dict()) == ["transformer.vectors"]
    assert [name for name, _ in learner.named_parameters()] == ["transformer.vectors"]
    learner(objective.collate(ROWS, RNG).tensors)["cosine"].backward()
    assert learner._teacher.transformer.vectors.grad is None
    assert learner.transformer.vectors.grad.abs().sum() > 0


def test_a_teacher_of_another_width_is_projected_to():
    objective = make_piece_alignment(teacher="t", layers=[-1])
    learner = Student(scripted(width=4, seed=1), scripted(width=6, seed=2), objective)
    assert (learner.head.in_features, learner.head.out_features) == (4, 6)
    loss = learner(objective.collate(ROWS, RNG).tensors)["squared_error"]
    loss.backward()
    assert loss > 0 and learner.head.weight.grad.abs().sum() > 0


def test_settings_that_make_no_sense():
    for wrong in ({"layers": []}, {"squared_error": 0.0, "cosine": 0.0}):
        with pytest.raises(ValueError, match="HE235"):
            make_piece_alignment(teacher="t", **wrong)
    with pytest.raises(ValueError, match="HE004"):
        make_piece_alignment(teacher="t", scale="none")
    for layers, told in (([-1, 4], r"\[4\]"), (None, "null")):
        objective = make_piece_alignment(teacher="t", layers=layers)
        with pytest.raises(ValueError, match=rf"HE236.*{told}.*student has 3, the teacher 5"):
            Student(scripted(), scripted(depth=5), objective)


def test_dropout_of_the_student_is_a_switch(small_pieces, teacher, cut):
    rows = cut([record("ada rome xy"), record("zed met grace")])
    for dropout in (False, True):
        objective = make_piece_alignment(teacher=str(teacher), dropout=dropout)
        learner = objective.learner(load_encoder(small_pieces).transformer, {}).train()
        tensors = objective.collate(rows, RNG).tensors
        first, second = (learner(tensors)["cosine"].item() for _ in range(2))
        assert (first != second) == dropout


# Runs


@pytest.fixture
def aligned_run(run, small_pieces, teacher, typed_corpus):
    def start(name, **changes):
        objective = {
            "@misc": "spacy_hetner.PieceAlignment.v1",
            "teacher": str(teacher),
        }
        return run(name, encoder=str(small_pieces), objective=objective, **changes)

    return start


def test_a_student_learns_to_read_its_pieces(aligned_run, tmp_path, teacher):
    before = {path.name: path.read_bytes() for path in teacher.iterdir()}
    outcome = aligned_run("a", max_epochs=8)
    evaluations = [line["scores"] for line in read_log(tmp_path / "a", "evaluation")]
    assert evaluations[-1]["error"] < 0.7 * evaluations[0]["error"]
    assert outcome.scores["similarity"] == max(scores["similarity"] for scores in evaluations)
    assert {path.name: path.read_bytes() for path in teacher.iterdir()} == before
    head = json.loads((outcome.encoder / "head.json").read_text(encoding="utf8"))
    assert head["objective"] == "piece_alignment" and head["teacher"]["name"] == "words"
    assert load_file(outcome.encoder / "head.safetensors") == {}
    load_encoder(outcome.encoder)


def test_a_run_that_is_resumed_must_have_the_same_teacher(aligned_run, teacher, tmp_path):
    aligned_run("a", max_steps=3)
    aligned_run("a", max_steps=3, resume=True)
    weights = load_file(teacher / "model.safetensors")
    changed = {name: weight + 1 for name, weight in weights.items()}
    try:
        save_file(changed, teacher / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"HE193.*teacher"):
            aligned_run("a", max_steps=3, resume=True)
    finally:
        save_file(weights, teacher / "model.safetensors", metadata={"format": "pt"})
