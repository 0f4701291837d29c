"""Spoken digits as symbols: what is kept of a recording, and what of it changes with the speaker."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild import runs
from urbild.contract import Classifies
from urbild.data import Reading, Records, as_records
from urbild.models.autoregressive.code_priors import GatedPrior
from urbild.models.autoregressive.latent_prior import LatentPrior
from urbild.models.variational.vqvae_audio import VqvaeAudio
from urbild.nets.voice import Dilated
from urbild.ops.sound import log_mel_error

ROWS = 50  # sounds that are decoded side by side
EACH = 20  # sounds that the prior draws of each digit
JUDGED = ("digit", "speaker")
NAMES = ("fsdd", "fsdd/speakers")
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "codes": {
            "width": 32,
            "learning_rate": 3e-3,
            "window": 2000,
            "batch": 8,
            "clip": 1.0,
            "steps": 8000,
        },
        "decoder": {"dilations": 8, "temperature": 0.8},
        "prior": {"steps": 2500, "batch": 16, "clip": 1.0},
        "gated": {"layers": 8, "width": 32, "kernel": 9, "learning_rate": 2e-3},
        "judge": {"epochs": 5, "batch": 32},
    },
    "full": {
        "codes": {
            "window": 4000,
            "batch": 32,
            "clip": 1.0,
            "steps": 20_000,
        },
        "decoder": {"dilations": 9, "temperature": 0.8},
        "prior": {"steps": 10_000, "batch": 32, "clip": 1.0},
        "gated": {"layers": 12, "width": 64, "kernel": 9},
        "judge": {"epochs": 20, "batch": 32},
    },
}

Labels = NDArray[np.int64]


def versions(run: runs.Run, test: Records, given: Labels) -> tuple[Tensor, Tensor, Tensor]:
    """Sounds [N, T, 1], where they sound [N, T], and the same symbols said by the speakers `given` [N]."""
    model = run.model
    assert isinstance(model, VqvaeAudio)
    device = next(model.parameters()).device
    x, masks, made = [], [], []
    with torch.no_grad():
        for batch in run.preparation.source(test).batches(ROWS):
            begun = sum(len(part) for part in x)
            speakers = torch.from_numpy(given[begun : begun + len(batch)]).to(device)
            assert batch.mask is not None
            made.append(model.reconstruct(batch.x.to(device), given=speakers).cpu())
            x.append(batch.x)
            masks.append(batch.mask)
    return torch.cat(x), torch.cat(masks), torch.cat(made)


def mel_error(x: Tensor, mask: Tensor, made: Tensor) -> float:
    """Mean over sounds of the log-mel error over their own length, in nats."""
    lengths = mask.sum(1).tolist()
    pairs = zip(x[..., 0], made[..., 0], lengths, strict=True)
    return float(np.mean([float(log_mel_error(one[None, :n], other[None, :n])) for one, other, n in pairs]))


def told(judge: runs.Run, sounds: Tensor) -> Labels:
    """Classes [N] that a judge hears in sounds [N, T, 1]; it judges any length."""
    model = judge.model
    assert isinstance(model, Classifies)
    device = next(model.parameters()).device
    with torch.no_grad():
        return torch.cat([model.classify(part.to(device)).argmax(1).cpu() for part in sounds.split(ROWS)]).numpy()


def prior_samples(codes: runs.Run, train: Records, settings: dict[str, Any], seed: int) -> tuple[Tensor, Labels]:
    """New sounds [N, T, 1] from a prior by digit over the codes of a run, and the digits that were wanted [N]."""
    options = {**settings["prior"], "prior": GatedPrior(**settings["gated"]), "conditional": True, "seed": seed}
    with TemporaryDirectory() as home:
        runs.save(Path(home), codes)
        model = runs.train_run("latent_prior", train, {**options, "codes": home}).model
    assert isinstance(model, LatentPrior)
    wanted = torch.arange(EACH * len(train.classes)) % len(train.classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        drawn = [model.sample(len(part), given=part, generator=generator).cpu() for part in wanted.split(ROWS)]
    return torch.cat(drawn), wanted.numpy()


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Errors of the reconstructions, and what two judges hear in real, reconstructed and speaker-changed sounds."""
    data_root()
    train, test = (
        {kind: as_records(name, reading=Reading(part=part)) for kind, name in zip(JUDGED, NAMES, strict=True)}
        for part in ("train", "test")
    )
    settings = SETTINGS[budget]
    options = {**settings["codes"], "decoder": Dilated(**settings["decoder"]), "conditional": True, "seed": seed}
    found = runs.train_run("vqvae_audio", train["speaker"], options)
    truth = {kind: np.asarray(test[kind].labels) for kind in JUDGED}
    speakers = len(test["speaker"].classes)
    # Each test file gets each of the other speakers as often: the shift goes round over the takes.
    shift = 1 + np.arange(len(truth["speaker"])) % (speakers - 1)
    wanted = (truth["speaker"] + shift) % speakers
    x, mask, rebuilt = versions(found, test["speaker"], truth["speaker"])
    _, _, changed = versions(found, test["speaker"], wanted)
    yield Line(
        "vqvae_audio", "test", "log-mel L1", mel_error(x, mask, rebuilt), "nats; white noise at 20 dB gives .709"
    )
    if seed == 0:
        yield Line("silence", "test", "log-mel L1", mel_error(x, mask, torch.zeros_like(x)), "nats")
    sounds = {"real": x, "reconstructed": rebuilt, "speaker changed": changed}
    drawn, digits = prior_samples(found, train["digit"], settings, seed)
    for kind in JUDGED:
        judge = runs.train_run("classifier", train[kind], {**settings["judge"], "seed": seed})
        for name, those in sounds.items():
            heard = told(judge, those)
            if name == "speaker changed" and kind == "speaker":
                yield Line(name, "test", "target speaker", float((heard == wanted).mean()), "chance 1/6")
                yield Line(name, "test", "source speaker", float((heard == truth[kind]).mean()))
            else:
                yield Line(name, "test", f"{kind} accuracy", float((heard == truth[kind]).mean()))
        if kind == "digit":
            share = float((told(judge, drawn) == digits).mean())
            yield Line("prior samples", "test", "digit accuracy", share, f"{EACH} of each digit; chance 1/10")


CLAIM = Claim(
    name="vqvae_fsdd",
    title="Spoken digits as symbols, and in another voice",
    protocol=(
        "Free Spoken Digit Dataset, 8 kHz, official split: takes 5 to 49 of each digit and speaker train (2,700 "
        "files), takes 0 to 4 test (300 files). One of 128 symbols for each 64 samples of log-mels, 875 bits a second; "
        "a WaveNet told the speaker says them, at temperature .8, its choices made by fixed numbers. Log-mel L1 over "
        "each file's own length: 40 mels of magnitudes, 25 ms every 10 ms. Two classifiers, of digits and of speakers, "
        "were trained on real training files alone; their accuracy on real test files stands beside. Speaker changed: "
        "the symbols of each test file said by another of the six speakers, each as often; both the share that is "
        "heard as that speaker and the share whose digit is still heard count, for a copy and a constant word each "
        "reach one of them. Prior samples: new sounds by a gated PixelCNN over the symbols of the training files, told "
        "the digit; the speaker is the most frequent one. Fixed budget, last weights."
    ),
    run=run,
    targets=(
        Target("vqvae_audio", "test", "log-mel L1", 0.709, "aim", most=True),
        Target("reconstructed", "test", "digit accuracy", 0.90, "aim"),
        Target("prior samples", "test", "digit accuracy", 0.10, "gate"),
    ),
    budgets=SETTINGS,
)
