"""How many false alarms does a detector raise? Counts them on fresh normals, for several alphas.

Run: python examples/promise.py
"""

import numpy as np

from urbild import Detector


def main() -> None:
    """Fits on half of some normal rows, and counts alarms on the other half."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 12))
    rows = rng.normal(size=(2000, 3)) @ mixing + 0.1 * rng.normal(size=(2000, 12))
    detector = Detector("pca", components=3, random_state=0).fit(rows[:1000])
    for alpha in (0.01, 0.05, 0.10):
        detector.alpha = alpha
        rate = (detector.predict(rows[1000:]) == -1).mean()
        print(f"alpha {alpha:.2f}: {rate:.3f} of the fresh normals are flagged")
    off = rows[1000:] + rng.normal(size=(1000, 12))
    print(f"alpha {detector.alpha:.2f}: {(detector.predict(off) == -1).mean():.3f} of the rows off the plane are found")


if __name__ == "__main__":
    main()
