"""The probability of codes of one map of symbols or several, each map conditioned on the one before.

    p(codes | class) = prod_k p(map_k | map_{k-1}, class)

Source: Razavi et al. 2019, https://arxiv.org/abs/1906.00446, section 3.2: the top map first, then the bottom one.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import log

import torch
from torch import Tensor, nn

from urbild.contract import Batch, Losses, Stage, known_classes
from urbild.models.autoregressive.code_priors import Finer
from urbild.models.autoregressive.code_sites import Grid, Sites
from urbild.models.autoregressive.raster import Raster, check_memory
from urbild.models.autoregressive.raster_drawing import draw, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.layers import image_size


class Chain(nn.Module):
    """The prior of all maps; codes [N, *code] are the entries of the maps one after the other, each row by row.

    Args:
        first: of the first map.
        finer: of those after it.
        sites: which symbols belong to a sample; by default all.
    """

    def __init__(self, first: Raster, finer: Sequence[Finer] = (), sites: Sites | None = None) -> None:
        super().__init__()
        self.first, self.sites = first, sites or Grid()
        self.finer = nn.ModuleList(finer)

    @property
    def rasters(self) -> list[Raster]:
        """The models of all maps."""
        return [self.first, *(finer.raster for finer in self._finer)]

    @property
    def _finer(self) -> list[Finer]:
        return list(self.finer)  # type: ignore[arg-type]

    def cut(self, codes: Tensor) -> list[Tensor]:
        """The maps [N, G, h, w] of codes [N, *code]."""
        specs = [raster.spec for raster in self.rasters]
        parts = torch.split(codes.flatten(1), [spec.size for spec in specs], dim=1)
        return [part.reshape(-1, *spec.shape) for part, spec in zip(parts, specs, strict=True)]

    def _condition(self, at: int, maps: Sequence[Tensor], given: Tensor | None, n: int) -> Condition:
        return self._finer[at - 1].condition(maps[at - 1], given) if at else self.first.condition(given, n)

    def stage(self) -> Stage:
        """A player for each map, all of whom see the codes of the same samples, as values in [0, 1]; no monitor."""
        (stage,) = self.first.stages()
        (turn,) = stage.turns
        turns = [replace(turn, loss=partial(self._loss, 0))]
        for at, finer in enumerate(self._finer, start=1):
            (own,) = finer.raster.stages()[0].turns
            name = "finer" if at == 1 else f"finer {at}"
            turns.append(replace(own, name=name, modules=(finer,), loss=partial(self._loss, at)))
        return replace(stage, turns=turns, monitor=None)

    def check_memory(self, n: int) -> None:
        """Refuses batches of n codes whose outputs would not fit in memory, before anything is computed.

        Raises:
            OptionError: those of a map need more than there is.
        """
        for raster in self.rasters:
            one = next(raster.parameters()).new_zeros(1)
            check_memory(one.expand(n, *raster.spec.shape), raster.head.groups * raster.head.outputs)

    def symbols(self, x: Tensor) -> Tensor:
        """Symbols int64 [N, *code] of codes as values in [0, 1]."""
        return self.first.head.symbols(x)

    def _loss(self, at: int, batch: Batch) -> Losses:
        """The negative log-likelihood of a map, in nats a sample."""
        if batch.step == 0:
            self.check_memory(len(batch))
        symbols, raster = self.symbols(batch.x), self.rasters[at]
        maps, counted = self.cut(symbols), self._counted(symbols)[at]
        given = batch.given if batch.given is not None else batch.y
        last = int(counted.flatten(0, 1).any(0).nonzero().max()) + 1  # no sound of the batch is longer
        maps[at] = maps[at][..., :last]
        nats = (self._sites(at, maps, given) * counted[..., :last]).flatten(1).sum(1).mean()
        symbols_each = raster.spec.channels * counted.flatten(1).sum(1).float().mean()
        return {"loss": nats, "bits_per_dim": nats.detach() / (symbols_each * log(2))}

    def _counted(self, symbols: Tensor) -> list[Tensor]:
        """Which sites [N, h, w] of each map count."""
        return [own[:, 0] for own in self.cut(self.sites.counted(symbols))]

    def _sites(self, at: int, maps: Sequence[Tensor], given: Tensor | None) -> Tensor:
        """Nats of each site [N, h, w] of a map."""
        raster = self.rasters[at]
        output = raster.network(maps[at], self._condition(at, maps, given, len(maps[at])))
        return raster.head.surprise(output, maps[at]).sum(1)

    def nats(self, symbols: Tensor, given: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Surprise of codes [N], and of the sites of each map [N, h, w]; those that do not count have none.

        Without their classes it is that of the mixture of all known classes, with the sites of the likeliest class.

        Args:
            symbols: of the codes, int64 [N, *code].
            given: their classes [N].
        """
        maps, counted, classes = self.cut(symbols), self._counted(symbols), self.first.classes

        def surprise(label: Tensor | None) -> list[Tensor]:
            return [self._sites(at, maps, label) * own for at, own in enumerate(counted)]

        if given is not None or not classes:
            sites = surprise(given)
            return _total(sites), sites
        n = len(symbols)
        each = [surprise(torch.full((n,), label, dtype=torch.long)) for label in known_classes(self.first).tolist()]
        nats = torch.stack([_total(sites) for sites in each])  # [K, N]
        likeliest, rows = nats.argmin(0), torch.arange(n, device=nats.device)
        chosen = [torch.stack(of_map)[likeliest, rows] for of_map in zip(*each, strict=True)]
        return log(len(each)) - torch.logsumexp(-nats, dim=0), chosen

    def draw(
        self,
        n: int,
        given: Tensor | None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        kept: tuple[Tensor, Sequence[Tensor]] | None = None,
    ) -> Tensor:
        """Symbols int64 [n, entries of a code], drawn map after map.

        Args:
            n: how many codes.
            given: their classes [n]; without them all known classes in turn.
            temperature: below 1 draws more probable symbols.
            generator: of the draws.
            kept: codes [n, *code], and which sites [n, h, w] of each map keep theirs.
        """
        drawn: list[Tensor] = []
        with torch.no_grad():
            for at, raster in enumerate(self.rasters):
                noise = noise_for(raster.head, n, image_size(raster.spec), generator)
                clamp = None if kept is None else (self.cut(kept[0])[at], kept[1][at])
                condition, channels = self._condition(at, drawn, given, n), raster.spec.channels
                drawn.append(
                    draw(
                        raster.network,
                        raster.head,
                        noise,
                        condition,
                        channels=channels,
                        temperature=temperature,
                        clamp=clamp,
                    )
                )
        return torch.cat([one.flatten(1) for one in drawn], dim=1)


def _total(sites: Sequence[Tensor]) -> Tensor:
    """The sum [N] over the sites of all maps [N, h, w]."""
    return torch.stack([one.flatten(1).sum(1) for one in sites]).sum(0)
