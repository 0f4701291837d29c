"""The layers over whole images against plain loops over their sites."""

import torch
from torch import Tensor

from urbild.nets.masked import groups_of
from urbild.nets.pixel_lstm import DiagonalLstm, RowLstm, cell, skew, unskew

N, FEATURES, SIZE, HEIGHT, WIDTH = 2, 5, 3, 4, 6


def test_skewing_puts_a_diagonal_into_a_column_and_back() -> None:
    x = torch.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH) + 1
    skewed = skew(x)
    assert skewed.shape == (1, HEIGHT, WIDTH + HEIGHT - 1)
    for i in range(HEIGHT):
        assert skewed[0, i].tolist() == [0] * i + x[0, i].tolist() + [0] * (HEIGHT - 1 - i)
    assert torch.equal(unskew(skewed, WIDTH), x)


def _one_direction(layer: DiagonalLstm, x: Tensor, which: int) -> Tensor:
    """From the left, site by site."""
    entering = layer.enter[which](x)
    zero = x.new_zeros(N, SIZE)
    states: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
    made = x.new_zeros(N, SIZE, HEIGHT, WIDTH)
    for i in range(HEIGHT):
        for j in range(WIDTH):
            carried, beside = states.get((i, j - 1), (zero, zero))
            above = states.get((i - 1, j), (zero, zero))[1]
            gates = entering[:, :, i, j] + torch.cat([beside, above], dim=1) @ layer.state[which]
            states[i, j] = cell(gates, carried)
            made[:, :, i, j] = states[i, j][1]
    return made


def test_the_diagonal_layer_is_a_loop_over_sites() -> None:
    torch.manual_seed(0)
    layer = DiagonalLstm(groups_of(FEATURES, 1), groups_of(SIZE, 1)).double()
    x = torch.randn(N, FEATURES, HEIGHT, WIDTH, dtype=torch.float64)
    right = _one_direction(layer, x.flip(3), 1).flip(3)
    expected = _one_direction(layer, x, 0)
    expected[:, :, 1:] += right[:, :, :-1]
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_the_row_layer_is_a_loop_over_sites() -> None:
    torch.manual_seed(0)
    layer = RowLstm(groups_of(FEATURES, 1), groups_of(SIZE, 1)).double()
    x = torch.randn(N, FEATURES, HEIGHT, WIDTH, dtype=torch.float64)
    weight = layer.enter.weight  # [4 h, features, 1, 2]: the site to the left, and the site itself
    assert layer.enter.bias is not None
    carried = state = x.new_zeros(N, SIZE, WIDTH + 2)  # a site of zeros on either side
    made = layer(x)
    for i in range(HEIGHT):
        last_carried, last_state = carried, state
        carried, state = torch.zeros_like(carried), torch.zeros_like(state)
        for j in range(WIDTH):
            beside = x[:, :, i, j - 1] if j else torch.zeros_like(x[:, :, i, j])
            gates = beside @ weight[:, :, 0, 0].T + x[:, :, i, j] @ weight[:, :, 0, 1].T + layer.enter.bias
            for tap in range(3):
                gates = gates + last_state[:, :, j + tap] @ layer.state.weight[:, :, tap].T
            carried[:, :, j + 1], state[:, :, j + 1] = cell(gates, last_carried[:, :, j + 1])
        assert torch.allclose(made[:, :, i], state[:, :, 1:-1], atol=1e-12)
