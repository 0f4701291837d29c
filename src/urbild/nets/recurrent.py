"""A recurrent network that predicts each symbol from those before it, and the same network one column at a time.

It takes the place of `causal.CausalStack` and is conditioned in the same way. Layouts are [N, T, channels].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.ops.precision import full


class Recurrent(nn.Module):
    """Symbols before t to the logits of symbol t, by a gated recurrent unit.

    Args:
        width: E, of what enters it.
        units: U, of its state.
        levels: K, how many symbols there are.
        classes: of what it is conditioned on; 0 for nothing.
        local: C, numbers that it is conditioned on at each site; 0 for none.
        hop: symbols of a site.

    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078; as a decoder, Chorowski et al. 2019 and van Niekerk et al.
    """

    def __init__(self, width: int, units: int, levels: int, classes: int = 0, *, local: int = 0, hop: int = 1) -> None:
        super().__init__()
        self.units, self.levels, self.hop = units, levels, hop
        self.newest = nn.Embedding(levels, width)
        self.given = nn.Embedding(classes, width) if classes else None
        self.local = nn.Linear(local, width, bias=False) if local else None
        self.gates = nn.GRU(width, units, batch_first=True)
        self.hidden, self.head = nn.Linear(units, units), nn.Linear(units, levels)
        nn.init.normal_(self.newest.weight)
        if self.given is not None:
            nn.init.zeros_(self.given.weight)
        # Smaller ones leave the states unheard for hundreds of steps.
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.zeros_(self.hidden.bias)
        # An untrained network knows nothing: every symbol has the same probability.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, symbols: Tensor, given: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """Logits [N, T, K] of each symbol given those before it.

        Args:
            symbols: int64 [N, T].
            given: [N] classes.
            local: [N, T', C], of which the first `hop` symbols see the first; T' hop is at least T.
        """
        length = symbols.shape[1]
        entered = functional.pad(self.newest(symbols), (0, 0, 1, 0))[:, :length]
        around = self.around(given, local)
        if around is not None:
            entered = entered + around.repeat_interleave(self.hop if local is not None else length, 1)[:, :length]
        states, _ = self.gates(entered)
        return self.read(states)

    def around(self, given: Tensor | None, local: Tensor | None) -> Tensor | None:
        """What class and sites add to each input of a site, [N, T', E] or [N, 1, E]; None where nothing is given."""
        added: Tensor | None = None
        if self.local is not None:
            assert local is not None
            added = self.local(local)
        if self.given is not None:
            assert given is not None
            whole = self.given(given)[:, None]
            added = whole if added is None else added + whole
        return added

    def read(self, states: Tensor) -> Tensor:
        """Logits [..., K] of states [..., U]."""
        return full(self.head(functional.relu(self.hidden(states))))

    def cached(self, rows: int, given: Tensor | None = None, local: Tensor | None = None) -> "CachedRecurrent":
        """The network one column at a time."""
        return CachedRecurrent(self, rows, given, local)


class CachedRecurrent:
    """A recurrent network that gives one column of logits a step; weights are as they are now.

    What the symbols and the sites bring into the gates is multiplied once, for all steps.

    Args:
        network: whose logits are wanted.
        rows: N.
        given: [N] classes, or None.
        local: [N, T', C], or None.
    """

    def __init__(self, network: Recurrent, rows: int, given: Tensor | None = None, local: Tensor | None = None) -> None:
        gates = {name: parameter.detach() for name, parameter in network.gates.named_parameters()}
        into = gates["weight_ih_l0"]  # [3 U, E]
        self._recurrent, self._bias = gates["weight_hh_l0"].T.contiguous(), gates["bias_hh_l0"]
        around = network.around(given, local)
        added = into.new_zeros(1, rows, 3 * network.units)
        if around is not None:
            added = (around.detach() @ into.T).transpose(0, 1)
        self._sites = (added + gates["bias_ih_l0"]).contiguous()  # [T', N, 3 U]
        # The last row stands for the symbol before the first, which is nothing.
        self._table = functional.pad(network.newest.weight.detach() @ into.T, (0, 0, 0, 1))  # [K + 1, 3 U]
        self._last = torch.full((rows,), network.levels, device=into.device)
        self._state = into.new_zeros(rows, network.units)
        self._network, self._step = network, 0

    def logits(self) -> Tensor:
        """Logits [N, K] of the next symbol."""
        site = min(self._step // self._network.hop, len(self._sites) - 1)
        self._step += 1
        entered = self._table.index_select(0, self._last).add_(self._sites[site])
        held = torch.addmm(self._bias, self._state, self._recurrent)
        units = self._network.units
        opened = torch.sigmoid_(entered[:, : 2 * units] + held[:, : 2 * units])  # [N, 2 U] reset and update
        fresh = torch.tanh_(entered[:, 2 * units :] + opened[:, :units] * held[:, 2 * units :])
        self._state = torch.lerp(fresh, self._state, opened[:, units:])
        return self._network.read(self._state)

    def push(self, symbols: Tensor) -> None:
        """Tells which symbols [N] came."""
        self._last = symbols
