"""Facts of PixelCNN++ alone; those that it shares with the other models of pixels are in test_pixels."""

import pytest
import torch
from models_kit import DIGITS
from torch import Tensor

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.errors import OptionError
from urbild.models.autoregressive.raster import Raster
from urbild.models.autoregressive.raster_drawing import draw, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.shifted import Grown, Shifted, concat_elu
from urbild.nets.shifted_drawing import RowBlock, SiteBlock
from urbild.nets.symbols import Softmax


def made(spec: DataSpec, **options: object) -> Raster:
    model = build("pixelcnn_pp", spec, {"blocks": 1, "width": 6, **options})
    assert isinstance(model, Raster)
    return model.eval()


def seen(layer: torch.nn.Module, site: tuple[int, int], *settings: object) -> Tensor:
    """Which sites [H, W] of a map of 6 x 7 an output depends on."""
    x = torch.randn(1, 1, 6, 7, requires_grad=True)
    found = layer(x, *settings)[0, :, site[0], site[1]].sum()
    return torch.autograd.grad(found, x)[0][0, 0] != 0


def test_shifted_convolutions_see_their_row_and_above() -> None:
    down = seen(Shifted(1, 2, (2, 3), right=False), (3, 3)).nonzero().tolist()
    assert down == [[2, 2], [2, 3], [2, 4], [3, 2], [3, 3], [3, 4]]
    right = seen(Shifted(1, 2, (2, 2), right=True), (3, 3)).nonzero().tolist()
    assert right == [[2, 2], [2, 3], [3, 2], [3, 3]]
    strided = seen(Shifted(1, 2, (2, 2), right=True, stride=2), (2, 3)).nonzero().tolist()
    assert strided == [[3, 5], [3, 6], [4, 5], [4, 6]]


def test_what_is_grown_has_the_size_that_was_wanted_and_gives_to_the_right_alone() -> None:
    assert Grown(1, right=False)(torch.randn(2, 1, 6, 7), (11, 13)).shape == (2, 1, 11, 13)
    assert seen(Grown(1, right=True), (5, 7), (12, 14)).nonzero().tolist() == [[2, 3]]
    assert seen(Grown(1, right=False), (5, 7), (12, 14)).nonzero().tolist() == [[2, 3], [2, 4]]


def test_concatenated_units_keep_both_signs() -> None:
    x = torch.tensor([[2.0, -3.0]])
    expected = [2.0, float(torch.tensor(-3.0).expm1()), float(torch.tensor(-2.0).expm1()), 3.0]
    assert concat_elu(x)[0].tolist() == pytest.approx(expected)


def test_every_activation_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block goes along each row, and each site, of its own resolution and of no finer one."""
    calls = {"rows": 0, "sites": 0}
    row, site = RowBlock.__call__, SiteBlock.site

    def rows(self: RowBlock, *given: object) -> Tensor:
        calls["rows"] += 1
        return row(self, *given)  # type: ignore[arg-type]

    def sites(self: SiteBlock, *given: object) -> tuple[Tensor, Tensor]:
        calls["sites"] += 1
        return site(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(RowBlock, "__call__", rows)
    monkeypatch.setattr(SiteBlock, "site", sites)
    model = made(DataSpec(shape=(1, 9, 13), kind="image", levels=3))
    noise = noise_for(model.head, 2, (9, 13), torch.Generator().manual_seed(0))
    draw(model.network, model.head, noise, Condition(), channels=1)
    assert calls["rows"] == 3 * 9 + 3 * 5 + 2 * 3, "9, 5 and 3 rows"
    assert calls["sites"] == 3 * 9 * 13 + 3 * 5 * 7 + 2 * 3 * 4


def test_there_is_no_blind_spot() -> None:
    """The coarse resolutions reach far: a site of all three sees whatever comes before it, and nothing else."""
    spec = DataSpec(shape=(1, 20, 20), kind="image", levels=4)
    model = made(spec).double()
    x = torch.randn(1, 1, 20, 20, requires_grad=True, dtype=torch.float64)
    model.network.inputs.forward = lambda _: x  # type: ignore[assignment, union-attr]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    output = model.network(torch.zeros(1, 1, 20, 20, dtype=torch.long), Condition())
    (gradient,) = torch.autograd.grad(output[0, :, 12, 8].sum(), x)
    assert torch.equal(gradient.flatten() != 0, torch.arange(400) < 12 * 20 + 8)


def test_dropout_acts_in_training_alone() -> None:
    model = made(DIGITS, dropout=0.5)
    batch = Batch(x=torch.rand(4, *DIGITS.shape), index=torch.arange(4))
    with torch.no_grad():
        assert torch.equal(model.loss(batch)["loss"], model.loss(batch)["loss"])
        model.train()
        assert not torch.equal(model.loss(batch)["loss"], model.loss(batch)["loss"])


def test_the_loss_is_right_in_half_precision() -> None:
    model = made(DataSpec(shape=(3, 8, 8), kind="image", levels=256), width=16)
    batch = Batch(x=torch.rand(8, 3, 8, 8), index=torch.arange(8))
    with torch.no_grad():
        whole = model.loss(batch)["loss"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model.loss(batch)["loss"]
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(whole), rel=5e-3)


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    colour = DataSpec(shape=(3, 8, 8), kind="image", levels=256)
    with pytest.raises(OptionError, match="all channels of a pixel at once"):
        made(colour, likelihood=Softmax())
    with pytest.raises(OptionError, match="dropout is a share"):
        made(colour, dropout=1.0)
    with pytest.raises(OptionError, match="these have no classes"):
        made(colour, conditional=True)
