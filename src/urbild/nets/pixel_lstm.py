"""LSTM layers over images: a row at a time, or a diagonal at a time in both directions.

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks, sections 3.1 and 3.2,
https://arxiv.org/abs/1601.06759

    [o, f, i, g] = state-to-state(h of before) + input-to-state(x)       o, f, i through sigmoids, g through tanh
    c = f . c of before + i . g        h = o . tanh(c)                                              (equation 3)

Row LSTM: before is the row above; the input sees its row so far, the state three sites of the row above. Diagonal
BiLSTM: before is the site to the left, and the state sees the one above too; skewing the rows makes all sites of a
diagonal independent, so that a diagonal is one matrix product. A second LSTM runs from right to left, and its output is
shifted down by one row, lest a site see what follows it.

Each layer also comes site by site, for sampling: what depends on the rows above is computed once a row.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.nets.masked import Left, Window


def cell(gates: Tensor, carried: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    """The states c and h after the gates o, f, i, g, side by side along `dim`."""
    output, forget, enter, value = gates.chunk(4, dim=dim)
    carried = torch.sigmoid(forget) * carried + torch.sigmoid(enter) * torch.tanh(value)
    return carried, torch.sigmoid(output) * torch.tanh(carried)


class SiteCache(ABC):
    """A layer's row in work while images are drawn: inputs are written into `window`, outputs are read site by site.

    Attributes:
        window: of the layer's input row.
    """

    window: Window

    @abstractmethod
    def row(self, i: int) -> None:
        """Begins row i: the input row above is complete."""

    @abstractmethod
    def site(self, j: int, group: int) -> Tensor:
        """The output [N, h / groups] of a group of features at column j."""


class PixelLstm(nn.Module, ABC):
    """A layer that maps [N, features, H, W] to [N, h, H, W] in causal order."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The states of all sites."""

    @abstractmethod
    def cache(self, n: int, width: int, groups: int) -> SiteCache:
        """The layer site by site, for n images with rows of `width` sites."""


class RowLstm(PixelLstm):
    """A row at a time.

    Args:
        before: groups of the input's features.
        state: groups of the h features.
    """

    def __init__(self, before: Tensor, state: Tensor) -> None:
        super().__init__()
        self.size = len(state)
        self.enter = Left(before, state.repeat(4), 3)
        self.state = nn.Conv1d(self.size, 4 * self.size, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The states h [N, h, H, W]."""
        entering = self.enter(x)  # [N, 4 h, H, W]
        carried = state = entering.new_zeros(len(x), self.size, x.shape[3])
        rows = []
        for i in range(x.shape[2]):
            carried, state = cell(entering[:, :, i] + self.state(state), carried)
            rows.append(state)
        return torch.stack(rows, dim=2)

    def cache(self, n: int, width: int, groups: int) -> SiteCache:
        """See `PixelLstm.cache`."""
        return _RowCache(self, n, width, groups)


class _RowCache(SiteCache):
    def __init__(self, layer: RowLstm, n: int, width: int, groups: int) -> None:
        self._layer = layer
        self.window = Window(layer.enter, n, width)
        order = _by_group(layer.size, groups, layer.enter.weight.device)
        self._order, self._own = order.flatten(), _slices(layer.size, groups)
        self._taps = [layer.enter.taps(columns) for columns in order]
        like = layer.enter.weight
        self._terms = like.new_zeros(groups, width, n, 4 * layer.size // groups)
        self._carried, self._state = like.new_zeros(2, width, n, layer.size)
        self._above = like.new_zeros(width, n, layer.size)

    def row(self, i: int) -> None:  # noqa: ARG002 -- every row begins alike
        self._above = self._carried.clone()
        terms = self._layer.state(self._state.permute(1, 2, 0))  # [N, 4 h, W]
        assert self._layer.enter.bias is not None
        terms = (terms + self._layer.enter.bias[:, None])[:, self._order]
        self._terms = terms.view(terms.shape[0], *self._terms.shape[::3], -1).permute(1, 3, 0, 2).contiguous()

    def site(self, j: int, group: int) -> Tensor:
        gates = torch.addmm(self._terms[group, j], self.window.seen[j], self._taps[group])
        own = self._own[group]
        carried, state = cell(gates, self._above[j, :, own])
        self._carried[j, :, own], self._state[j, :, own] = carried, state
        return state


class DiagonalLstm(PixelLstm):
    """A diagonal at a time, from both sides.

    Args:
        before: groups of the input's features.
        state: groups of the h features.
    """

    def __init__(self, before: Tensor, state: Tensor) -> None:
        super().__init__()
        self.size = len(state)
        self.enter = nn.ModuleList(Left(before, state.repeat(4)) for _ in range(2))  # from the left, from the right
        bound = (2 * self.size) ** -0.5
        self.state = nn.Parameter(torch.empty(2, 2 * self.size, 4 * self.size).uniform_(-bound, bound))  # beside, above

    def forward(self, x: Tensor) -> Tensor:
        """The states h of both directions, added: [N, h, H, W]."""
        n, _, height, width = x.shape
        left, right = self.enter[0](x), self.enter[1](x).flip(3)
        entering = skew(torch.stack([left, right])).permute(4, 0, 1, 3, 2).contiguous()  # [diagonals, 2, N, H, 4 h]
        carried = state = entering.new_zeros(2, n, height, self.size)
        diagonals = []
        for now in entering:
            above = functional.pad(state[:, :, :-1], (0, 0, 1, 0))
            seen = torch.cat([state, above], dim=3).flatten(1, 2)  # [2, N H, 2 h]
            gates = now + torch.bmm(seen, self.state.to(seen.dtype)).view_as(now)
            carried, state = cell(gates, carried, dim=3)
            diagonals.append(state)
        made = unskew(torch.stack(diagonals).permute(1, 2, 4, 3, 0), width)  # [2, N, h, H, W]
        later = functional.pad(made[1].flip(3)[:, :, :-1], (0, 0, 1, 0))  # one row down
        return made[0] + later

    def cache(self, n: int, width: int, groups: int) -> SiteCache:
        """See `PixelLstm.cache`."""
        return _DiagonalCache(self, n, width, groups)


class _DiagonalCache(SiteCache):
    def __init__(self, layer: DiagonalLstm, n: int, width: int, groups: int) -> None:
        left: Left = layer.enter[0]  # type: ignore[assignment]
        right: Left = layer.enter[1]  # type: ignore[assignment]
        assert left.bias is not None
        assert right.bias is not None
        self.window, self._width = Window(left, n, width), width
        size, like = layer.size, left.weight
        order = _by_group(size, groups, like.device)
        self._own, self._order = _slices(size, groups), order.flatten()
        beside, above = layer.state[0, :size], layer.state[0, size:]
        self._enter = [torch.cat([left.taps(columns), beside[:, columns]]) for columns in order]
        self._above, self._bias = above[:, self._order], left.bias[self._order]
        self._right = right.taps(), right.bias, layer.state[1, :size], layer.state[1, size:]
        self._terms = like.new_zeros(width, n, groups, 4 * size // groups)
        features = like.shape[1]
        self._seen = [like.new_zeros(n, features + size) for _ in range(width + 1)]  # input, and the state beside
        self._carried = like.new_zeros(width + 1, n, size)
        self._state = like.new_zeros(width, n, size)
        self._later = like.new_zeros(2, width, n, size)  # c and h of the LSTM from the right, for the row above
        self._features = features

    def row(self, i: int) -> None:
        if i > 0:
            self._from_the_right()
        self._terms = torch.addmm(self._bias, self._state.flatten(0, 1), self._above).view_as(self._terms)

    def _from_the_right(self) -> None:
        """Goes along the row above, whose inputs are complete; its own states of one row higher are at hand."""
        taps, bias, beside, above = self._right
        width, n, size = self._state.shape
        inputs = self.window.row.transpose(0, 1).flatten(0, 1)  # [W N, features]
        terms = (torch.addmm(bias, inputs, taps) + self._later[1].flatten(0, 1) @ above).view(width, n, -1)
        carried = state = terms.new_zeros(n, size)
        for j in reversed(range(width)):
            carried, state = cell(torch.addmm(terms[j], state, beside), carried)
            self._later[1, j] = state

    def site(self, j: int, group: int) -> Tensor:
        seen, own = self._seen[j], self._own[group]
        seen[:, : self._features] = self.window.site[j]
        gates = torch.addmm(self._terms[j, :, group], seen, self._enter[group])
        carried, state = cell(gates, self._carried[j, :, own])
        self._carried[j + 1, :, own] = carried
        self._seen[j + 1][:, self._features :][:, own] = state
        self._state[j, :, own] = state
        return state + self._later[1, j, :, own]


def skew(x: Tensor) -> Tensor:
    """Shifts row i right by i sites: [..., H, W] to [..., H, W + H - 1], whose columns are diagonals."""
    height, width = x.shape[-2:]
    flat = functional.pad(x, (0, height)).flatten(-2)
    return flat[..., : height * (width + height - 1)].reshape(*x.shape[:-1], width + height - 1)


def unskew(x: Tensor, width: int) -> Tensor:
    """The reverse of `skew`: [..., H, W + H - 1] to [..., H, W]."""
    height = x.shape[-2]
    flat = functional.pad(x.flatten(-2), (0, height))
    return flat.reshape(*x.shape[:-1], width + height)[..., :width]


def _by_group(size: int, groups: int, device: torch.device) -> Tensor:
    """Columns of the four gates that belong to each group: [groups, 4 h / groups]."""
    columns = torch.arange(4 * size, device=device).view(4, groups, size // groups)
    return columns.transpose(0, 1).reshape(groups, -1)


def _slices(size: int, groups: int) -> list[slice]:
    return [slice(g * size // groups, (g + 1) * size // groups) for g in range(groups)]
