import torch

from approxbit.codec import Code, Codebook


def test_a_feature_is_the_matrix_times_the_bits_plus_the_offset():
    codebook = Codebook(channels=3, codebook_size=2)
    with torch.no_grad():
        codebook.matrix.copy_(torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
        codebook.offset.copy_(torch.tensor([0.5, 0.0, -0.5]))
    grid = torch.tensor([[[[[0, 1]]], [[[1, 1]]]]], dtype=torch.uint8)
    feature = codebook(Code(grid, torch.zeros(1, 0, 2)))
    assert feature.grid[0, :, 0, 0, 0].tolist() == [10.5, 20.0, 29.5]
    assert feature.grid[0, :, 0, 0, 1].tolist() == [11.5, 22.0, 32.5]
    assert feature.tokens.shape == (1, 0, 3)


def test_tokens_have_a_matrix_of_their_own():
    codebook = Codebook(channels=3, codebook_size=2, num_tokens=1)
    feature = codebook(Code(torch.zeros(1, 2, 1, 1, 1), torch.tensor([[[1.0, 0.0]]])))
    torch.testing.assert_close(feature.grid.flatten(), codebook.offset)
    torch.testing.assert_close(feature.tokens.flatten(), codebook.token_matrix[:, 0] + codebook.token_offset)


@torch.no_grad()
def test_fair_bits_start_as_standardised_channels():
    torch.manual_seed(0)
    codebook = Codebook(channels=64, codebook_size=32)
    bits = torch.randint(2, (1, 32, 8, 16, 16))
    grid = codebook(Code(bits, torch.zeros(1, 0, 32))).grid
    assert abs(float(grid.mean())) < 0.02
    assert abs(float(grid.std()) - 1) < 0.1
