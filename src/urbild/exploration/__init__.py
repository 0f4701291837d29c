"""The latent space of a model that decodes codes: walks, directions, searches, maps, and laws to draw codes from."""

from urbild.exploration.codes import code_shape, continuous, decoded, encoded
from urbild.exploration.figures import scatter
from urbild.exploration.laws import FittedDensity, Law, fitted_law, own_law, truncated_normal
from urbild.exploration.maps import Map2d, Method, map2d
from urbild.exploration.projection import ENCODED, Projection, project
from urbild.exploration.walks import Curve, attribute, between, interpolate, shift, traverse

__all__ = [
    "ENCODED",
    "Curve",
    "FittedDensity",
    "Law",
    "Map2d",
    "Method",
    "Projection",
    "attribute",
    "between",
    "code_shape",
    "continuous",
    "decoded",
    "encoded",
    "fitted_law",
    "interpolate",
    "map2d",
    "own_law",
    "project",
    "scatter",
    "shift",
    "traverse",
    "truncated_normal",
]
