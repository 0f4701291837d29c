"""The report's prose: what its numbers are called, and what they promise, for readers who did not train the model."""

from collections.abc import Mapping

from urbild.evaluation import Evaluation
from urbild.report.parts import Passage, count, number, percent

TOLD_APART, MEASURED = "How well normal and abnormal are told apart", "What was measured"
JUDGED, MADE_AGAIN = "Samples, judged", "Samples, made again"

METRICS: Mapping[str, tuple[str, str]] = {
    "image_auroc": ("AUROC", "How often an abnormal sample scores above a normal one; 0.5 is guessing, 1 is perfect."),
    "image_aupr": ("AUPR", "Precision averaged over recall; guessing reaches the share of abnormal samples."),
    "f1_max": (
        "Best F1",
        "The best balance of precision and recall over all thresholds. It is chosen with the labels, so no detector "
        "can promise it.",
    ),
    "fpr95": (
        "False alarms at 95 % found",
        "Normal samples flagged where 95 % of the abnormal ones are; 0 is perfect.",
    ),
    "pixel_auroc": ("Pixel AUROC", "The same as AUROC for single pixels of the heat maps against the true masks."),
    "hit_rate": ("Found at alpha", "Abnormal samples that are flagged at the alpha of this page."),
    "false_alarm_rate": (
        "False alarms at alpha",
        "Normal samples that are flagged at it; over many samples at most alpha on average.",
    ),
    "reconstruction_error": (
        "Reconstruction error",
        "Mean squared difference between normal samples, as prepared for the model, and the model's version of them.",
    ),
    "accuracy": ("Accuracy", "Labelled samples whose class the model names right; 1 is perfect."),
    "pro": ("PRO", "How well the heat maps cover each defect, small ones counting like large ones; 1 is perfect."),
}
"""Name and meaning of the metrics, by the name they are stored under."""

SAMPLES: Mapping[str, tuple[str, str]] = {
    "fid": ("FID", "How far the features of samples lie from those of real ones, as Gaussians; 0 is the same."),
    "kid": ("KID", "The same by an unbiased kernel distance; about 0 where nothing tells them apart, and often below."),
    "inception_score": ("Inception score", "Samples that the judge is sure of, and that are of many classes."),
    "precision": ("Precision", "Samples that lie among real ones (balls to the third neighbour)."),
    "recall": ("Recall", "Real ones that lie among samples (balls to the third neighbour)."),
    "density": ("Density", "How many balls of real ones a sample lies in, over five; 1 for real ones."),
    "coverage": ("Coverage", "Real ones with a sample in their ball to the fifth neighbour; .969 for real ones."),
    "sliced_wasserstein": ("Sliced Wasserstein", "The mean distance of features, sorted along random directions."),
    "patch_wasserstein": ("Patches", "The same of 7 x 7 patches at several sizes, times 1000: texture alone."),
    "wanted_class": ("Wanted class", "Samples in which the judge finds the class that was asked for."),
    "distinct": ("Distinct samples", "The share of samples that differ from all others."),
    "modes": ("Modes", "Modes with one good sample or more. Noise has most of them too."),
    "modes_held": (
        "Modes held",
        "Modes with at least 20 good samples of 2,500, or as many in proportion. Noise has none.",
    ),
    "good_samples": ("Good samples", "Within three deviations of a mode; of the data themselves 98.9 % are."),
    "kl_of_modes": ("KL of modes", "From the shares of modes to equal shares, in nats; 0 is equal."),
    "nearest_training": ("Nearest training sample", "Mean distance to it; far below that of real samples: copies."),
}
"""The same of what is measured of generated samples; the name with `REAL` behind it is what real samples score."""

SEEN: Mapping[str, str] = {
    "estimate": "What the critic thinks it gains: of the earth mover's distance, or of the game's value, which is "
    "-1.386 where it can tell nothing.",
    "real": "What the critic says of real samples: D(x), where it gives probabilities.",
    "fake": "What the critic says of made samples: D(G(z)), where it gives probabilities.",
    "told": "Pairs that the critic ranks rightly: 0.5 where it can tell nothing, 1 where it has won.",
    "gradient": "The norm of the critic's gradient, where it is penalised.",
    "diversity": "How far two samples of the same latents are apart, over how far two real ones are: 0 is collapse.",
}
"""What is logged of a game, by the last part of its name."""

REAL = "_real"


def metric(name: str, samples: object = None) -> tuple[str, str]:
    """Name and meaning of a metric; `samples` is how many were measured."""
    if name in METRICS:
        return METRICS[name]
    own = name.removesuffix(REAL)
    if own not in SAMPLES:
        return name.replace("_", " "), ""
    label, meaning = SAMPLES[own]
    label = f"{label}, n {samples:,}" if isinstance(samples, int) else label
    return (f"{label}, real samples", "What as many real samples score.") if own != name else (label, meaning)


def verdict(found: Evaluation) -> list[str]:
    """The sentences a reader in a hurry needs."""
    total = len(found.ids)
    if found.score is None:
        return [
            f"This model was evaluated on {count(total, 'sample')}. It gives no anomaly score, so nothing is flagged."
        ]
    if found.p_value is None or found.alpha is None:
        return [
            f"{count(total, 'sample')} were scored. The model is not calibrated: scores are raw, nothing is flagged, "
            "and no false-alarm rate is promised."
        ]
    flagged = found.p_value <= found.alpha
    first = f"{count(int(flagged.sum()), 'sample')} of {total:,} flagged as anomalous"
    if found.abnormal is None:
        return [
            first + ". There are no labels, so how many of the flags are right is not known; were all samples normal, "
            f"about {count(round(found.alpha * total), 'flag')} or fewer would be expected."
        ]
    bad, good = found.abnormal, ~found.abnormal
    caught, alarms = int((flagged & bad).sum()), int((flagged & good).sum())
    return [
        f"{first}: {caught:,} of {count(int(bad.sum()), 'abnormal sample')} found, {int(bad.sum()) - caught:,} missed, "
        f"and {count(alarms, 'false alarm')} among {int(good.sum()):,} normal ones."
    ]


def promise(found: Evaluation | None, *, grouped: bool = False) -> list[Passage]:
    """What p-values, alpha and pictures mean, as far as the page shows them.

    Args:
        found: the evaluation.
        grouped: whether the calibration scores are those of groups that belong together.
    """
    if found is None:
        return []
    passages = []
    if found.calibration is not None and found.alpha is not None:
        passages += _calibrated(len(found.calibration.score), found.alpha, grouped=grouped)
    elif found.score is not None:
        passages.append(Passage(title="No threshold yet", text=_RAW))
    if found.curves:
        passages.append(Passage(title="AUROC and its kin", text=_AUROC))
    if any(example.map is not None for example in found.gallery):
        passages.append(Passage(title="Heat maps", text=_HEAT))
    return passages


def _calibrated(size: int, alpha: float, *, grouped: bool) -> list[Passage]:
    what = (
        count(size, "group of normal samples", "groups of normal samples") if grouped else count(size, "normal sample")
    )
    known = f"{what}, kept away from training, were scored to learn how strange they look. "
    rate = (
        f"A sample is flagged when its p-value is at most alpha, here {number(alpha)}. Of new normal samples, at most "
        f"{percent(alpha)} are then flagged on average (one in {number(1 / alpha, 3)}), whatever the model and the "
        "data, as long as they come from where the calibration samples came from. Alpha can be changed at any time "
        f"without training again; with {count(size, 'calibration score')} the smallest one that can flag anything is "
        f"{number(1 / (size + 1), 2)}."
    )
    return [
        Passage(title="A p-value", text=known + _P_VALUE),
        Passage(title="What alpha promises", text=rate),
        Passage(title="What alpha does not promise", text=_NOT_PROMISED),
        Passage(title="When the promise ends", text=_ENDS),
        Passage(title="Raw score and display scale", text=_SCALES),
    ]


_P_VALUE = (
    "The p-value of a sample is the share of them that look at least as strange as it, the sample itself counted in. "
    "A p-value of 0.02 says that one normal sample in fifty looks like that. It is not the probability that the sample "
    "is normal."
)
_NOT_PROMISED = (
    "It does not say how many abnormal samples are found: a poor model keeps its promise about false alarms and still "
    "misses faults. It does not hold for each batch: by chance a set of normal samples has more or fewer false alarms, "
    "the more so the smaller the set and the fewer the calibration samples."
)
_ENDS = (
    "A new camera, other light, another supplier: then new normal samples no longer look like the calibration samples, "
    "and the rate can be anything. Recalibrate with a few dozen new normal samples (urbild recalibrate); no training "
    "is needed. Samples that belong together, such as photographs of one part, must be given as a group."
)
_SCALES = (
    "Verdicts and metrics use the raw score. The display scale from 0 to 1 orders samples in the same way and is set "
    "on the calibration samples alone; it is easier to read, and it is not a probability."
)
_RAW = (
    "The scores of this run are raw: larger is stranger, and that is all. To turn them into p-values and verdicts, "
    "calibrate the run on normal samples that it was not trained on (urbild recalibrate)."
)
_AUROC = (
    "These metrics are computed on raw scores, from the labels, and do not depend on the threshold. The interval says "
    "how far a number would move with another draw of as many samples; it says nothing about other data, and nothing "
    "about training again. Nothing in the model was chosen with these labels."
)
_HEAT = (
    "A heat map shows where the model finds a sample strange. It points a person to the place to look at. It is no "
    "measurement of a defect's outline, and a strange place is not always a fault: rare but harmless things look "
    "strange too."
)
