"""Drawing with gated layers: the vertical stack once a row, the horizontal one once a site and group of channels.

Gates are drawn with one hyperbolic tangent, for sigmoid(a) = (1 + tanh(a / 2)) / 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from urbild.models.autoregressive.gated_layers import Layer, gate
from urbild.models.autoregressive.raster_network import Cache, Condition, Inputs, leaving, parts_of
from urbild.nets.masked import Left, Past, Window


class GatedCache(Cache):
    """The rows of both stacks that are still seen, and the network's weights as matrices by group of channels.

    `terms` is what a gate has before it sees the row: [layers, groups, W, N, 2 F / groups], filled once a row. Matrices
    that follow a gate or a rectifier have their bias as last row, and what they multiply a last column of ones.

    Args:
        inputs: of the first layer.
        layers: of both stacks.
        head: the two 1 x 1 convolutions after them.
        groups: of channels that are drawn at once.
        n: samples.
        width: sites of a row.
        condition: what all sites are told.
    """

    def __init__(
        self,
        inputs: Inputs,
        layers: Sequence[Layer],
        head: tuple[Left, Left],
        *,
        groups: int,
        n: int,
        width: int,
        condition: Condition,
    ) -> None:
        self._inputs, self._layers = inputs, layers
        self._told = [layer.terms(condition) for layer in layers]
        like, features = head[0].weight, len(head[0].weight)
        parts = parts_of(features, groups)
        self._order = _gate_order(features, parts, like)
        self._links = [_linked(layer, *self._order) for layer in layers]
        self._past = [Past(layer.above, n, width) for layer in layers]
        self._windows = [Window(layer.left, n, width) for layer in layers]
        self._terms = like.new_zeros(len(layers), groups, width, n, 2 * features // groups)
        sums, final = like.new_zeros(n, 2 * features // groups), like.new_zeros(n, features)
        results = [*(window.site for window in self._windows[1:]), [final] * width]
        works = [
            _Work.of(layer, window, result, parts, self._order)
            for layer, window, result in zip(layers, self._windows, results, strict=True)
        ]
        self._steps = [
            [[work.step(self._terms[at, g, j], sums, g, j) for at, work in enumerate(works)] for g in range(groups)]
            for j in range(width)
        ]
        self._heads = _heads(head, final, parts)

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
        head = self._heads[group]
        torch.clamp_min(head.final, 0, out=head.rectified)
        torch.clamp_min(torch.mm(head.all_rectified, head.to_hidden), 0, out=head.hidden)
        return torch.mm(head.all_hidden, head.to_outputs)

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


class _Work(NamedTuple):
    """A layer's places and matrices for all sites and groups."""

    window: Window
    gates: Tensor  # [N, F + 1], with a last column of ones
    results: Sequence[Tensor]  # for each site
    parts: list[slice]
    matrices: list[tuple[Tensor, Tensor]]  # for each group
    first: bool

    @classmethod
    def of(
        cls,
        layer: Layer,
        window: Window,
        results: Sequence[Tensor],
        parts: list[slice],
        order: tuple[Tensor, Tensor],
    ) -> "_Work":
        matrices = []
        for group, part in enumerate(parts):
            out = 0.5 * leaving(layer.out, part)
            out[-1] *= 2  # the bias is not halved with the gate
            matrices.append((_entering(layer, group, len(parts), *order), out))
        n, features = len(results[0]), len(layer.out.weight)
        gates = layer.out.weight.new_ones(n, features + 1)
        return cls(window, gates, results, parts, matrices, first=layer.first)

    def step(self, terms: Tensor, sums: Tensor, group: int, j: int) -> _Step:
        part, half = self.parts[group], sums.shape[1] // 2
        entering, out = self.matrices[group]
        return _Step(
            terms=terms,
            seen=self.window.seen[j],
            entering=entering,
            sums=sums,
            value=sums[:, :half],
            share=sums[:, half:],
            gate=self.gates[:, part],
            gates=self.gates,
            leaving=out,
            residual=None if self.first else self.window.site[j][:, part],
            result=self.results[j][:, part],
        )


class _Head(NamedTuple):
    """The head's places and matrices for one group."""

    final: Tensor
    rectified: Tensor
    all_rectified: Tensor
    to_hidden: Tensor
    hidden: Tensor
    all_hidden: Tensor
    to_outputs: Tensor


def _heads(head: tuple[Left, Left], final: Tensor, parts: list[slice]) -> list[_Head]:
    """For each group of the F features of `final` [N, F]."""
    first, last = head
    rectified, hidden = (final.new_ones(len(final), final.shape[1] + 1) for _ in range(2))
    numbers = parts_of(len(last.weight), len(parts))
    return [
        _Head(
            final[:, part],
            rectified[:, part],
            rectified,
            leaving(first, part),
            hidden[:, part],
            hidden,
            leaving(last, own),
        )
        for part, own in zip(parts, numbers, strict=True)
    ]


def _gate_order(features: int, parts: list[slice], like: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of the gates by group, a group's values before its shares, and the factors 1 and 1/2 of those columns."""
    every = torch.arange(2 * features, device=like.device)
    order = torch.cat([torch.cat([every[at], every[features:][at]]) for at in parts])
    return order, torch.where(order < features, 1.0, 0.5).to(like)


def _entering(layer: Layer, group: int, groups: int, order: Tensor, halves: Tensor) -> Tensor:
    """The matrix [(reach + 1) * before, 2 F / groups] from a site's window to the gates of a group."""
    own = parts_of(len(order), groups)[group]
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
