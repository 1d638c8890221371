"""The sampler for tables: imbalanced-learn's own checks, its Pipeline, and what screened rows owe their user."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV

import augmind
from augmind.core.errors import UsageError

SMALL = {"steps": 100, "beta": 0.1, "lr": 5e-3, "latent": 16}


def imbalanced(minority=12, majority=60, d=4, seed=0):
    """Two Gaussian classes."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, (majority, d)), rng.normal(1.5, 1, (minority, d))])
    return x, np.array([0] * majority + [1] * minority)


CHECKED = [augmind.Resampler("feature", random_state=0), augmind.Resampler("vae", settings=SMALL, screens=("novelty",), random_state=0)]
CHECKS = parametrize_with_checks(CHECKED).mark
"""Their mark holds an iterator, which pytest is about to refuse."""
OF_ROWS = ("check_samplers_fit", "check_samplers_fit_resample", "check_samplers_sparse", "check_samplers_preserve_dtype")
"""Checks of what is drawn; the others look at what stands around the generator, which is one for all of them."""


def asked(of):
    return of[0].generator == "feature" or of[1].func.__name__ in OF_ROWS


@pytest.mark.parametrize(CHECKS.args[0], list(filter(asked, CHECKS.args[1])), ids=CHECKS.kwargs["ids"])
def test_passes_the_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


def test_classes_are_balanced_by_rows_that_passed_and_real_rows_stay():
    x, y = imbalanced()
    sampler = augmind.Resampler(random_state=0)
    new_x, new_y = sampler.fit_resample(x, y)
    assert Counter(new_y) == {0: 60, 1: 60}
    assert np.array_equal(new_x[:72], x) and np.array_equal(new_y[:72], y)
    assert np.array_equal(sampler.synthetic_, np.arange(120) >= 72)
    scores = pd.DataFrame(sampler.scores_)
    given = scores[scores.row >= 0]
    assert len(given) == 48 and (given.rejected_by == "").all() and set(given.row) == set(range(72, 120)) and (given.label == 1).all()
    assert (given[["score_agreement", "score_fidelity", "score_novelty", "score_duplicates"]] >= 0.02).all(axis=None)
    assert new_x.min() >= x.min() and (new_x.max(0) <= x.max(0)).all()


def test_the_same_random_state_gives_the_same_rows_and_no_global_state_is_touched():
    x, y = imbalanced()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    a, b, c, d = (augmind.Resampler(random_state=s).fit_resample(x, y)[0] for s in (0, 0, 1, None))
    assert np.array_equal(a, b) and not np.array_equal(a, c) and not np.array_equal(a, d)
    a, b = (augmind.Resampler("vae", settings=SMALL, screens=(), random_state=0).fit_resample(x, y)[0] for _ in range(2))
    assert np.array_equal(a, b)
    assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])
    state = np.random.RandomState(3)
    sampler = augmind.Resampler(random_state=state)
    assert not np.array_equal(sampler.fit_resample(x, y)[0], sampler.fit_resample(x, y)[0])
    assert np.array_equal(clone(sampler).set_params(random_state=0).fit_resample(x, y)[0], augmind.Resampler(random_state=0).fit_resample(x, y)[0])


def test_rows_of_the_gaussian_follow_the_class_they_claim():
    x, y = imbalanced(minority=200, majority=2000)
    new_x, _ = augmind.Resampler(screens=(), random_state=0).fit_resample(x, y)
    drawn = new_x[2200:]
    assert len(drawn) == 1800
    error = (drawn.mean(0) - x[y == 1].mean(0)) / (x[y == 1].std(0) / 1800**0.5)
    assert np.abs(error).max() < 5
    assert np.allclose(np.cov(drawn.T), np.eye(4), atol=0.2)


def test_the_scale_of_a_column_does_not_matter():
    x, y = imbalanced()
    scale, shift = np.array([1e-6, 1.0, 1e3, 1e8]), np.array([1e3, 0.0, -1e6, 1e9])
    plain = augmind.Resampler(random_state=0).fit_resample(x, y)[0]
    moved = augmind.Resampler(random_state=0).fit_resample(x * scale + shift, y)[0]
    assert np.allclose((moved - shift) / scale, plain, atol=1e-3)


def test_constant_columns_stay_and_whole_numbers_stay_whole():
    x, y = imbalanced(minority=20, majority=60)
    x[:, 1], x[:, 2] = 7.5, np.rint(x[:, 2] * 10)
    new, _ = augmind.Resampler(random_state=0).fit_resample(x, y)
    assert (new[:, 1] == 7.5).all() and (new[80:, 2] % 1 == 0).all() and len(np.unique(new[80:, 2])) > 5
    whole, _ = augmind.Resampler(random_state=0).fit_resample((x * 10).astype(np.int16), y)
    assert whole.dtype == np.int16
    with pytest.raises(ValueError, match="every column"):
        augmind.Resampler().fit_resample(np.ones((10, 3)), [0] * 7 + [1] * 3)
    with pytest.raises(ValueError, match="scale X down"):
        augmind.Resampler().fit_resample(x * 1e200, y)


def test_kinds_of_tables_and_labels_come_back():
    x, y = imbalanced()
    names = np.array(["no", "yes"])[y]
    frame = pd.DataFrame(x, columns=list("abcd")).astype({"a": "float32"})
    new, labels = augmind.Resampler(random_state=0).fit_resample(frame, pd.Series(names, name="label"))
    assert (new.dtypes == frame.dtypes).all() and list(new.columns) == list("abcd") and labels.name == "label"
    assert Counter(labels) == {"no": 60, "yes": 60}
    for kind in (sparse.csr_matrix, sparse.csc_array):
        out, _ = augmind.Resampler(random_state=0).fit_resample(kind(x), y)
        assert type(out) is kind and out.shape == (120, 4)


def test_more_is_drawn_where_screens_reject_and_a_warning_says_what_is_short():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (60, 2)).astype(float)
    with pytest.warns(UserWarning, match=r"too few rows passed the screens after \d+ were drawn \(1 \d+ of 40\); most fell to 'duplicates'"):
        _, y = augmind.Resampler(screens=("duplicates",), random_state=0).fit_resample(x, [0] * 50 + [1] * 10)
    assert Counter(y)[0] == 50 and 10 <= Counter(y)[1] < 50
    x, y = make_classification(300, weights=[0.9], n_informative=3, class_sep=0.5, random_state=0)
    sampler = augmind.Resampler(random_state=0)
    assert len(set(Counter(sampler.fit_resample(x, y)[1]).values())) == 1
    assert "agreement" in sampler.scores_["rejected_by"]


@pytest.mark.filterwarnings("ignore:vae:UserWarning")
@pytest.mark.parametrize("generator", ["feature", "vae"])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_class_of_a_row_or_two_is_drawn_around_them_with_a_warning(generator, rows):
    x, y = imbalanced(minority=rows, majority=20)
    sampler = augmind.Resampler(generator, settings=SMALL if generator == "vae" else None, screens=(), random_state=0)
    with pytest.warns(UserWarning, match=rf"fewer than 3 rows: 1 \({rows}\)"):
        new, labels = sampler.fit_resample(x, y)
    assert Counter(labels) == {0: 20, 1: 20} and len(np.unique(new, axis=0)) == 40


def test_serves_a_pipeline_inside_a_grid_search():
    x, y = imbalanced(minority=20, majority=60)
    model = make_pipeline(augmind.Resampler(random_state=0), LogisticRegression())
    grid = {"resampler__generator": ["feature"], "resampler__settings": [{"spread": 0.5}, {"spread": 1.0}], "resampler__screens": [(), ("novelty",)]}
    search = GridSearchCV(model, grid, cv=3, scoring="balanced_accuracy").fit(x, y)
    assert search.best_score_ > 0.8 and search.best_estimator_[0].synthetic_.sum() == 40


def test_helps_a_classifier_that_the_majority_would_sway():
    def score(seed, sampler):
        (x, y), (tx, ty) = imbalanced(seed=seed), imbalanced(minority=300, majority=300, seed=100 + seed)
        model = LogisticRegression().fit(*(sampler.fit_resample(x, y) if sampler else (x, y)))
        return balanced_accuracy_score(ty, model.predict(tx))

    plain, ours, smote = (
        np.mean([score(seed, sampler) for seed in range(4)]) for sampler in (None, augmind.Resampler(random_state=0), SMOTE(random_state=0))
    )
    assert ours > plain + 0.02 and ours > smote - 0.02


def test_a_generator_that_collapsed_gives_way_to_a_gaussian():
    x, y = imbalanced()
    sampler = augmind.Resampler("vae", settings={"steps": 50, "width": 8, "latent": 4}, random_state=0)
    with pytest.warns(UserWarning, match="at step 25: .* rows are drawn from a Gaussian around each class instead"):
        new, _ = sampler.fit_resample(x, y)
    assert sampler.generator_.name() == "feature"
    assert np.array_equal(new, augmind.Resampler(random_state=0).fit_resample(x, y)[0])


def test_wrong_names_are_refused():
    x, y = imbalanced()
    with pytest.raises(UsageError, match="unknown generator 'smoke'"):
        augmind.Resampler("smoke").fit_resample(x, y)
    with pytest.raises(UsageError, match="unknown screen 'beauty'"):
        augmind.Resampler(screens=("beauty",)).fit_resample(x, y)
    with pytest.raises(UsageError, match="no_such"):
        augmind.Resampler(settings={"no_such": 1}).fit_resample(x, y)
    with pytest.raises(ValueError, match="'screens' parameter"):
        augmind.Resampler(screens=3).fit_resample(x, y)
