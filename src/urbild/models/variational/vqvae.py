"""VQ-VAE: an autoencoder whose codes are symbols of a learned codebook.

van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning, https://arxiv.org/abs/1711.00937

    minimise  -ln p(x | z_q) + || sg[z_e] - e ||^2 + beta || z_e - sg[e] ||^2         (equation 3)

where e is the code vector nearest to z_e and sg stops the gradient, which passes from z_q to z_e by an estimator. The
codebook and its terms are the quantiser's: moving averages (appendix A.1), a loss, or the relaxed choice of a discrete
VAE (Ramesh et al. 2021, https://arxiv.org/abs/2102.12092), which has a KL to the uniform prior instead.

The first term is a mean over the entries of x: without a `likelihood` the squared error over the variance of the
training data, which a solver takes, else the nats of p(x | z_q). The quantiser's terms are means over the entries of
z_e, and a KL is shared by the entries of x, so that with a weight of 1 the loss is a bound on the nats an entry.

The score is the same first term, plus the distance of z_e to its code vectors (for a relaxed choice, its surprise): no
draw enters it. The map is the squared error of the reconstruction at each site.

Without a prior over its symbols the model does not sample.

Departures from the paper: networks of the authors' later example, whose residual blocks are narrow (a quarter of the
hidden channels); any H x W; the learning rate falls to 0 over the last tenth of the updates.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from urbild.contract import (
    Anomaly,
    Batch,
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
from urbild.nets import stock, strided
from urbild.nets.layers import image_size
from urbild.nets.observation_heads import Head
from urbild.nets.observations import Observation
from urbild.nets.quantisers import Ema, Grouped, Quantiser, grouped
from urbild.ops.distances import mean_squared_error, site_error
from urbild.ops.precision import full
from urbild.ops.schedules import settling

CENTRE = 0.5  # of pixels: networks see them in [-1/2, 1/2]


def data_variance(source: Source) -> float:
    """Variance of all entries of all samples around their one mean, in a single pass."""
    count, mean, squares = 0.0, 0.0, 0.0
    for batch in source.batches():
        x = batch.x.double()
        own, more = float(x.mean()), float(x.numel())
        squares += float((x - own).square().sum()) + (own - mean) ** 2 * count * more / (count + more)
        mean += (own - mean) * more / (count + more)
        count += more
    return squares / count


class SquaredError(nn.Module):
    """Reads a decoder's output as the image in [-1/2, 1/2], where no likelihood is wanted."""

    variance: Tensor  # of the training data

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.ones(()))

    def mean(self, output: Tensor) -> Tensor:
        """[N, C, H, W] in [0, 1]."""
        return (full(output) + CENTRE).clamp(0, 1)

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        """Mean squared error over the variance of the data: [N]."""
        return mean_squared_error(x, full(output) + CENTRE) / self.variance

    def solve(self, source: Source) -> None:
        """Takes the variance of the data."""
        self.variance.fill_(max(data_variance(source), 1e-6))


class Nats(nn.Module):
    """Reads a decoder's output by a likelihood."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def mean(self, output: Tensor) -> Tensor:
        """[N, C, H, W] in [0, 1]."""
        return self.head.mean(output)

    def distortion(self, x: Tensor, output: Tensor) -> Tensor:
        """Negative log-likelihood, in nats an entry: [N]. Over ln 2 it is in bits per dimension."""
        return -self.head.log_likelihood(x, output) / x[0].numel()


def reading(spec: DataSpec, likelihood: Observation | None) -> tuple[SquaredError | Nats, int]:
    """How a decoder's output is read, and the channels that it must have."""
    if likelihood is None:
        return SquaredError(), spec.channels
    return Nats(likelihood.head(spec)), likelihood.outputs(spec)


class Vqvae(Model, Discrete, Reconstructs, Scores):
    """An autoencoder with a codebook between encoder and decoder.

    Args:
        spec: of the data.
        encoder: maps images [N, C, H, W] in [-1/2, 1/2] to codes [N, D, h, w].
        quantiser: of G codebooks of K code vectors.
        decoder: maps codes to what `reader` reads.
        reader: squared error or likelihood.
        code_spec: of the symbols of one image.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        spec: DataSpec,
        encoder: nn.Module,
        quantiser: Grouped,
        decoder: nn.Module,
        reader: SquaredError | Nats,
        *,
        code_spec: DataSpec,
        learning_rate: float = 3e-4,
    ) -> None:
        super().__init__()
        self.spec, self.code_spec = spec, code_spec
        self.encoder, self.quantiser, self.decoder, self.reader = encoder, quantiser, decoder, reader
        self.learning_rate = learning_rate

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="codes",
            modules=(self.encoder, self.quantiser, self.decoder, self.reader),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=settling,
        )
        solve = self.reader.solve if isinstance(self.reader, SquaredError) else None
        return (Stage(name="vqvae", turns=(turn,), solve=solve),)

    def features(self, x: Tensor) -> Tensor:
        """Codes before quantisation, z_e [N, D, h, w]."""
        return full(self.encoder(x - CENTRE))

    def loss(self, batch: Batch) -> Losses:
        """Equation 3: means over the batch and over entries, as the module says."""
        said = self.quantiser(self.features(batch.x), batch.progress)
        distortion = self.reader.distortion(batch.x, self.decoder(said.z_q)).mean()
        loss = distortion + said.loss + said.rate / self.spec.size
        return {"loss": loss, "distortion": distortion.detach(), **said.logs}

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.quantiser.indices(self.features(x))  # int64 [N, G, h, w]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.reader.mean(self.decoder(self.quantiser.lookup(z)))  # [N, C, H, W]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        z = self.features(x)
        indices = self.quantiser.indices(z)
        output = self.decoder(self.quantiser.lookup(indices))
        distance = self.quantiser.distance(z, indices).flatten(1).mean(1)
        return Anomaly(self.reader.distortion(x, output) + distance, site_error(x, self.reader.mean(output)))


def vqvae(
    spec: DataSpec,
    *,
    quantiser: Quantiser | None = None,
    hidden: int = 128,
    residual: int = 2,
    code_size: int = 64,
    groups: int = 1,
    down: int = 2,
    likelihood: Observation | None = None,
    learning_rate: float = 3e-4,
) -> Model:
    """Builds a VQ-VAE for images.

    Args:
        spec: of the data.
        quantiser: by default Ema(), 512 codes that follow moving averages.
        hidden: channels of the networks; residual blocks have a quarter of them inside.
        residual: number of residual blocks in encoder and decoder.
        code_size: D, numbers in a code, shared by the codebooks.
        groups: G, codebooks (and symbols) for each position.
        down: how often the sides are halved: an image of 32 x 32 has 8 x 8 positions at 2.
        likelihood: p(x | z); by default the squared error over the variance of the data.
        learning_rate: of Adam.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    stock.check_sizes(hidden=hidden, residual=residual, code_size=code_size, down=down, learning_rate=learning_rate)
    part = quantiser or Ema()
    books = grouped(part, code_size, groups)
    reader, outputs = reading(spec, likelihood)
    image = image_size(spec)
    encoder = nn.Sequential(
        strided.down_path(spec.channels, image, down, hidden=hidden, residual=residual), nn.Conv2d(hidden, code_size, 1)
    )
    decoder = strided.up_path(code_size, outputs, image, down, hidden=hidden, residual=residual)
    code_spec = DataSpec(shape=(groups, *strided.sizes_down(image, down)[-1]), kind="image", levels=part.codes)
    return Vqvae(spec, encoder, books, decoder, reader, code_spec=code_spec, learning_rate=learning_rate)
