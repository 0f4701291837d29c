"""Gated PixelCNN, unconditional, conditional on a class, or on a map.

Van den Oord et al. 2016, Conditional image generation with PixelCNN decoders, https://arxiv.org/abs/1606.05328

    p(x) = prod_i p(x_i | x_<i)        pixels in raster order, the channels of a pixel in the order R, G, B
    y = tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h)                                     (equations 2 to 4)

Two stacks see all that came before, without a blind spot: the vertical one the rows above, the horizontal one the row
so far; the vertical one feeds the horizontal one through 1 x 1 convolutions before the gate (figure 2). The first layer
has a large kernel and mask A, and no residual connection; the others mask B, with residual connections in the
horizontal stack alone. The head is two masked 1 x 1 convolutions after rectifiers.

`h` is a class, one-hot, or a map with as many sites as the image (section 2.3).

Departures from the paper: Adam under a warm-up and a cosine instead of RMSProp; features of the vertical stack are not
split by channel, for the rows above are known whole; the default is smaller (10 layers of 64).

Sampling keeps what it has computed: the vertical stack once a row, the horizontal one once a site and channel. Gates
are drawn with one hyperbolic tangent, for sigmoid(a) = (1 + tanh(a / 2)) / 2.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec, Model
from urbild.models.autoregressive.raster import Correction, corrected
from urbild.models.autoregressive.raster_network import Cache, Condition, Inputs, RasterNetwork, check_kernel, leaving
from urbild.nets.labels import classes_of
from urbild.nets.masked import Above, Left, Past, Window, group_width, groups_of
from urbild.nets.stock import check_sizes
from urbild.nets.symbols import SymbolHead, Symbols, default_symbols


def gate(x: Tensor) -> Tensor:
    """Tanh of the first half of the features times the sigmoid of the second: [N, F, ...] of [N, 2 F, ...]."""
    value, share = x.chunk(2, dim=1)
    return torch.tanh(value) * torch.sigmoid(share)


class Layer(nn.Module):
    """A layer of both stacks.

    Args:
        before: groups of the horizontal input.
        above: features of the vertical input.
        after: groups of the F features of either output.
        kernel: of both stacks.
        first: has mask A, sees strictly above, and no residual connection.
        vector: entries of the condition's vector, or 0.
        maps: channels of the condition's maps, or 0.
    """

    def __init__(
        self, before: Tensor, above: int, after: Tensor, kernel: int, *, first: bool, vector: int, maps: int
    ) -> None:
        super().__init__()
        features, gates = len(after), after.repeat(2)
        self.first = first
        self.above = Above(above, 2 * features, kernel, inclusive=not first)
        self.left = Left(before, gates, kernel, mask="A" if first else "B")
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.out = Left(after, after)
        self.told = nn.Linear(vector, 4 * features, bias=False) if vector else None
        self.shown = nn.Conv2d(maps, 4 * features, 1, bias=False) if maps else None

    def forward(self, above: Tensor, left: Tensor, condition: Condition, *, last: bool) -> tuple[Tensor, Tensor]:
        """The vertical and the horizontal map [N, F, H, W]; the last layer has no use for the vertical one."""
        seen = self.above(above)  # [N, 2 F, H, W]
        joined = self.left(left) + self.link(seen)
        told = self.terms(condition)
        if told is not None:
            seen, joined = seen + told[0], joined + told[1]
        made = self.out(gate(joined))
        return seen if last else gate(seen), made if self.first else left + made

    def terms(self, condition: Condition) -> tuple[Tensor, Tensor] | None:
        """What the condition adds to the gates of either stack, [N, 2 F, 1 or H, 1 or W]."""
        terms = []
        if self.told is not None and condition.vector is not None:
            terms.append(self.told(condition.vector)[:, :, None, None])
        if self.shown is not None and condition.maps is not None:
            terms.append(self.shown(condition.maps))
        if not terms:
            return None
        vertical, horizontal = sum(terms[1:], start=terms[0]).chunk(2, dim=1)
        return vertical, horizontal


class GatedNetwork(RasterNetwork):
    """The two stacks and their head.

    Args:
        channels: C.
        head: whose numbers it gives.
        layers: of either stack.
        width: F; raised to a multiple of the channels.
        kernel: of all layers but the first.
        first_kernel: of the first.
        embedding: size of a symbol's learned vector, or None for numbers.
        vector: entries of the condition's vector, or 0.
        maps: channels of the condition's maps, or 0.
    """

    def __init__(
        self,
        channels: int,
        head: SymbolHead,
        *,
        layers: int,
        width: int,
        kernel: int = 3,
        first_kernel: int = 7,
        embedding: int | None = None,
        vector: int = 0,
        maps: int = 0,
    ) -> None:
        super().__init__()
        groups = head.groups
        width = group_width(width, groups)
        self.inputs = Inputs(channels, head.levels, embedding)
        self.groups, self.width = groups, width
        own = groups_of(width, groups)
        first = {"vector": vector, "maps": maps, "first": True}
        rest = {"vector": vector, "maps": maps, "first": False}
        entries = self.inputs.groups if groups == channels else torch.zeros_like(self.inputs.groups)
        self.layers = nn.ModuleList([Layer(entries, len(entries), own, first_kernel, **first)])  # type: ignore[arg-type]
        self.layers.extend(Layer(own, width, own, kernel, **rest) for _ in range(layers - 1))  # type: ignore[arg-type]
        self.hidden = Left(own, own)
        self.outputs = Left(own, groups_of(groups * head.outputs, groups))

    def forward(self, symbols: Tensor, condition: Condition) -> Tensor:
        """[N, groups * outputs, H, W] of symbols [N, C, H, W]."""
        above = left = self.inputs(symbols)
        for layer in self.layers:
            above, left = layer(above, left, condition, last=layer is self.layers[-1])
        result: Tensor = self.outputs(torch.relu(self.hidden(torch.relu(left))))
        return result

    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache:
        """See `RasterNetwork.cache`."""
        return GatedCache(self, n, size, condition)


class GatedCache(Cache):
    """The rows of both stacks that are still seen, and the network's weights as matrices by group of channels.

    `terms` is what a gate has before it sees the row: [layers, groups, W, N, 2 F / groups], filled once a row. Matrices
    that follow a gate or a rectifier have their bias as last row, and what they multiply a last column of ones.
    """

    def __init__(self, network: GatedNetwork, n: int, size: tuple[int, int], condition: Condition) -> None:
        self._inputs, width = network.inputs, size[1]
        self._layers: list[Layer] = list(network.layers)  # type: ignore[arg-type]
        self._told = [layer.terms(condition) for layer in self._layers]
        groups, features = network.groups, network.width
        own = [slice(g * features // groups, (g + 1) * features // groups) for g in range(groups)]
        like = network.hidden.weight
        order, halves = self._order = _gate_order(features, own, like)
        self._links = [_linked(layer, order, halves) for layer in self._layers]
        self._past = [Past(layer.above, n, width) for layer in self._layers]
        self._windows = [Window(layer.left, n, width) for layer in self._layers]
        self._terms = like.new_zeros(len(self._layers), groups, width, n, 2 * features // groups)
        final = like.new_zeros(n, features)
        sums = like.new_zeros(n, 2 * features // groups)
        gates = [like.new_ones(n, features + 1) for _ in self._layers]
        matrices = [
            [(_entering(layer, g, order, halves, groups), 0.5 * leaving(layer.out, own[g])) for g in range(groups)]
            for layer in self._layers
        ]
        for layer in matrices:
            for _, out in layer:
                out[-1] *= 2  # the bias is not halved with the gate
        following = [*self._windows[1:], None]
        self._steps = [
            [
                [
                    _Step(
                        terms=self._terms[at, g, j],
                        seen=window.seen[j],
                        entering=matrices[at][g][0],
                        sums=sums,
                        value=sums[:, : features // groups],
                        share=sums[:, features // groups :],
                        gate=gates[at][:, own[g]],
                        gates=gates[at],
                        leaving=matrices[at][g][1],
                        residual=None if at == 0 else window.site[j][:, own[g]],
                        result=(final if after is None else after.site[j])[:, own[g]],
                    )
                    for at, (window, after) in enumerate(zip(self._windows, following, strict=True))
                ]
                for g in range(groups)
            ]
            for j in range(width)
        ]
        rectified, hidden = like.new_ones(n, features + 1), like.new_ones(n, features + 1)
        numbers = network.outputs.weight.shape[0] // groups
        self._heads = [
            (
                final[:, own[g]],
                rectified[:, own[g]],
                rectified,
                leaving(network.hidden, own[g]),
                hidden[:, own[g]],
                hidden,
                leaving(network.outputs, slice(g * numbers, (g + 1) * numbers)),
            )
            for g in range(groups)
        ]

    def row(self, i: int) -> None:
        """The vertical stack of row i, and what it adds to the horizontal one."""
        if i > 0:
            self._past[0].push(self._windows[0].whole())
        made: Tensor | None = None
        for at, layer in enumerate(self._layers):
            if made is not None:
                self._past[at].push(made)
            seen = layer.above.row(self._past[at].rows)  # [N, 2 F, W]
            matrix, bias = self._links[at]
            terms = torch.addmm(bias, seen.permute(2, 0, 1).flatten(0, 1), matrix)  # [W N, 2 F]
            told = self._told[at]
            if told is not None:
                vertical, horizontal = (_row_of(term, i) for term in told)  # [N, 2 F, 1 or W]
                seen = seen + vertical
                order, halves = self._order
                own = horizontal.permute(2, 0, 1)[:, :, order] * halves
                terms = terms.view(-1, *own.shape[1:]) + own
            groups, width, n = self._terms.shape[1:4]
            self._terms[at] = terms.view(width, n, groups, -1).permute(2, 0, 1, 3)
            made = gate(seen)

    def output(self, j: int, group: int) -> Tensor:
        """The horizontal stack at a site, for one group of channels."""
        for step in self._steps[j][group]:
            torch.addmm(step.terms, step.seen, step.entering, out=step.sums)
            step.sums.tanh_()
            torch.addcmul(step.value, step.value, step.share, out=step.gate)
            if step.residual is None:
                torch.mm(step.gates, step.leaving, out=step.result)
            else:
                torch.addmm(step.residual, step.gates, step.leaving, out=step.result)
        final, rectified, all_rectified, to_hidden, hidden, all_hidden, to_outputs = self._heads[group]
        torch.clamp_min(final, 0, out=rectified)
        torch.clamp_min(torch.mm(all_rectified, to_hidden), 0, out=hidden)
        return torch.mm(all_hidden, to_outputs)

    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Writes the symbols as input of the first layer."""
        self._inputs.write(self._windows[0].site[j], group, symbols)


class _Step(NamedTuple):
    """A layer's work at a site for one group: places and matrices, all made beforehand."""

    terms: Tensor
    seen: Tensor
    entering: Tensor
    sums: Tensor
    value: Tensor
    share: Tensor
    gate: Tensor
    gates: Tensor
    leaving: Tensor
    residual: Tensor | None
    result: Tensor


def _gate_order(features: int, own: list[slice], like: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of the gates by group, a group's values before its shares, and the factors 1 and 1/2 of those columns."""
    every = torch.arange(2 * features, device=like.device)
    order = torch.cat([torch.cat([every[at], every[features:][at]]) for at in own])
    return order, torch.where(order < features, 1.0, 0.5).to(like)


def _entering(layer: Layer, group: int, order: Tensor, halves: Tensor, groups: int) -> Tensor:
    """The matrix [(reach + 1) * before, 2 F / groups] from a site's window to the gates of a group."""
    own = slice(group * len(order) // groups, (group + 1) * len(order) // groups)
    return layer.left.taps(order[own]) * halves[own]


def _linked(layer: Layer, order: Tensor, halves: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix and bias from the vertical stack to the gates of the horizontal one, whose own bias is included."""
    assert layer.link.bias is not None
    assert layer.left.bias is not None
    matrix, bias = layer.link.weight.flatten(1).T, layer.link.bias + layer.left.bias
    return matrix[:, order] * halves, bias[order] * halves


def _row_of(term: Tensor, i: int) -> Tensor:
    """A row [N, F, 1 or W] of [N, F, 1 or H, 1 or W]."""
    return term[:, :, i if term.shape[2] > 1 else 0]


def gated_pixelcnn(
    spec: DataSpec,
    *,
    layers: int = 10,
    width: int = 64,
    kernel: int = 3,
    likelihood: Symbols | None = None,
    embedding: int | None = None,
    conditional: bool = False,
    correction: Correction = "none",
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a gated PixelCNN.

    Args:
        spec: of images.
        layers: of either stack.
        width: features of a layer; raised to a multiple of the channels.
        kernel: side of the convolutions after the first (which has 7): odd.
        likelihood: of a symbol; by default Binary for data of two levels, else Softmax.
        embedding: size of a learned vector for each symbol, for symbols without order; None feeds numbers.
        conditional: on the class of the sample.
        correction: of the score, by the complexity of the image (see `raster.Raster`).
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the data have no classes to be conditioned on.
    """
    check_sizes(layers=layers, width=width, embedding=embedding, learning_rate=learning_rate)
    check_kernel(kernel)
    head = (likelihood or default_symbols(spec)).head(spec)
    classes = classes_of(spec, conditional=conditional)

    def network() -> GatedNetwork:
        return GatedNetwork(
            spec.channels, head, layers=layers, width=width, kernel=kernel, embedding=embedding, vector=classes
        )

    return corrected(spec, network, head, correction, classes=classes, learning_rate=learning_rate)
