"""How good generated samples are: measures in a named feature space, and copies of what was trained on."""

from urbild.evaluation.generators.measure import Generation, measure, mode_metrics
from urbild.evaluation.generators.measures import Seen, compare, inception_score, kernel_distance, neighbourhoods, see
from urbild.evaluation.generators.memory import nearest_of
from urbild.evaluation.generators.shelf import Shelf
from urbild.evaluation.generators.spaces import Features, Space, by_classifier, raw, space_of

__all__ = [
    "Features",
    "Generation",
    "Seen",
    "Shelf",
    "Space",
    "by_classifier",
    "compare",
    "inception_score",
    "kernel_distance",
    "measure",
    "mode_metrics",
    "nearest_of",
    "neighbourhoods",
    "raw",
    "see",
    "space_of",
]
