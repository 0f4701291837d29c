"""Drawing the sites of an image in raster order, each once the earlier ones are drawn.

What a network has computed is kept: sampling then costs about one pass over the image instead of one for every site
(Ramachandran et al. 2017, Fast generation for convolutional autoregressive models, https://arxiv.org/abs/1704.06001).
`draw_plainly` is the slow way; both draw the same symbols from the same noise.
"""

from typing import TypeAlias

import torch
from torch import Tensor

from urbild.models.autoregressive.raster_network import Cache, Condition, RasterNetwork, Wave
from urbild.nets.symbols import SymbolHead
from urbild.nets.threads import one_thread

Clamp: TypeAlias = tuple[Tensor, Tensor]
"""Symbols [N, C, H, W], and which of their sites [N, H, W] are kept."""


def noise_for(head: SymbolHead, n: int, sites: tuple[int, int], generator: torch.Generator | None) -> Tensor:
    """Uniform numbers [H, W, groups, N, draws] in float64, in the order in which sites are drawn."""
    device = generator.device if generator is not None else None
    shape = (*sites, head.groups, n, head.draws)
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device)


def _settled(drawn: Tensor, clamp: Clamp | None, i: int, j: int, channels: slice) -> Tensor:
    """What was drawn [N, c], or what is kept."""
    if clamp is None:
        return drawn
    symbols, kept = clamp
    return torch.where(kept[:, i, j, None], symbols[:, channels, i, j], drawn)


def draw(
    network: RasterNetwork,
    head: SymbolHead,
    noise: Tensor,
    condition: Condition,
    *,
    channels: int,
    temperature: float = 1.0,
    clamp: Clamp | None = None,
) -> Tensor:
    """Symbols [N, C, H, W], drawn site by site from `noise` (see `noise_for`); every activation is computed once."""
    height, width, _, n, _ = noise.shape
    weights = next(network.parameters())
    noise = noise.to(weights)
    symbols = torch.zeros(n, channels, height, width, dtype=torch.long, device=weights.device)
    with torch.inference_mode():
        cache = network.cache(n, (height, width), condition)
        if isinstance(cache, Wave):
            with one_thread(where=cache.light):
                _fronts(cache, head, noise, symbols, temperature=temperature, clamp=clamp)
        else:
            _sites(cache, head, noise, symbols, temperature=temperature, clamp=clamp)
    return symbols


def _sites(
    cache: Cache, head: SymbolHead, noise: Tensor, symbols: Tensor, *, temperature: float, clamp: Clamp | None
) -> None:
    """Draws into `symbols`, a site at a time."""
    height, width, groups = noise.shape[:3]
    each = symbols.shape[1] // groups
    for i in range(height):
        cache.row(i)
        for j in range(width):
            for group in range(groups):
                own = slice(group * each, (group + 1) * each)
                drawn = head.draw(cache.output(j, group), noise[i, j, group], temperature)
                drawn = _settled(drawn, clamp, i, j, own)
                cache.put(j, group, drawn)
                symbols[:, own, i, j] = drawn


def _fronts(
    wave: Wave, head: SymbolHead, noise: Tensor, symbols: Tensor, *, temperature: float, clamp: Clamp | None
) -> None:
    """Draws into `symbols`, a front of sites at a time; inside, sites are in the order of fronts, each then a slice."""
    height, width, groups, n, _ = noise.shape
    each = symbols.shape[1] // groups
    fronts = torch.arange(height)[:, None] * wave.slope + torch.arange(width)
    order = fronts.flatten().argsort(stable=True).to(symbols.device)
    noise = noise.flatten(0, 1)[order].transpose(0, 1).flatten(1, 2)  # [groups, H * W * N, draws]
    drawn = _ordered(symbols if clamp is None else clamp[0], order)
    kept = None if clamp is None else _ordered(clamp[1][:, None], order)
    stop = 0
    for t, count in enumerate(fronts.flatten().bincount().tolist()):
        if not count:
            continue
        here = slice(stop, stop := stop + count * n)
        top = max(0, -((width - 1 - t) // wave.slope))
        rows = slice(top, top + count)
        for group in range(groups):
            place = drawn[here, group * each : (group + 1) * each]
            found = head.draw(wave.output(rows, t, group), noise[group, here], temperature)
            place.copy_(found if kept is None else torch.where(kept[here], place, found))
            wave.put(rows, t, group, place)
    symbols.flatten(2)[:, :, order] = drawn.view(-1, n, drawn.shape[1]).permute(1, 2, 0)


def _ordered(x: Tensor, order: Tensor) -> Tensor:
    """[H * W * N, C] of x [N, C, H, W], the sites in that order."""
    return x.flatten(2).permute(2, 0, 1)[order].flatten(0, 1)


def draw_plainly(
    network: RasterNetwork,
    head: SymbolHead,
    noise: Tensor,
    condition: Condition,
    *,
    channels: int,
    temperature: float = 1.0,
    clamp: Clamp | None = None,
) -> Tensor:
    """The same symbols as `draw`, by a pass over the whole image for each site and group."""
    height, width, groups, n, _ = noise.shape
    weights = next(network.parameters())
    noise = noise.to(weights)
    each = channels // groups
    symbols = torch.zeros(n, channels, height, width, dtype=torch.long, device=weights.device)
    with torch.inference_mode():
        for i in range(height):
            for j in range(width):
                for group in range(groups):
                    own = slice(group * each, (group + 1) * each)
                    output = network(symbols, condition)[:, group * head.outputs : (group + 1) * head.outputs, i, j]
                    drawn = head.draw(output, noise[i, j, group], temperature)
                    symbols[:, own, i, j] = _settled(drawn, clamp, i, j, own)
    return symbols
