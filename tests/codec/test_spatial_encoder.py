import pytest
import torch

from approxbit.codec import SpatialEncoder
from approxbit.codec.spatial_encoder import num_groups
from approxbit.configuration import Configuration


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (5, 27, 27), (16, 14, 14), (3, 1, 8)])
def test_the_grid_is_halved_as_the_configuration_says(size):
    grid = SpatialEncoder(4)(torch.zeros(2, 4, *size))
    assert grid.shape == (2, 4, *Configuration("B3", True, 8).grid_size(size))


@pytest.mark.parametrize("channels", [1, 40, 48, 53, 96, 384, 1024, 1152])
def test_groups_divide_the_channels_and_are_narrow(channels):
    groups = num_groups(channels)
    assert channels % groups == 0
    assert channels // groups <= 48


def test_an_output_sees_three_inputs_along_each_axis():
    encoder = SpatialEncoder(1)
    grid = torch.zeros(1, 1, 8, 8, 8, requires_grad=True)
    encoder(grid)[0, 0, 2, 2, 2].backward()
    seen = grid.grad.nonzero()[:, 2:]
    assert seen.amin(0).tolist() == [3, 3, 3]
    assert seen.amax(0).tolist() == [5, 5, 5]
