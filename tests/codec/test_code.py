import pytest
import torch

from approxbit.codec import Code


@pytest.mark.parametrize("grid_size", [(1, 1, 1), (3, 2, 5), (8, 7, 7)])
@pytest.mark.parametrize("num_tokens", [0, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_planes_hold_the_whole_code(grid_size, num_tokens, batch_size):
    code = Code(
        torch.randint(2, (batch_size, 5, *grid_size), dtype=torch.uint8),
        torch.randint(2, (batch_size, num_tokens, 5), dtype=torch.uint8),
    )
    planes = code.to_planes()
    back = Code.from_planes(planes, grid_size)
    assert planes.dtype == torch.uint8
    assert torch.equal(back.grid, code.grid)
    assert torch.equal(back.tokens, code.tokens)


def test_positions_are_the_grid_in_time_height_width_order_and_then_the_tokens():
    grid = torch.zeros(1, 2, 2, 3, 4)
    grid[0, 1, 1, 2, 3] = 1
    grid[0, 0, 0, 1, 2] = 1
    tokens = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    planes = Code(grid, tokens).to_planes()
    assert planes.shape == (1, 2, 26)
    assert planes[0].nonzero().tolist() == [[0, 6], [0, 25], [1, 23], [1, 24]]


def test_float_bits_become_integers():
    planes = Code(torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, 1)).to_planes()
    assert planes.tolist() == [[[1, 0]]]


def test_too_few_positions_are_refused():
    with pytest.raises(ValueError, match=r"a grid of \(2, 2, 2\) needs at least 8 positions, found 7"):
        Code.from_planes(torch.zeros(1, 4, 7, dtype=torch.uint8), (2, 2, 2))
