"""VQ-VAE of sound: symbols that say what is said, and a decoder that says it in a voice.

van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning, https://arxiv.org/abs/1711.00937,
section 4.3; Chorowski et al. 2019, Unsupervised speech representation learning using WaveNet autoencoders,
https://arxiv.org/abs/1901.08810

    minimise  -ln p(q_t | q_<t, z_q, s) + the quantiser's terms        in nats a sample, q_t the mu-law code of sample t

An encoder gives a vector for each `hop` samples, from log-mels or, as in the first paper, by strided convolutions of
the wave; a quantiser makes it a symbol. The decoder is autoregressive, a WaveNet or a gated recurrent unit, told the
symbols' vectors around each sample and the speaker (or another class) s of the whole. What s tells, the symbols need
not: so the same symbols under another s are the same words in another voice. The loss is the mean over sounds of the
mean over their samples; the quantiser's terms are means over the vectors of all that sounds.

Sounds end. One symbol more than the quantiser has, the last, stands for "ended": the padded part of a sound (exact
zeros; a mask in training) has it in its codes, decodes to exact zeros, and counts nowhere: not in the loss, the
codebook, the score or the map. So codes keep the length of a sound, to a hop, and a prior over them learns it.

The score is the mean nats of a sample given the symbols, plus the distance of the vectors to their codes; the map is
the bits of each sample. A conditional model that is not told the class scores by the mixture over the classes and
reconstructs with the one that explains the sound best; codes alone are decoded as the class most frequent in training.

`decode` draws nothing: it inverts the distribution of each sample at uniform numbers that are fixed, and the same for
every row. The most probable sound is no way out, it is a hum; but a decoder of temperature 0 takes it.

Without a prior over its symbols the model does not sample.

Before they are quantised the vectors are brought to mean 0 and variance 1 over the batch (Lancucki et al. 2020, Robust
training of vector quantized bottleneck models, https://arxiv.org/abs/2005.08520): a decoder that hears the past learns
late to heed the symbols, and by then commitment alone would have drawn all vectors to one.

Departures from the papers: narrow networks; vectors hold for a hop, where the papers learn to interpolate them; a class
is a learned vector; jitter is an option.
"""
# ruff: noqa: D102 -- the verbs are documented in the contract

from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import (
    Anomaly,
    AnyLength,
    Batch,
    Conditional,
    DataSpec,
    Discrete,
    Losses,
    Model,
    Reconstructs,
    Scores,
    Source,
    Stage,
    Turn,
    adam,
)
from urbild.models.variational.sound_checks import check_symbols, checked_rate
from urbild.nets import stock
from urbild.nets.companded import (
    AT_ONCE,
    CROP,
    checked_classes,
    classes_in,
    counted,
    crop,
    log_prior,
    mean_of_valid,
    mixed,
)
from urbild.nets.hearing import MelEncoder, WaveEncoder, framed, jittered, spread
from urbild.nets.labels import classes_of, labelled
from urbild.nets.quantisers import Ema, Grouped, Quantiser, grouped
from urbild.nets.voice import Dilated, Speech, Voice
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine
from urbild.ops.sound import sounding

LEVELS = 256


class VqvaeAudio(Model, Discrete, Reconstructs, Conditional, AnyLength, Scores):
    """An autoencoder of sound with a codebook between an encoder and an autoregressive decoder.

    Args:
        spec: of the data, sound (T, 1).
        encoder: maps sound [N, T' hop] to vectors [N, D, T'].
        quantiser: of one codebook of K vectors.
        decoder: says code vectors [N, D, T'] as sound.
        codes: K.
        conditional: whether the decoder is told the class.
        jitter: share of the code vectors that a neighbour replaces in training.
        learning_rate: of Adam, at its highest.
    """

    def __init__(
        self,
        spec: DataSpec,
        encoder: nn.Module,
        quantiser: Grouped,
        decoder: Voice,
        *,
        codes: int,
        conditional: bool = False,
        jitter: float = 0.0,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec, self.hop, self.codes = spec, decoder.network.hop, codes
        self.code_spec = DataSpec(shape=(1, 1, -(-spec.shape[0] // self.hop)), kind="image", levels=codes + 1)
        self.encoder, self.quantiser, self.decoder = encoder, quantiser, decoder
        self.level = nn.BatchNorm1d(decoder.context.before, affine=False)
        self.jitter, self.learning_rate = jitter, learning_rate
        self.labels = spec.classes if conditional else ()
        self.counts: Tensor
        self.register_buffer("counts", torch.zeros(len(self.labels), dtype=torch.long))  # of training samples

    @property
    def seen(self) -> Tensor:
        """Which classes its decoder was trained on: bool [classes]."""
        return self.counts > 0

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="codes",
            modules=(self.encoder, self.level, self.quantiser, self.decoder),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        return (Stage(name="vqvae", turns=(turn,), source=labelled if self.labels else None, solve=self._solve),)

    def _solve(self, source: Source) -> None:
        if self.labels:
            self.counts = counted(source, len(self.labels)).to(self.counts)
        if isinstance(self.encoder, MelEncoder):
            self.encoder.solve(source)

    def loss(self, batch: Batch) -> Losses:
        """Mean nats of a valid sample of sound, and the quantiser's terms."""
        batch = crop(batch, CROP)
        valid = sounding(batch.x[..., 0]) if batch.mask is None else batch.mask
        z, live = self._heard(batch.x, valid)
        vectors = z.movedim(1, 2)[live]  # [M, D]
        if len(vectors) > 1:  # a single one has no deviation
            vectors = self.level(vectors)
        said = self.quantiser(vectors, batch.progress)
        z_q = spread(said.z_q, live)
        if self.jitter and self.decoder.training:
            z_q = jittered(z_q, live, self.jitter)
        classes = classes_in(batch) if self.labels else None
        nats = self.decoder.nats(self.decoder.symbols(batch.x), self.decoder.told(z_q, live), classes)
        distortion = mean_of_valid(nats, valid).mean()
        loss = distortion + said.loss + said.rate / self.hop
        return {"loss": loss, "bits": distortion.detach() / log(2), **said.logs}

    def _heard(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder says [N, D, T'] of sound [N, T, 1]; and which sites [N, T'] sound."""
        wave, live = framed(x, valid, self.hop)
        return full(self.encoder(wave, live)), live

    def features(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors before quantisation, z_e [N, D, T'], of sound [N, T, 1]; and which of them [N, T'] sound."""
        z, live = self._heard(x, valid)
        mean, variance = self.level.running_mean, self.level.running_var
        return functional.batch_norm(z, mean, variance), live  # by what training saw, not by this batch

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:  # noqa: ARG002 -- codes are of no voice
        z, live = self.features(x, sounding(x[..., 0]))
        return self._with_ends(self.quantiser.indices(z), live)

    def _with_ends(self, indices: Tensor, live: Tensor) -> Tensor:
        """Symbols int64 [N, 1, 1, T'] of those [N, 1, T'] of the quantiser."""
        return torch.where(live[:, None], indices, self.codes)[:, None]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Sounds [N, T, 1] of symbols [N, 1, 1, T'], in the voice of `given` [N].

        Raises:
            ShapeError: the symbols are of another shape, or there are none such.
            OptionError: a class is unknown or was never seen in training, or the model knows no classes.
        """
        classes = self._classes(given, len(z))
        if self.labels and classes is None:
            classes = self.counts.argmax().expand(len(z))
        local, live = self._told_by(z)
        whole = z.shape[3] == self.code_spec.shape[2]
        return self.decoder.say(local, live, classes, self.spec.shape[0] if whole else self.hop * z.shape[3])

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        classes = self._classes(given, len(x))
        local, live = self._told_by(self.encode(x))
        if self.labels and classes is None:
            classes = self._recognised(x, local)
        return self.decoder.say(local, live, classes, x.shape[1])

    def _classes(self, given: Tensor | None, n: int) -> Tensor | None:
        return checked_classes(given, n, self.counts, self.labels, "vqvae_audio")

    def _told_by(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder is told by symbols [N, 1, 1, T']; and which sites [N, T'] sound: those before the end."""
        check_symbols(z, self.codes)
        live = (z[:, 0, 0] < self.codes).long().cumprod(1).bool()
        z_q = self.quantiser.lookup(z[:, :, 0].clamp(max=self.codes - 1)) * live[:, None]
        return self.decoder.told(z_q, live), live

    def _recognised(self, x: Tensor, local: Tensor) -> Tensor:
        """The class [N] that explains each sound best, by Bayes' rule."""
        last = sounding(x[..., 0]).sum(1) - 1
        found = []
        for rows in self._rows(x):
            joint = self.decoder.by_class(self.decoder.symbols(x[rows]), local[rows], log_prior(self.counts))
            found.append(joint[:, torch.arange(joint.shape[1], device=x.device), last[rows]].argmax(0))
        return torch.cat(found)

    @staticmethod
    def _rows(x: Tensor) -> list[slice]:
        """Parts of x [N, T, 1] that are decoded in one pass."""
        step = max(1, AT_ONCE // x.shape[1])
        return [slice(at, at + step) for at in range(0, len(x), step)]

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        classes, valid = self._classes(given, len(x)), sounding(x[..., 0])
        score, bits = [], []
        for rows in self._rows(x):
            z, live = self.features(x[rows], valid[rows])
            indices = self.quantiser.indices(z)
            local, _ = self._told_by(self._with_ends(indices, live))
            symbols = self.decoder.symbols(x[rows])
            if self.labels and classes is None:
                nats = mixed(self.decoder.by_class(symbols, local, log_prior(self.counts)))
            else:
                nats = self.decoder.nats(symbols, local, None if classes is None else classes[rows]).double()
            distance = mean_of_valid(self.quantiser.distance(z, indices), live)
            score.append((mean_of_valid(nats, valid[rows]) + distance).float())
            bits.append((nats * valid[rows] / log(2)).clamp(min=0).float())
        return Anomaly(torch.cat(score), torch.cat(bits))


def vqvae_audio(
    spec: DataSpec,
    *,
    quantiser: Quantiser | None = None,
    encoder: Literal["mel", "waveform"] = "mel",
    decoder: Speech | None = None,
    conditional: bool = False,
    hop: int = 64,
    width: int = 64,
    jitter: float = 0.0,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a VQ-VAE of sound.

    Args:
        spec: of the data, sound of one channel.
        quantiser: by default Ema(codes=128).
        encoder: "mel" hears log-mels, "waveform" the companded wave.
        decoder: by default Dilated(), a WaveNet; or Gru().
        conditional: whether the decoder is told the class of a sample, such as its speaker.
        hop: samples of sound for each symbol; for the waveform a power of two.
        width: channels of the networks, and numbers of a code vector.
        jitter: share of the code vectors that a neighbour replaces in training, 0 to 1.
        learning_rate: of Adam, at its highest.

    Raises:
        ShapeError: the data are no sound of one channel.
        OptionError: an option is out of range, or a class is wanted of data without classes.
    """
    stock.check_sizes(hop=hop, width=width, learning_rate=learning_rate)
    rate = checked_rate(spec, encoder, hop=hop, jitter=jitter)
    classes = classes_of(spec, conditional=conditional)
    part = quantiser or Ema(codes=128)
    hears = MelEncoder(rate, hop, width, width) if encoder == "mel" else WaveEncoder(hop, width, width, LEVELS)
    return VqvaeAudio(
        spec,
        hears,
        grouped(part, width, 1),
        (decoder or Dilated()).build(width, classes=classes, hop=hop),
        codes=part.codes,
        conditional=conditional,
        jitter=jitter,
        learning_rate=learning_rate,
    )
