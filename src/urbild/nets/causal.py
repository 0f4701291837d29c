"""A stack of dilated causal convolutions with gates, and the same stack one column at a time.

It may be conditioned on a class of the whole, and on what is known of each part: on numbers that come at a lower rate
and hold for `hop` symbols each. Both are added inside the gates; what is added is computed at its own rate.

Layouts are [N, T, channels], so that every product is one matrix product over all rows and times.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.ops.precision import full


class Layer(nn.Module):
    """A gated causal convolution of two taps.

    Args:
        dilation: samples between its taps.
        residual: R, channels in and out.
        skip: S, channels that it adds to the skip sum.
        classes: of what the stack is conditioned on; 0 for nothing.
        local: C, numbers that the stack is conditioned on at each site; 0 for none.
        last: whether no layer follows, so that nothing needs its residual output.
    """

    def __init__(self, dilation: int, residual: int, skip: int, classes: int, local: int = 0, *, last: bool) -> None:
        super().__init__()
        self.dilation, self.residual = dilation, 0 if last else residual
        self.taps = nn.Linear(2 * residual, 2 * residual)  # [past, now] to [filter, gate]
        self.out = nn.Linear(residual, self.residual + skip)  # to [residual, skip]
        self.given = nn.Embedding(classes, 2 * residual) if classes else None
        if self.given is not None:
            nn.init.zeros_(self.given.weight)
        self.local = nn.Linear(local, 2 * residual, bias=False) if local else None
        if self.local is not None:  # as loud as the past, which else is all that is heeded
            nn.init.normal_(self.local.weight, std=local**-0.5)

    def forward(self, h: Tensor, given: Tensor | None, local: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next layer's input [N, T, R] and the skip output [N, T, S] of h.

        Args:
            h: [N, T, R].
            given: [N] classes.
            local: [N, T', C], of which each holds for T / T' steps.
        """
        past, now = self.taps.weight.chunk(2, dim=1)
        mixed = functional.linear(h, now, self.taps.bias)  # [N, T, 2 R]
        if h.shape[1] > self.dilation:  # before the start all is zero
            late = functional.linear(h[:, : -self.dilation], past)
            mixed = mixed + functional.pad(late, (0, 0, self.dilation, 0))
        if self.given is not None:
            assert given is not None
            mixed = mixed + self.given(given)[:, None]
        if self.local is not None:
            assert local is not None
            added = self.local(local)[:, :, None]  # [N, T', 1, 2 R]
            mixed = (mixed.view(*local.shape[:2], -1, mixed.shape[2]) + added).flatten(1, 2)
        filtered, gate = mixed.chunk(2, dim=2)
        out = self.out(torch.tanh(filtered) * torch.sigmoid(gate))
        if not self.residual:
            return h, out
        return h + out[..., : self.residual], out[..., self.residual :]


class CausalStack(nn.Module):
    """Symbols before t to the logits of symbol t.

    The logits at t see the `field` symbols before t; before the start there is nothing (zeros).

    Args:
        dilations: of the layers, in order.
        residual: R, channels between the layers.
        skip: S, channels of the sum over the layers.
        levels: K, how many symbols there are.
        classes: of what the stack is conditioned on; 0 for nothing.
        local: C, numbers that it is conditioned on at each site; 0 for none.
        hop: symbols of a site.
    """

    def __init__(
        self,
        dilations: Sequence[int],
        residual: int,
        skip: int,
        levels: int,
        classes: int = 0,
        *,
        local: int = 0,
        hop: int = 1,
    ) -> None:
        super().__init__()
        self.field, self.hop = 2 + sum(dilations), hop
        self.residual, self.skip, self.levels = residual, skip, levels
        # A convolution of two taps over one-hot symbols is a sum of two rows of tables.
        self.newest, self.before = nn.Embedding(levels, residual), nn.Embedding(levels, residual)
        self.layers = nn.ModuleList(
            Layer(dilation, residual, skip, classes, local, last=at == len(dilations) - 1)
            for at, dilation in enumerate(dilations)
        )
        self.hidden, self.head = nn.Linear(skip, skip), nn.Linear(skip, levels)
        for table in (self.newest, self.before):
            nn.init.normal_(table.weight, std=0.5)
        # An untrained stack knows nothing: every symbol has the same probability.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, symbols: Tensor, given: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """Logits [N, T, K] of each symbol given those before it.

        Args:
            symbols: int64 [N, T].
            given: [N] classes.
            local: [N, T', C], of which the first `hop` symbols see the first; T' hop is T, or a little more.
        """
        length = symbols.shape[1]
        if local is not None:  # the sites are whole: what is appended comes after all that is asked for
            symbols = functional.pad(symbols, (0, local.shape[1] * self.hop - length))
        return self.logits(self.enter(self.newest(symbols), self.before(symbols)), given, local)[:, :length]

    def cached(self, rows: int, given: Tensor | None = None, local: Tensor | None = None) -> "Cached":
        """The stack one column at a time."""
        return Cached(self, rows, given, local)

    @staticmethod
    def enter(newest: Tensor, before: Tensor) -> Tensor:
        """The first layer's input [N, T, R] from the tables' rows of each symbol: shifted by one and by two."""
        length = newest.shape[1]
        return (functional.pad(newest, (0, 0, 1, 0)) + functional.pad(before, (0, 0, 2, 0))[:, :-1])[:, :length]

    def logits(self, h: Tensor, given: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """Logits [N, T, K] of the first layer's input [N, T, R]; with `local` [N, T', C], T is T' hop."""
        total: Tensor | None = None
        for layer in self.layers:
            h, skip = layer(h, given, local)
            total = skip if total is None else total + skip
        assert total is not None
        return full(self.head(functional.relu(self.hidden(functional.relu(total)))))


class _Queue:
    """A layer's part of the cached stack.

    The tap into the past needs what was seen `dilation` steps ago, so its products for the next `dilation` steps are
    known, and are made at once: one large matrix product for many steps instead of a small one for each.
    """

    def __init__(
        self, layer: Layer, shift: Tensor, rows: int, *, given: Tensor | None, local: Tensor | None, hop: int
    ) -> None:
        past, now = layer.taps.weight.detach().chunk(2, dim=1)  # [2 R, R]
        residual = now.shape[1]
        # sigmoid(g) = (1 + tanh(g / 2)) / 2: one tanh does for both halves.
        halved = torch.cat([torch.ones_like(now[:residual, 0]), torch.full_like(now[residual:, 0], 0.5)])
        constant = layer.taps.bias.detach() + now @ shift
        if layer.given is not None:
            assert given is not None
            constant = constant + layer.given(given).detach()
        sites = constant.expand(rows, -1)[None]  # [T', N, 2 R]
        if layer.local is not None:
            assert local is not None
            sites = sites + layer.local(local).detach().transpose(0, 1)
        self.now = (now * halved[:, None]).T.contiguous()  # [R, 2 R]
        self._past = (past * halved[:, None]).T.contiguous()
        self._constants = ((sites + past @ shift) * halved).contiguous()
        self._hop, self.dilation = hop, layer.dilation
        self._steps = torch.arange(layer.dilation, device=constant.device)
        self._seen = constant.new_empty(layer.dilation, rows, residual)
        self._known = (sites * halved)[self._sites(0)].contiguous()
        self.seen, self.known = self._seen.unbind(0), self._known.unbind(0)
        self._flat, self._products, self._one = self._seen.flatten(0, 1), self._known.flatten(0, 1), layer.dilation == 1
        out = layer.out.weight.detach() / 2
        wide = out if layer.residual else torch.cat([torch.zeros_like(out[:1]).expand(residual, -1), out])
        self.out = wide.T.contiguous()  # [R, R + S]

    def _sites(self, step: int) -> Tensor:
        """Where the `dilation` steps from `step` on are; after the end nothing new comes."""
        return ((self._steps + step) // self._hop).clamp_(max=len(self._constants) - 1)

    def turn(self, step: int) -> None:
        """All that was known is used up: makes the past's products for the `dilation` steps from `step` on."""
        if self._one:
            site = min(step // self._hop, len(self._constants) - 1)
            torch.addmm(self._constants[site], self._flat, self._past, out=self._products)
            return
        torch.mm(self._flat, self._past, out=self._products)
        self._known.add_(self._constants if len(self._constants) == 1 else self._constants[self._sites(step)])


class Cached:
    """A stack that gives one column of logits a step, each activation computed once; weights are as they are now.

    The biases of the layers' outputs are carried in constants, so that a layer is two matrix products and a gate.

    Args:
        stack: whose logits are wanted.
        rows: N.
        given: [N] classes, or None.
        local: [N, T', C], or None.
    """

    def __init__(self, stack: CausalStack, rows: int, given: Tensor | None = None, local: Tensor | None = None) -> None:
        zero = stack.newest.weight.detach().new_zeros
        self._tables = [torch.cat([t.weight.detach(), zero(1, stack.residual)]) for t in (stack.newest, stack.before)]
        self._start = torch.full((rows,), stack.levels, device=zero(1).device)  # the row of zeros
        self._last = [self._start, self._start]  # the newest symbols and those before
        shift = zero(stack.residual)
        bias = zero(stack.skip)
        self._queues = []
        for layer in stack.layers:
            assert isinstance(layer, Layer)
            self._queues.append(_Queue(layer, shift, rows, given=given, local=local, hop=stack.hop))
            out = layer.out.bias.detach()
            shift, bias = (shift + out[: layer.residual] if layer.residual else shift), bias + out[layer.residual :]
        self._skip_bias = bias
        self._hidden, self._head = (stack.hidden, stack.head)
        self._sum = zero(rows, stack.residual + stack.skip)  # [h | skip], without the biases
        self._mixed = zero(rows, 2 * stack.residual)
        self._gated = zero(rows, stack.residual)
        self._halves = self._mixed.chunk(2, dim=1)
        self._h, self._skips = self._sum[:, : stack.residual], self._sum[:, stack.residual :]
        self._step = 0

    def logits(self) -> Tensor:
        """Logits [N, K] of the next symbol."""
        filtered, gate = self._halves
        torch.index_select(self._tables[0], 0, self._last[0], out=self._gated)
        torch.add(self._gated, self._tables[1].index_select(0, self._last[1]), out=self._h)
        self._skips.copy_(self._skip_bias)
        step, self._step = self._step, self._step + 1
        for queue in self._queues:
            at = step % queue.dilation
            torch.addmm(queue.known[at], self._h, queue.now, out=self._mixed)
            queue.seen[at].copy_(self._h)
            if at == queue.dilation - 1:
                queue.turn(step + 1)
            self._mixed.tanh_()
            torch.addcmul(filtered, filtered, gate, out=self._gated)
            self._sum.addmm_(self._gated, queue.out)
        return full(self._head(functional.relu(self._hidden(functional.relu(self._skips)))))

    def push(self, symbols: Tensor) -> None:
        """Tells which symbols [N] came."""
        self._last = [symbols, self._last[0]]


class Naive:
    """What `Cached` gives, by one forward pass over the receptive field a step: what it is tested against."""

    def __init__(self, stack: CausalStack, rows: int, given: Tensor | None = None, local: Tensor | None = None) -> None:
        self._stack, self._given, self._local = stack, given, local
        self._symbols = torch.zeros(rows, 1, dtype=torch.long, device=stack.newest.weight.device)

    def logits(self) -> Tensor:
        """Logits [N, K] of the next symbol."""
        if self._local is None:
            logits: Tensor = self._stack(self._symbols[:, -self._stack.field - 1 :], self._given)
            return logits[:, -1]
        # A window would have to begin with a site; so the pass is over all that came.
        sites = -(-self._symbols.shape[1] // self._stack.hop)
        logits = self._stack(self._symbols, self._given, self._local[:, :sites])
        return logits[:, -1]

    def push(self, symbols: Tensor) -> None:
        """Tells which symbols [N] came."""
        # The last entry stands for the symbol that is next, which no logit sees.
        self._symbols = torch.cat([self._symbols[:, :-1], symbols[:, None], self._symbols[:, -1:]], dim=1)
