"""The detector: a system of the catalogue, trained on normal samples and calibrated, as a scikit-learn estimator."""

from collections.abc import Iterator, Mapping
from inspect import Parameter
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from typing_extensions import Self

from urbild import catalogue, runs
from urbild.artifacts import MANIFEST
from urbild.contract import Model, Scores
from urbild.data import Preparation, Reading, Records, verify
from urbild.data.pixels import Normalise
from urbild.data.waves import Level
from urbild.detection.calibration import Calibration
from urbild.detection.fitting import fit_detector, refuse_unless_scoring, resolve
from urbild.detection.heat import Reduction
from urbild.detection.inputs import UnknownOptionError, open_door
from urbild.detection.scorer import Block, Floats, HeatMap, Scorer
from urbild.detection.scoring import Scoring, collect
from urbild.errors import NotScoringError, OutputError, nearest
from urbild.training import Precision, reporter

Ints: TypeAlias = NDArray[np.int64]

EXPECTED_FAILED_CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "check_no_attributes_set_in_init": "the signature cannot list a system's options, so they are kept in one "
        "attribute more, `options`; get_params, set_params and clone treat them as parameters",
        "check_methods_subset_invariance": "scores are fp32, and a matrix product rounds differently in batches of "
        "another size: scores agree to 1e-5 of their size, not to the 1e-7 that the check wants",
    }
)
"""The checks of scikit-learn's `check_estimator` that a detector fails by construction, each with its reason."""


class Detector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn carries no types
    """Finds samples that depart from the normal ones it was fitted to, with a false-alarm rate that can be promised.

    Signs are scikit-learn's: `score_samples` and `decision_function` are larger for more normal samples, and `predict`
    gives +1 for normal and -1 for anomalous ones. A sample is anomalous exactly when its conformal p-value is at most
    `alpha`, which may be set after fitting. Like any estimator it takes arrays [N, D], DataFrames and nested lists;
    besides, tensors, images [N, H, W] or [N, H, W, C], paths, lists of paths, names of known data sets and `Records`.

    `fit` ignores an array `y`, as scikit-learn's outlier detectors do. Of files, tables and records that carry labels
    it takes the normal samples alone.

    Args:
        model: a system's name (see `urbild models`), or an untrained `contract.Model` of one's own.
        alpha: false-alarm rate, between 0 and 1.
        reduction: from heat map to score: "auto", "model", "mean", "max" or "top" (see `detection.heat`).
        size: working size of images, (H, W) or both at once; chosen from the data by default.
        normalise: "image" gives every image the same mean and contrast; "rms" or "peak" every sound the same level.
        patch: side of the windows that are trained on and that images are scored by.
        patches_per_image: windows drawn from an image in an epoch.
        window: samples of the crops of sounds that are trained on.
        rate: of sound, samples a second; the commonest of the files by default.
        overlap: share of a window that the next one covers when scoring, 0 to 0.9.
        calibration: share of the normals kept to calibrate on (20 at least, half at most).
        validation: share of the normals kept for early stopping; 0 trains to the end.
        steps: budget of training steps.
        seconds: budget of time; the steps it reached are recorded.
        epochs: passes over the data, where neither is given; by default the system's recipe.
        batch: samples a step; by default the system's recipe.
        precision: of training; scores are always fp32.
        clip: largest norm of a gradient.
        patience: checks on the validation normals without improvement before training stops; 10 by default.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that decode images.
        random_state: seed of splits, weights, order and noise: an integer, a RandomState, or None for a fresh one.
        verbose: whether to show progress.
        **options: of the system's builder (see `urbild models NAME`), part of `get_params` and `set_params`.

    Attributes:
        model_: the trained model.
        preparation_: how samples are prepared.
        calibration_: the calibration, or None for a run that was trained but not calibrated.
        reduction_: the reduction in force.
        seed_: the seed in force.
        run_: the run, with its training protocol.
        n_features_in_: number of columns of a table.
        feature_names_in_: their names.

    Example:
        >>> import numpy as np
        >>> from urbild.detection import Detector
        >>> normal = np.random.default_rng(0).normal(size=(200, 3))
        >>> detector = Detector("pca", components=1, random_state=0).fit(normal)
        >>> detector.predict([[0.0, 0.0, 0.0], [50.0, -50.0, 50.0]])
        array([ 1, -1])
    """

    model_: Model
    preparation_: Preparation
    calibration_: Calibration | None
    reduction_: Reduction | None
    overlap_: float
    seed_: int
    run_: runs.Run

    def __init__(
        self,
        model: str | Model = "autoencoder",
        *,
        alpha: float = 0.05,
        reduction: Reduction = "auto",
        size: int | tuple[int, int] | None = None,
        normalise: Normalise | Level = "none",
        patch: int | None = None,
        patches_per_image: int = 16,
        window: int | None = None,
        rate: int | None = None,
        overlap: float = 0.5,
        calibration: float = 0.2,
        validation: float = 0.1,
        steps: int | None = None,
        seconds: float | None = None,
        epochs: float | None = None,
        batch: int | None = None,
        precision: Precision = "auto",
        clip: float | None = None,
        patience: int | None = None,
        device: str = "auto",
        workers: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        self.model = model
        self.alpha = alpha
        self.reduction = reduction
        self.size = size
        self.normalise = normalise
        self.patch = patch
        self.patches_per_image = patches_per_image
        self.window = window
        self.rate = rate
        self.overlap = overlap
        self.calibration = calibration
        self.validation = validation
        self.steps = steps
        self.seconds = seconds
        self.epochs = epochs
        self.batch = batch
        self.precision = precision
        self.clip = clip
        self.patience = patience
        self.device = device
        self.workers = workers
        self.random_state = random_state
        self.verbose = verbose
        self.options = options

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The detector's parameters and the options given to its system; with `deep` also the system's defaults."""
        own: dict[str, Any] = super().get_params(deep=False)
        defaults = {name: option.default for name, option in self._known().items()} if deep else {}
        return {**own, **defaults, **self.options}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, and options of the system (of the new one, where `model` is set too).

        Raises:
            OptionError: neither the detector nor its system has one of that name; the nearest are shown.
        """
        own = self._get_param_names()
        if "model" in params:
            self.model = params["model"]
        known = [*own, *self._known(), *self.options]
        for name in params:
            if name not in known:
                msg = f"Detector with {self.model!r} has no parameter {name!r}; {nearest(name, known)}"
                raise UnknownOptionError(msg)
        for name, value in params.items():
            if name in own:
                setattr(self, name, value)
        self.options = {**self.options, **{name: value for name, value in params.items() if name not in own}}
        return self

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Self:  # noqa: ARG002 -- y is scikit-learn's
        """Trains on normal samples and calibrates on others of them.

        Args:
            X: normal samples; of labelled files, tables and records, the normal ones are taken.
            y: ignored.
            groups: [N] which samples belong together (photos of one part): no group is split, and the false-alarm rate
                is then promised for groups.

        Raises:
            UrbildError: something that a user can fix, said in one sentence.
        """
        reading = Reading(part="train", workers=self.workers)
        records = verify(open_door(self, X, groups=groups, reading=reading, fitting=True))
        return fit_detector(self, records, reporter=reporter("auto" if self.verbose else "quiet"))

    def score_samples(self, X: Any) -> Floats:
        """Raw scores [N] with their sign turned: larger is more normal."""
        return -self._scorer().scores(self._records(X))

    def decision_function(self, X: Any) -> Floats:
        """How far samples [N] are on the normal side: below 0 exactly where `predict` gives -1.

        It is `score_samples` minus `offset_`; where alpha cannot be reached it is positive, and rises with normality.
        """
        calibration = self._calibrated()
        calibration.check(self.alpha)
        return calibration.margin(self._scorer().scores(self._records(X)), self.alpha)

    def predict(self, X: Any) -> Ints:
        """+1 for normal and -1 for anomalous samples [N]: those whose p-value is at most alpha."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> Floats:
        """Conformal p-values [N]: the share of normal samples (or groups) that would look at least as strange."""
        return self._calibrated().p_value(self._scorer().scores(self._records(X)))

    def scoring(self, X: Any, *, maps: bool = False) -> Scoring:
        """Everything at once: scores (larger is stranger), p-values, verdicts, contributions, and maps if wanted."""
        check_is_fitted(self, "model_")
        records = self._records(X)
        if self.calibration_ is not None:
            self.calibration_.check(self.alpha)
        return collect(self._scorer(), records, self.calibration_, self.alpha, maps=maps)

    def blocks(self, X: Any, *, maps: bool = False) -> Iterator[Block]:
        """Raw scores (larger is stranger), maps and contributions, some samples at a time."""
        return self._scorer().blocks(self._records(X), maps=maps)

    def heatmaps(self, X: Any) -> list[HeatMap]:
        """A heat map [H, W] for each image, at the image's size; larger is stranger.

        Raises:
            NotScoringError: the system gives no maps, or the samples are no images.
        """
        maps = self.scoring(X, maps=True).maps
        if maps is None:
            msg = "there are no heat maps: the samples are no images (see `contributions`), or the system gives none."
            raise NotScoringError(msg)
        return maps

    def contributions(self, X: Any) -> Floats:
        """What each original column [N, columns] of a table adds to a sample's strangeness; one-hot entries are summed.

        Raises:
            NotScoringError: the system gives no shares, or the samples are images.
        """
        found = self.scoring(X).contributions
        if found is None:
            msg = "there are no contributions: the samples are images (see `heatmaps`), or the system gives none."
            raise NotScoringError(msg)
        return found

    @property
    def offset_(self) -> float:
        """`decision_function` is `score_samples` minus this."""
        return -self._calibrated().threshold(self.alpha)

    def recalibrate(self, X: Any, groups: Any = None) -> Self:
        """Sets the calibration from new normal samples, without retraining; also calibrates what was only trained.

        Raises:
            DataError: there are no normal samples.
        """
        check_is_fitted(self, "model_")
        records = open_door(self, X, groups=groups, reading=Reading(part="train", workers=self.workers))
        normals = records.select(records.normal_rows())
        if self.reduction_ is None:
            self.reduction_ = resolve(self, self.preparation_.source(normals, workers=self.workers, memory=0))
        self._calibrate(normals)
        return self

    def save(self, path: str | Path) -> None:
        """Saves the detector in a directory: weights, preparation, calibration and protocol. Never pickle.

        Raises:
            OutputError: the directory holds something else, or cannot be written.
        """
        check_is_fitted(self, "model_")
        place = Path(path)
        foreign = place.is_dir() and any(place.iterdir()) and place != self.run_.directory
        if foreign and not (place / MANIFEST).exists():
            msg = f"{place} is not empty and holds no saved model; give a new directory."
            raise OutputError(msg)
        calibration = None if self.calibration_ is None else self.calibration_.to_json()
        self.run_.sections = {"detector": self._settings(), "calibration": calibration}
        runs.save(place, self.run_)

    @classmethod
    def load(cls, path: str | Path, *, model: Model | None = None, device: str = "auto") -> Self:
        """Loads a detector, or a trained run, which then scores raw until `recalibrate`.

        Args:
            path: the directory.
            model: where the saved one was a model of one's own: an instance of the same class and shape.
            device: to score on.

        Raises:
            ArtifactError: files are missing, damaged, changed or from a newer release.
            NotScoringError: the system in it does not score.
        """
        return cls.from_run(runs.load(path, model=model, device=device))

    @classmethod
    def from_run(cls, run: runs.Run) -> Self:
        """A detector around a run; it is calibrated if the run was.

        Raises:
            NotScoringError: the system does not score.
        """
        refuse_unless_scoring(isinstance(run.model, Scores), run.name or type(run.model).__name__)
        kept = run.sections.get("detector") or {"params": {}}
        params: dict[str, Any] = {**kept["params"], **run.options}
        if isinstance(params.get("size"), list):
            params["size"] = tuple(params["size"])
        detector = cls(run.name or run.model, **params)
        detector._take(run)
        detector.seed_ = int(run.training.get("seed", 0))
        if kept.get("n_features_in") is not None:
            detector.n_features_in_ = kept["n_features_in"]
        if kept.get("columns") is not None:
            detector.feature_names_in_ = np.asarray(kept["columns"], dtype=object)
        detector.reduction_ = kept.get("reduction")
        detector.overlap_ = kept.get("overlap", detector.overlap)
        if run.sections.get("calibration") is not None:
            detector.calibration_ = Calibration.from_json(run.sections["calibration"])
        return detector

    def _take(self, run: runs.Run) -> None:
        """Takes over a trained run, uncalibrated as yet."""
        self.run_ = run
        self.model_ = run.model
        self.preparation_ = run.preparation
        self.overlap_ = self.overlap
        self.reduction_ = None
        self.calibration_ = None

    def _calibrate(self, normals: Records) -> None:
        """Calibrates on records that are all normal and took no part in training."""
        self.calibration_ = Calibration.fit(self._scorer().scores(normals), normals.groups)
        self.calibration_.check_size(self.alpha)

    def _choose_seed(self) -> None:
        given = self.random_state
        drawn = given is None or isinstance(given, np.random.RandomState)
        self.seed_ = int(check_random_state(given).randint(2**31 - 1)) if drawn else int(given)  # type: ignore[arg-type]

    def _known(self) -> Mapping[str, Parameter]:
        """The options of the system, where it is one of the catalogue's."""
        if isinstance(self.model, str) and self.model in catalogue.cards():
            return catalogue.parameters(self.model)
        return {}

    def _records(self, X: Any) -> Records:
        check_is_fitted(self, "model_")
        return open_door(self, X, reading=Reading(workers=self.workers))

    def _scorer(self) -> Scorer:
        check_is_fitted(self, "model_")
        return Scorer(
            model=self.model_,
            preparation=self.preparation_,
            reduction=self.reduction_ or "model",
            overlap=self.overlap_,
            workers=self.workers,
        )

    def _calibrated(self) -> Calibration:
        check_is_fitted(self, "model_")
        if self.calibration_ is None:
            msg = "this model was trained but not calibrated, so it gives raw scores only; call recalibrate(normals)."
            raise NotFittedError(msg)
        return self.calibration_

    def _settings(self) -> dict[str, Any]:
        """What is saved of the detector beside its model and calibration, as JSON data."""
        params = super().get_params(deep=False)
        del params["model"], params["device"]
        if not isinstance(self.random_state, int | None):
            params["random_state"] = self.seed_
        names = vars(self).get("feature_names_in_")
        return {
            "params": params,
            "reduction": self.reduction_,
            "overlap": self.overlap_,
            "n_features_in": vars(self).get("n_features_in_"),
            "columns": None if names is None else [str(name) for name in names],
        }
