"""Statistics of features and the distance between them, against numpy, scipy and closed forms."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from engine.tensors.statistics import Statistics, StatisticsError, frechet_distance, read, statistics_of, written


def features(count: int, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mixing + seed


def by_scipy(first: Statistics, second: Statistics) -> float:
    a, b = first.covariance.numpy(), second.covariance.numpy()
    apart = (first.mean - second.mean).square().sum()
    return float(apart + np.trace(a + b - 2 * sqrtm(a @ b).real))


def gaussian(mean: list[float], covariance: Tensor, count: int = 0) -> Statistics:
    return Statistics(torch.tensor(mean, dtype=torch.float64), covariance.double(), count)


def test_mean_and_covariance_are_numpys() -> None:
    rows = features(50)
    found = statistics_of(rows)
    assert np.allclose(found.mean, rows.numpy().mean(axis=0), atol=1e-12)
    assert np.allclose(found.covariance, np.cov(rows.numpy(), rowvar=False), atol=1e-12)


@pytest.mark.parametrize("cuts", [[25, 50], [1, 2, 30], [49], [10, 20, 30, 40]])
def test_batches_of_any_size_gather_to_the_same(cuts: list[int]) -> None:
    rows = features(50)
    parts = [statistics_of(part) for part in rows.tensor_split(cuts) if len(part)]
    total = parts[0]
    for part in parts[1:]:
        total = total.joined(part)
    whole = statistics_of(rows)
    assert total.count == 50
    assert torch.allclose(total.mean, whole.mean, atol=1e-12)
    assert torch.allclose(total.covariance, whole.covariance, atol=1e-12)


@pytest.mark.parametrize("width", [1, 6, 40])
def test_the_distance_is_scipys(width: int) -> None:
    first, second = statistics_of(features(200, width)), statistics_of(features(300, width, seed=1))
    assert frechet_distance(first, second) == pytest.approx(by_scipy(first, second), rel=1e-9)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-12)


def test_the_distance_of_gaussians_that_commute_is_that_of_their_deviations() -> None:
    turn, _ = torch.linalg.qr(features(3, 3))
    means = ([0.0, 0, 0], [1.0, 2, 2])
    first, second = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 0.0, 16.0]).double()
    pair = zip(means, (first, second), strict=True)
    one, other = (gaussian(mean, turn @ values.diag() @ turn.T) for mean, values in pair)
    expected = 9 + float((first.sqrt() - second.sqrt()).square().sum())
    assert frechet_distance(one, other) == pytest.approx(expected, abs=1e-9)


def test_the_distance_to_oneself_is_nothing_even_with_fewer_pictures_than_features() -> None:
    few = statistics_of(features(5, 64))
    assert frechet_distance(few, few) < 1e-9 * float(few.covariance.trace())


def test_files_are_pytorch_fids() -> None:
    found = statistics_of(features(50))
    with np.load(io.BytesIO(written(found))) as arrays:
        assert sorted(arrays) == ["mu", "sigma"]
        assert np.array_equal(arrays["sigma"], found.covariance.numpy())
    back = read(written(found), "a.npz")
    assert frechet_distance(back, found) < 1e-9
    assert (back.count, back.width) == (0, 6)


def archive(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"nothing", "a.npz.*expected arrays mu and sigma"),
        (archive(mu=np.zeros(3)), "a.npz.*expected arrays mu and sigma"),
        (
            archive(mu=np.zeros(3), sigma=np.zeros((4, 4))),
            r"expected mu \(D,\) and sigma \(D, D\).*got \(3,\) and \(4, 4\)",
        ),
        (archive(mu=np.zeros(2), sigma=np.full((2, 2), np.nan)), "no mean and covariance"),
        (archive(mu=np.array([{}], dtype=object), sigma=np.zeros((1, 1))), "a.npz.*expected arrays"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        read(data, "a.npz")


def test_one_picture_and_other_features_are_refused() -> None:
    one, many, wide = (statistics_of(features(count, width)) for count, width in ((1, 6), (9, 6), (9, 7)))
    with pytest.raises(StatisticsError, match=r"input second.*expected at least 2 pictures, got 1"):
        frechet_distance(many, one)
    with pytest.raises(StatisticsError, match=r"inputs first and second.*expected features of width 6, got 7"):
        frechet_distance(many, wide)
    with pytest.raises(StatisticsError, match="unknown number of pictures"):
        read(written(many), "a.npz").joined(many)
