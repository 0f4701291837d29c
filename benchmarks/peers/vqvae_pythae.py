"""A training step of a VQ-VAE beside pythae's, with the same networks."""

import logging
import tempfile
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import interleaved, row
from urbild.contract import DataSpec
from urbild.data import Preparation, as_records
from urbild.models.variational.vqvae import SquaredError, Vqvae
from urbild.nets import strided
from urbild.nets.quantisers import Ema, grouped
from urbild.training import Plan, fit

STEPS, BATCH, SIZE, CODES, PAIRS = 20, 128, 64, 512, 9
SPEC = DataSpec(shape=(3, 32, 32), kind="image")


def encoder() -> nn.Sequential:
    """The paper's example: two strided convolutions, two residual blocks, 64 numbers at 8 x 8 positions."""
    return nn.Sequential(strided.down_path(3, (32, 32), 2, hidden=128, residual=2), nn.Conv2d(128, SIZE, 1))


def decoder() -> nn.Sequential:
    """Its mirror."""
    return strided.up_path(SIZE, 3, (32, 32), 2, hidden=128, residual=2)


def theirs(x: Tensor) -> Any:
    """A block of pythae's trainer."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VQVAE, VQVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = encoder()

        def forward(self, x: Tensor) -> Any:
            return ModelOutput(embedding=self.body(x))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = decoder()

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.body(z))

    config = VQVAEConfig(input_dim=(3, 32, 32), latent_dim=SIZE, num_embeddings=CODES, use_ema=True)
    model = VQVAE(config, encoder=Encoder(), decoder=Decoder())
    settings = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1000,
        per_device_train_batch_size=BATCH,
        no_cuda=True,
        learning_rate=3e-4,
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=settings)
    trainer.prepare_training()
    trainer.callback_handler.callbacks = []
    return lambda: trainer.train_step(epoch=1)


def ours(x: Tensor, precision: Any) -> Any:
    """The same number of steps of ours."""
    records = as_records(x.movedim(1, -1).numpy())
    source = Preparation.fit(records).source(records)
    books = grouped(Ema(codes=CODES, start="uniform"), SIZE)
    code_spec = DataSpec(shape=(1, 8, 8), kind="image", levels=CODES)
    model = Vqvae(SPEC, encoder(), books, decoder(), SquaredError(), code_spec=code_spec)
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
        "title": "VQ-VAE training beside pythae 0.1.2",
        "protocol": (
            "Two strided convolutions, one more and two residual blocks (128 channels, 32 inside) and their mirror, "
            f"{CODES} codes of {SIZE} numbers by moving averages, 3x32x32 images in memory, batch {BATCH}, Adam, "
            f"squared error plus commitment; 2 threads, one process, {PAIRS} interleaved pairs of blocks of {STEPS} "
            "steps after one uncounted pair. Theirs is one epoch of their trainer without its progress bar; ours "
            "includes setting up and reading the variance of the data."
        ),
        "rows": rows,
    }
