"""The nearest code vectors, in blocks: memory is bounded by a block, never by the number of pairs."""

import torch
from torch import Tensor

GROUPS = 16  # of codes, whose maxima are taken side by side
CPU_BLOCK, DEVICE_BLOCK = 1 << 20, 1 << 26  # scores held at a time: on a CPU, about what a core's cache keeps
FEWEST, MOST = 128, 512  # rows of a block on a CPU: fewer starve the matrix product


@torch.no_grad()
def nearest_codes(z: Tensor, codes: Tensor) -> Tensor:
    """Rows int64 [M] of the codes [K, D] that are nearest to the vectors z [M, D].

    |z - e|^2 is smallest where z.e - |e|^2 / 2 is largest, which is one matrix product. Near-ties may fall either way,
    by rounding. Always computed in the precision of z, even under autocast, and around the mean of the codes: far from
    it, squares would swamp the differences between neighbours.
    """
    with torch.autocast(z.device.type, enabled=False):
        z, codes = z.detach(), codes.detach().to(z.dtype)
        origin = codes.mean(0)
        codes = codes - origin
        bias, columns = -codes.square().sum(1) / 2, codes.mT
        found = torch.empty(len(z), dtype=torch.long, device=z.device)
        size = _block(len(codes), z.device)
        scores = torch.empty(min(size, len(z)), len(codes), dtype=z.dtype, device=z.device)
        for start in range(0, len(z), size):
            block = z[start : start + size] - origin
            held = scores[: len(block)]
            torch.addmm(bias, block, columns, out=held)
            found[start : start + size] = _largest(held)
    return found


def _block(codes: int, device: torch.device) -> int:
    if device.type != "cpu":
        return max(1, DEVICE_BLOCK // codes)
    return max(FEWEST, min(MOST, CPU_BLOCK // codes))


def _largest(scores: Tensor) -> Tensor:
    """The column [M] of the largest of each row of scores [M, K].

    On a CPU a maximum without its place vectorises and one with its place does not: so first the maxima over strided
    groups of columns, then the place among them, then the place within the group.
    """
    codes = scores.shape[1]
    if scores.device.type != "cpu" or codes % GROUPS or codes < 2 * GROUPS:
        return scores.argmax(1)
    width = codes // GROUPS
    grid = scores.view(len(scores), GROUPS, width)
    column = grid.amax(1).argmax(1)  # [M]
    group = grid.gather(2, column[:, None, None].expand(-1, GROUPS, 1)).squeeze(2).argmax(1)
    return group * width + column
