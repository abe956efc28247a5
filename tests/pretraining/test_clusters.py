"""Clusters of vectors: golden numbers, extreme variances, and no more memory than chunks take."""

import subprocess
import sys
from itertools import pairwise

import numpy
import pytest
import torch

from spacy_hetner.pretraining import clusters as clusters_module
from spacy_hetner.pretraining.clusters import (
    FEATURES,
    WEIGHTS,
    cluster,
    cluster_means,
    cluster_variances,
    cluster_weights,
    lloyd,
    match_clusters,
    read_vectors,
    softmax_of_inverse,
    write_features,
)
from spacy_hetner.pretraining.objectives.extraction_heads import cluster_loss

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of a few vectors: what is done over many must be what is done at once."""
    monkeypatch.setattr(clusters_module, "_CHUNK_BYTES", 200)


def blobs(count=3, size=40, width=8, seed=0):
    random = numpy.random.default_rng(seed)
    truth = random.permutation(numpy.repeat(numpy.arange(count), size))
    centres = 20 * random.normal(size=(count, width))
    return (centres[truth] + random.normal(size=(len(truth), width))).astype("float32"), truth


@pytest.mark.parametrize("number", [0, 1, 2])
def test_lloyd_is_golden(golden, number):
    case = golden("kmeans")["cases"][number]
    vectors = numpy.array(case["X"])
    found = lloyd(vectors, vectors[case["init_indices"]])
    assert found.assignments.tolist() == case["assign"]
    assert found.centres == pytest.approx(numpy.array(case["centers"]))
    assert found.inertias == pytest.approx(case["inertia_per_iteration"])


def test_inertia_never_rises():
    vectors = numpy.random.default_rng(1).normal(size=(300, 5))
    inertias = lloyd(vectors, vectors[:12]).inertias
    assert len(inertias) > 4
    assert all(after <= before for before, after in pairwise(inertias))


def test_vectors_far_from_zero_do_not_lose_their_differences():
    vectors, truth = blobs()
    near, far = cluster(vectors, 3), cluster(vectors + numpy.float32(1000), 3)
    assert far.inertias[-1] == pytest.approx(near.inertias[-1], rel=1e-3)
    assert sklearn_metrics.adjusted_rand_score(truth, far.assignments) == 1


def test_separable_blobs_are_found_and_a_seed_decides():
    vectors, truth = blobs(count=7)
    found = cluster(vectors, 7, seed=3)
    assert sklearn_metrics.adjusted_rand_score(truth, found.assignments) == 1
    assert found.counts.tolist() == [40] * 7
    again = cluster(vectors, 7, seed=3)
    assert numpy.array_equal(found.assignments, again.assignments)
    assert numpy.array_equal(found.centres, again.centres)


def test_no_worse_than_another_implementation():
    from sklearn.cluster import KMeans

    vectors = numpy.random.default_rng(2).normal(size=(2000, 4)).astype("float32")
    other = min(KMeans(6, n_init=1, random_state=seed).fit(vectors).inertia_ for seed in range(3))
    assert cluster(vectors, 6, tolerance=0.0).inertias[-1] < 1.02 * other


def test_more_clusters_than_vectors():
    vectors, truth = blobs(count=2, size=2)
    found = cluster(vectors, 9)
    assert len(found.centres) == len(found.counts) == 4
    assert found.counts.sum() == 4
    assert not set(found.assignments[truth == 0]) & set(found.assignments[truth == 1])


def test_equal_vectors_leave_clusters_empty():
    vectors = numpy.ones((20, 3), dtype="float32")
    found = cluster(vectors, 4)
    assert found.counts.sum() == 20 and found.inertias[-1] == 0
    weights = cluster_weights("paper", vectors, found.assignments, found.centres)
    assert weights.sum() == 1 and (weights[found.counts == 0] == 0).all()


@pytest.mark.parametrize("clusters, code", [(0, "HE078"), (2, "HE288")])
def test_what_cannot_be_clustered_is_told(clusters, code):
    with pytest.raises(ValueError, match=code):
        cluster(numpy.zeros((0, 3), dtype="float32"), clusters)


def test_variances_and_weights_are_golden(golden):
    for case in golden("cofee_clusters")["cases"]:
        given = numpy.array([float(value) for value in case["V_sum"]])
        assert softmax_of_inverse(given) == pytest.approx(
            numpy.array(case["alpha_softmax_inverse"]), abs=1e-9
        )
        if "X" not in case:
            continue
        vectors, assigned = numpy.array(case["X"]), numpy.array(case["assign"])
        centres = cluster_means(vectors, assigned, case["K"])
        if "centers" in case:
            assert centres == pytest.approx(numpy.array(case["centers"]))
        sums = cluster_variances(vectors, assigned, centres)
        assert sums == pytest.approx(given, nan_ok=True)
        means = cluster_variances(vectors, assigned, centres, mean=True)
        assert means == pytest.approx(
            given / numpy.bincount(assigned, minlength=case["K"]), nan_ok=True
        )
        paper = cluster_weights("paper", vectors, assigned, centres)
        assert paper == pytest.approx(numpy.array(case["alpha_softmax_inverse"]), abs=1e-9)
        if "alpha_softmax_inverse_of_mean" in case:
            found = cluster_weights("mean_softmax", vectors, assigned, centres)
            assert found == pytest.approx(numpy.array(case["alpha_softmax_inverse_of_mean"]))


def test_weights_of_check_7():
    assert softmax_of_inverse(numpy.array([2, 8, 0.5])) == pytest.approx(
        [0.162101, 0.111411, 0.726488], abs=1e-6
    )
    assert softmax_of_inverse(numpy.array([5e-7, 8.0])) == pytest.approx([1, 0], abs=1e-12)
    for extreme in ([0.0, 0.0], [0.0, 1.0], [numpy.nan, 3.0], [1e-300, 1e300]):
        weights = softmax_of_inverse(numpy.array(extreme))
        assert numpy.isfinite(weights).all() and weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_finite_where_clusters_are_empty_or_single(kind):
    vectors = numpy.array([[1.0, 1], [5, 5], [5, 9], [7, 7]])
    assigned = numpy.array([0, 2, 2, 2])
    centres = numpy.nan_to_num(cluster_means(vectors, assigned, 3))
    weights = cluster_weights(kind, vectors, assigned, centres)
    assert numpy.isfinite(weights).all() and weights[1] == 0 and weights[0] > 0


def test_inverse_weights_have_a_mean_of_1():
    vectors, truth = blobs()
    centres = cluster_means(vectors, truth, 3)
    weights = cluster_weights("inverse", vectors, truth, centres)
    assert weights[truth].mean() == pytest.approx(1)
    variances = cluster_variances(vectors, truth, centres, mean=True)
    assert weights * variances == pytest.approx(weights[0] * variances[0])


def test_permuted_clusters_get_their_numbers_back():
    centres = numpy.random.default_rng(0).normal(size=(6, 4))
    permutation = numpy.array([3, 0, 5, 1, 4, 2])
    moved = centres[permutation] + 0.01
    assert match_clusters(moved, centres).tolist() == permutation.tolist()


def test_empty_clusters_take_the_numbers_that_are_left():
    earlier = numpy.array([[0.0, 0], [9, 9], [5, 0]])
    centres = numpy.array([[9.0, 8], [numpy.nan, numpy.nan], [0, 1]])
    assert match_clusters(centres, earlier).tolist() == [1, 2, 0]
    nothing = numpy.full((2, 3), numpy.nan)
    assert sorted(match_clusters(nothing, nothing).tolist()) == [0, 1]


def test_a_head_that_goes_on_has_the_loss_it_had():
    """Of clusters that were found again; with the numbers of the new clustering it would not."""
    vectors, _ = blobs(count=5)
    before, now = cluster(vectors, 5, seed=0), cluster(vectors, 5, seed=1)
    numbers = match_clusters(now.centres, before.centres)
    head = torch.nn.Linear(8, 5).requires_grad_(False)
    logits = head(torch.from_numpy(vectors))

    def loss(assignments, weights):
        weights = torch.from_numpy(weights).float()
        return cluster_loss(logits, torch.from_numpy(assignments).long(), weights).item()

    def weigh(found):
        return cluster_weights("mean_softmax", vectors, found.assignments, found.centres)

    expected = loss(before.assignments, weigh(before))
    matched = loss(numbers[now.assignments], weigh(now)[numpy.argsort(numbers)])
    assert matched == pytest.approx(expected, rel=1e-4)
    assert loss(now.assignments, weigh(now)) != pytest.approx(expected, rel=1e-2)


def test_means_are_those_of_the_vectors():
    vectors, truth = blobs()
    means = cluster_means(vectors, truth, 4)
    for number in range(3):
        assert means[number] == pytest.approx(vectors[truth == number].mean(axis=0), rel=1e-4)
    assert numpy.isnan(means[3]).all()


@pytest.mark.parametrize("kind", FEATURES[1:])
def test_features_have_length_1(tmp_path, kind):
    vectors, _ = blobs()
    features = write_features(vectors, tmp_path / "features", kind, dims=5)
    assert numpy.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-5)
    assert features.shape == (120, 8 if kind == "l2" else 5)


def test_whitened_components_spread_alike(tmp_path):
    random = numpy.random.default_rng(0)
    vectors = (random.normal(size=(4000, 3)) * [100, 1, 0.01] + 50).astype("float32")
    features = write_features(vectors, tmp_path / "features", "whitened", dims=3)
    assert features.shape == (4000, 2)  # the third is below what float32 can tell
    assert features.mean(axis=0) == pytest.approx(0, abs=0.05)
    assert features.std(axis=0) == pytest.approx(0.5**0.5, abs=0.05)


def test_equal_vectors_have_features(tmp_path):
    vectors = numpy.full((4, 3), 2, dtype="float32")
    features = write_features(vectors, tmp_path / "features", "whitened")
    assert features.shape == (4, 1) and numpy.isfinite(features).all()


def test_an_empty_file_of_vectors_is_told(tmp_path):
    (tmp_path / "vectors").touch()
    with pytest.raises(ValueError, match="HE288"):
        read_vectors(tmp_path / "vectors", 3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_that_of_chunks(tmp_path):
    """Of 150 MB of vectors no copy is made, whatever is done with them."""
    script = f"""
import threading, time
import numpy
from spacy_hetner.pretraining import clusters as c

path = {str(tmp_path / "vectors")!r}
random = numpy.random.default_rng(0)
with open(path, "wb") as file:
    for _ in range(100):
        file.write(random.normal(size=(4000, 96)).astype("float32").tobytes())

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

vectors = c.read_vectors(path, 96)
c.cluster(vectors[:1000], 4)
before, peak, over = anonymous(), [0], threading.Event()

def watch():
    while not over.wait(0.002):
        peak[0] = max(peak[0], anonymous())

thread = threading.Thread(target=watch)
thread.start()
found = c.cluster(vectors, 4, steps=2)
c.cluster_weights("paper", vectors, found.assignments, found.centres)
c.cluster_means(vectors, found.assignments, 4)
c.write_features(vectors, path + ".l2", "l2")
c.write_features(vectors, path + ".white", "whitened", dims=16)
over.set()
thread.join()
print((peak[0] - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 75


def test_rounding_does_not_decide_between_clusters_of_equal_vectors():
    """Their variance is 0 but for what the means lose in rounding."""
    random = numpy.random.default_rng(0)
    first, second = (at + random.normal(size=(1, 64)) for at in (30, -30))
    spread = 100 + 20 * random.normal(size=(40, 64))
    vectors = numpy.concatenate([first.repeat(5, 0), second.repeat(7, 0), spread]).astype("float32")
    found = cluster(vectors, 3)
    for kind in ("paper", "mean_softmax"):
        weights = cluster_weights(kind, vectors, found.assignments, found.centres)
        assert sorted(weights) == pytest.approx([0, 0.5, 0.5])
