"""The order of rounds, driven by scripted scores."""

import pytest

from spacy_hetner.pretraining.rounds import best_round


def script(scores, *, picks=None, **settings):
    """Rounds with given scores; labels are numbered by the round whose model picked them."""
    trained, asked = [], []

    def train(number, labels):
        trained.append((number, labels))
        return scores[number - 1]

    def relabel(number, labels):
        asked.append((number, labels))
        return f"picked by {number}" if picks is None else picks[number - 1]

    settings = {"rounds": len(scores), "patience": 1, **settings}
    return best_round(train, relabel, "of the dictionary", **settings), trained, asked


def test_the_best_labels_are_those_that_made_the_best_model():
    best, trained, asked = script([0.3, 0.5, 0.4, 0.9], rounds=6)
    assert (best.number, best.score) == (2, 0.5)
    assert best.labels == "picked by 1"  # trained on in round 2; not what its model picked
    assert trained == [(1, "of the dictionary"), (2, "picked by 1"), (3, "picked by 2")]
    assert asked == [(1, "of the dictionary"), (2, "picked by 1")]


def test_the_first_round_may_be_the_best():
    best, trained, _ = script([0.5, 0.4, 0.6])
    assert (best.number, best.labels) == (1, "of the dictionary") and len(trained) == 2


def test_a_first_score_of_0_is_one():
    best, trained, _ = script([0.0, 0.0, 0.2], patience=2)
    assert best.number == 3 and len(trained) == 3
    assert script([0.0, 0.0, 0.2])[0].number == 1


def test_without_patience_all_rounds_are_run():
    best, trained, asked = script([0.5, 0.4, 0.3, 0.2], patience=0)
    assert best.number == 1 and len(trained) == 4
    assert len(asked) == 3  # what the last model would pick, nobody is trained on


def test_patience_counts_rounds_in_a_row():
    assert script([0.5, 0.4, 0.6, 0.5, 0.5, 0.7], patience=2)[0].number == 3


def test_without_scores_the_last_round_is_the_best():
    best, trained, _ = script([None, None, None])
    assert (best.number, best.score, best.labels) == (3, None, "picked by 2")
    assert len(trained) == 3


@pytest.mark.parametrize("scores, number", [([None, None, None], 2), ([0.1, 0.2, 0.3], 2)])
def test_rounds_end_where_nothing_is_picked(scores, number):
    best, trained, _ = script(scores, picks=["some", None])
    assert best.number == number and len(trained) == 2 and best.labels == "some"
