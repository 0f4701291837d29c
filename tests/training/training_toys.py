"""Small models and data that exercise the loop: one player, two players, two stages, batch statistics, noise."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from urbild.contract import Batch, DataSpec, Model, Source, Stage, Turn, adam, constant


class Rows(Source):
    """A matrix as a source."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.spec = DataSpec(shape=tuple(x.shape[1:]), kind="vector" if x.dim() == 2 else "image")

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(list(rows))
        return Batch(x=self.x[index], index=index)


def rows(n: int = 96, *shape: int, seed: int = 0) -> Rows:
    return Rows(torch.randn(n, *(shape or (6,)), generator=torch.Generator().manual_seed(seed)))


class OnePlayer(Model):
    """An autoencoder, with noise and batch statistics if wanted."""

    def __init__(self, spec: DataSpec, *, noise: float = 0.0, norm: bool = False, rate=constant, average=None):
        super().__init__()
        self.spec, self.noise, self.rate, self.average = spec, noise, rate, average
        middle = [nn.BatchNorm1d(5)] if norm else []
        self.net = nn.Sequential(nn.Linear(spec.size, 5), *middle, nn.Tanh(), nn.Linear(5, spec.size))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        x = batch.x.flatten(1)
        noisy = x + self.noise * torch.randn_like(x) if self.noise else x
        return {"loss": (self.net(noisy) - x).square().mean(), "weight": self.net[0].weight.norm()}

    def stages(self) -> list[Stage]:
        turn = Turn(name="rebuild", modules=[self.net], loss=self.loss, optimiser=adam(1e-2), rate=self.rate)
        return [Stage(name="only", turns=[turn], average=self.average)]


class TwoPlayers(Model):
    """A GAN with batch statistics in both networks; the generator moves on every second batch."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, spec.size))
        self.critic = nn.Sequential(nn.Linear(spec.size, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def fake(self, batch: Batch) -> Tensor:
        return self.generator(torch.randn(len(batch), 3))

    def criticise(self, batch: Batch) -> dict[str, Tensor]:
        real, fake = self.critic(batch.x), self.critic(self.fake(batch).detach())
        return {"loss": softplus(-real).mean() + softplus(fake).mean()}

    def forge(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": softplus(-self.critic(self.fake(batch))).mean()}

    def stages(self) -> list[Stage]:
        critic = Turn(name="critic", modules=[self.critic], loss=self.criticise, repeat=2)
        generator = Turn(name="generator", modules=[self.generator], loss=self.forge, every=2)
        return [Stage(name="game", turns=[critic, generator], average=0.9)]


class TwoStages(Model):
    """A solver, an encoder and decoder, then a head over the frozen encoder beside a decoder that goes on."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.empty(0))
        self.encoder = nn.Sequential(nn.Linear(spec.size, 4), nn.BatchNorm1d(4))
        self.decoder = nn.Linear(4, spec.size)
        self.head = nn.Linear(4, 1)

    def centre(self, source: Source) -> None:
        self.mean = torch.cat([batch.x for batch in source.batches(32)]).mean(0) + 0.1 * torch.randn(self.spec.size)

    def rebuild(self, batch: Batch) -> dict[str, Tensor]:
        x = batch.x - self.mean
        return {"loss": (self.decoder(self.encoder(x)) - x).square().mean()}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        target = (batch.x[:, :1] > 0).float()
        return {"loss": (self.head(self.encoder(batch.x - self.mean)) - target).square().mean()}

    def stages(self) -> list[Stage]:
        both = [self.encoder, self.decoder]
        again = Turn(name="again", modules=[self.decoder], loss=self.rebuild, continues="codes/rebuild")
        head = Turn(name="head", modules=[self.head], loss=self.predict)
        return [
            Stage(name="codes", solve=self.centre, turns=[Turn(name="rebuild", modules=both, loss=self.rebuild)]),
            Stage(name="head", turns=[head, again], batch=16),
        ]


class Growing(Model):
    """A trunk that two stages train, each with a head of its own; the second goes on where the first ended."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk, self.old, self.new = nn.Linear(spec.size, 4), nn.Linear(4, spec.size), nn.Linear(4, spec.size)

    def stages(self) -> list[Stage]:
        def loss(head: nn.Module) -> Callable[[Batch], dict[str, Tensor]]:
            return lambda batch: {"loss": (head(self.trunk(batch.x)) - batch.x).square().mean()}

        small = Turn(name="rebuild", modules=[self.trunk, self.old], loss=loss(self.old))
        large = Turn(name="rebuild", modules=[self.trunk, self.new], loss=loss(self.new), continues="small/rebuild")
        return [Stage(name="small", turns=[small], average=0.8), Stage(name="large", turns=[large], average=0.8)]
