import numpy as np

from tf_bigan.evaluation.measures.knn import knn


def test_knn_on_separable_features():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] * 10 + rng.normal(size=(60, 3))
    split = (features[:45], labels[:45], features[45:], labels[45:])
    rows = knn(*split)
    assert {(row["metric"], row["k"]) for row in rows} == {(m, k) for m in ("euclidean", "cosine") for k in (1, 5)}
    assert all(row["accuracy"] == 100.0 for row in rows)


def test_knn_counts_wrong_labels():
    features = np.array([[0.0], [1.0], [2.0], [3.0]])
    rows = knn(features, np.array([0, 0, 1, 1]), features, np.array([0, 0, 1, 0]))
    assert rows[0]["accuracy"] == 75.0
