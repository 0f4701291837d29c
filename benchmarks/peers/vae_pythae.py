"""A training step of a VAE beside pythae's, with the same networks."""

import logging
import tempfile
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import interleaved, row
from urbild.contract import DataSpec
from urbild.data import Preparation, as_records
from urbild.models.variational.vae import Vae
from urbild.nets.layers import Flatten, Unflatten
from urbild.nets.observations import Gaussian
from urbild.training import Plan, fit

STEPS, BATCH, LATENT, PAIRS = 20, 128, 32, 9
SPEC = DataSpec(shape=(3, 32, 32), kind="image")


def encoder() -> nn.Sequential:
    """Two convolutions, 64 and 128 channels."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(64, 128, 4, stride=2, padding=1), nn.ReLU()
    )


def decoder(unflatten: nn.Module) -> nn.Sequential:
    """Their mirror."""
    return nn.Sequential(
        nn.Linear(LATENT, 128 * 8 * 8),
        unflatten,
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 4, stride=2, padding=1),
    )


def theirs(x: Tensor) -> Any:
    """A block of pythae's trainer."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mean, self.spread = encoder(), nn.Linear(8192, LATENT), nn.Linear(8192, LATENT)

        def forward(self, x: Tensor) -> Any:
            hidden = self.body(x).flatten(1)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.spread(hidden))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = decoder(nn.Unflatten(1, (128, 8, 8)))

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.body(z))

    config = VAEConfig(input_dim=(3, 32, 32), latent_dim=LATENT, reconstruction_loss="mse")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    settings = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1000,
        per_device_train_batch_size=BATCH,
        no_cuda=True,
        learning_rate=1e-3,
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=settings)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []
    return lambda: trainer.train_step(epoch=1)


def ours(x: Tensor, precision: Any) -> Any:
    """The same number of steps of ours."""
    records = as_records(x.movedim(1, -1).numpy())
    source = Preparation.fit(records).source(records)
    code = nn.Sequential(encoder(), Flatten(), nn.Linear(8192, 2 * LATENT))
    model = Vae(SPEC, code, decoder(Unflatten((128, 8, 8))), Gaussian().head(SPEC), latent=LATENT)
    plan = Plan(steps=STEPS, batch=BATCH, precision=precision, device="cpu")
    return lambda: fit(model, source, plan)


def run() -> dict[str, Any]:
    """Our default precision, and fp32."""
    x = torch.rand(STEPS * BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = []
    for what, precision, least in (("as each is by default (ours: bf16)", "auto", 1.5), ("both fp32", "32", 1.0)):
        times = interleaved(ours(x, precision), theirs(x), pairs=PAIRS)
        rows.append(row(what, STEPS * BATCH, "images/s", times, least=least))
    return {
        "title": "VAE training beside pythae 0.1.2",
        "protocol": (
            "Convolutions 64-128 and their mirror, latent 32, 3x32x32 images in memory, batch 128, Adam, squared error "
            f"plus KL; 2 threads, one process, {PAIRS} interleaved pairs of blocks of {STEPS} steps after one "
            "uncounted pair. Theirs is one epoch of their trainer without its progress bar; ours includes setting up."
        ),
        "rows": rows,
    }
