"""Vector quantisation: continuous codes become symbols, as parts that are passed to a builder.

A part (`Ema(codes=256)`) is a frozen dataclass of plain fields; `build` makes its module for codes of D numbers, and
`grouped` several of them side by side. The modules stand alone: they need nothing else of a model.
"""

from urbild.nets.quantisers.base import Codebook, Quantised, Quantiser
from urbild.nets.quantisers.codebooks import Ema, Gradient
from urbild.nets.quantisers.concrete import Gumbel
from urbild.nets.quantisers.estimators import Estimator
from urbild.nets.quantisers.groups import Grouped, grouped
from urbild.nets.quantisers.search import nearest_codes

__all__ = [
    "Codebook",
    "Ema",
    "Estimator",
    "Gradient",
    "Grouped",
    "Gumbel",
    "Quantised",
    "Quantiser",
    "grouped",
    "nearest_codes",
]
