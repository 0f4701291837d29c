"""A model of one's own, with two players, as a detector: nothing but stages, turns and a verb.

Run: python examples/own_model.py
"""

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from urbild import Detector
from urbild.contract import Anomaly, Batch, DataSpec, Model, Scores, Stage, Turn


class Twins(Model, Scores):
    """Two decoders of one code, each trained in its own turn; where they disagree, a sample is strange."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.first, self.second = (
            nn.Sequential(nn.Linear(spec.size, 12), nn.Tanh(), nn.Linear(12, spec.size)) for _ in range(2)
        )

    def _turn(self, name: str, net: nn.Module) -> Turn:
        def loss(batch: Batch) -> dict[str, Tensor]:
            noisy = batch.x + 0.3 * torch.randn_like(batch.x)
            return {"loss": (net(noisy) - batch.x).square().mean()}

        return Turn(name=name, modules=[net], loss=loss)

    def stages(self) -> list[Stage]:
        """One stage, two turns."""
        return [Stage(name="twins", turns=[self._turn("first", self.first), self._turn("second", self.second)])]

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:  # noqa: ARG002
        """Their errors together, entry by entry."""
        error = (self.first(x) - x).square() + (self.second(x) - x).square()
        return Anomaly(error.mean(1), error)


def main() -> None:
    """Learns the zeros among scikit-learn's digits, and ranks all digits."""
    digits = load_digits()
    zeros, others = digits.data[digits.target == 0], digits.data[digits.target != 0]
    model = Twins(DataSpec(shape=(64,), kind="vector"))
    detector = Detector(model, steps=400, batch=32, random_state=0).fit(zeros[:120])
    scores = -detector.score_samples([*zeros[120:], *others])
    area = roc_auc_score([0] * len(zeros[120:]) + [1] * len(others), scores)
    print(f"AUROC of the other digits against zeros: {area:.3f}")


if __name__ == "__main__":
    main()
