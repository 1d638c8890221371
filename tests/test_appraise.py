"""What is told of the quality of a generator's rows beside figures: where they lie."""

import torch

from augmind.appraise import SHOWN, on_axes
from augmind.core.seeds import stream
from augmind.core.types import Samples


def rows(z: torch.Tensor) -> Samples:
    y = torch.arange(len(z)) % 2
    return Samples.real(z, y).with_features(z)


def test_rows_are_placed_on_the_principal_axes_of_the_real_rows():
    spread = torch.randn(60, 5, generator=stream("axes")) * torch.tensor([10.0, 4.0, 0.1, 0.1, 0.1])
    found = on_axes(rows(spread), rows(torch.cat([spread[:3], spread[:1] + 1000])), seed=0)
    x, y, k = (torch.tensor(column) for column in zip(*found["real"], strict=True))
    assert 0.7 < found["share"][0] < 0.95 and sum(found["share"]) > 0.99
    assert sorted(k.tolist()) == [0] * 30 + [1] * 30 and min(x.min(), y.min()) > 0 and max(x.max(), y.max()) < 1
    for axis, column in ((x, 0), (y, 1)):
        ordered = spread[:, column].sort().values
        seen, ideal = axis.sort().values, (ordered - ordered[0]) / (ordered[-1] - ordered[0])
        straight = (seen - seen[0]) / (seen[-1] - seen[0])
        assert min((straight - ideal).abs().max(), (straight - (1 - ideal.flip(0))).abs().max()) < 0.02
    drawn = found["rows"]
    assert sum(tuple(p[:2]) in {tuple(q[:2]) for q in found["real"]} for p in drawn) == 3
    assert any(v in (0.0, 1.0) for p in drawn for v in p[:2])


def test_a_map_shows_some_rows_of_many_and_none_of_too_few():
    z = torch.randn(3 * SHOWN, 4, generator=stream("many"))
    found = on_axes(rows(z), rows(z[:10]), seed=1)
    assert len(found["real"]) == SHOWN and len(found["rows"]) == 10 and found == on_axes(rows(z), rows(z[:10]), seed=1)
    assert (
        on_axes(rows(z[:2]), rows(z[:5]), seed=0) == on_axes(rows(z[:, :2]), rows(z[:5, :2]), seed=0) == on_axes(rows(z), rows(z[:0]), seed=0) == {}
    )


def test_rows_that_all_have_the_same_features_have_no_map():
    for same in (torch.zeros(20, 6), torch.full((20, 6), 0.3)):
        assert on_axes(rows(same), rows(same[:3]), seed=0) == {}
    one = on_axes(rows(torch.cat([torch.zeros(19, 6), torch.ones(1, 6)])), rows(torch.zeros(3, 6)), seed=0)
    assert one["share"][0] == 1 and all(0 <= v <= 1 for p in one["rows"] for v in p[:2])
