"""Several codebooks for each position, each for its share of the channels."""

import torch
from torch import Tensor, nn

from urbild.errors import OptionError
from urbild.nets.quantisers.base import Codebook, Quantised, Quantiser


class Grouped(nn.Module):
    """G codebooks side by side; symbols are [N, G, *sites], also where G is 1.

    Args:
        books: each for D / G channels, in order.
    """

    def __init__(self, books: list[Codebook]) -> None:
        super().__init__()
        self.books = nn.ModuleList(books)

    def _pairs(self, z: Tensor) -> list[tuple[Codebook, Tensor]]:
        return list(zip(self.books, z.chunk(len(self.books), dim=1), strict=True))  # type: ignore[arg-type]

    def forward(self, z: Tensor, progress: float = 0.0) -> Quantised:
        """Quantises z [N, D, *sites]; losses and logs are means over the codebooks, the rate their sum."""
        found = [book(part, progress) for book, part in self._pairs(z)]
        logs = {name: torch.stack([one.logs[name] for one in found]).mean() for name in found[0].logs}
        loss, rate = torch.stack([one.loss for one in found]).mean(), torch.stack([one.rate for one in found]).sum()
        z_q = torch.cat([one.z_q for one in found], 1) if len(found) > 1 else found[0].z_q
        return Quantised(z_q, torch.stack([one.indices for one in found], 1), loss, rate, logs)

    def indices(self, z: Tensor) -> Tensor:
        """Symbols int64 [N, G, *sites] of z [N, D, *sites]; draws nothing."""
        return torch.stack([book.indices(part) for book, part in self._pairs(z)], 1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Code vectors [N, D, *sites] of symbols [N, G, *sites]."""
        found = [book.lookup(one) for book, one in zip(self.books, indices.unbind(1), strict=True)]  # type: ignore[operator]
        return torch.cat(found, 1) if len(found) > 1 else found[0]

    def distance(self, z: Tensor, indices: Tensor) -> Tensor:
        """How ill the symbols [N, G, *sites] fit z [N, D, *sites]: [N, *sites], the mean over the codebooks."""
        pairs = zip(self._pairs(z), indices.unbind(1), strict=True)
        return torch.stack([book.distance(part, one) for (book, part), one in pairs]).mean(0)


def grouped(quantiser: Quantiser, size: int, groups: int = 1) -> Grouped:
    """G codebooks of a quantiser for codes of `size` numbers.

    Raises:
        OptionError: the numbers do not divide into so many groups.
    """
    if groups < 1 or size % groups:
        msg = f"{size} numbers in a code do not divide into {groups} groups; choose a size that is a multiple of them."
        raise OptionError(msg)
    return Grouped([quantiser.build(size // groups) for _ in range(groups)])
