"""The codes of a model: of what shape they are, and how samples and codes become each other.

Models are in evaluation mode, as a loaded run is.
"""

from math import prod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from urbild.contract import Decodes, Discrete, Encodes, Model
from urbild.errors import OptionError
from urbild.nets.priors import Prior

BATCH = 128


@runtime_checkable
class OwnPrior(Protocol):
    """A model whose latents [N, `latent`] have a law that it names: the adversarial ones."""

    latent: int
    prior: Prior


def continuous(model: Model, name: str | None = None) -> Decodes:
    """The model, as what decodes codes that are numbers.

    Args:
        model: any.
        name: what users call it.

    Raises:
        OptionError: it decodes nothing, or its codes are symbols.
    """
    called = name or type(model).__name__
    if not isinstance(model, Decodes):
        msg = f"{called} decodes no codes; explore a system that does, such as vae, gan or pca."
        raise OptionError(msg)
    if isinstance(model, Discrete):
        msg = f"the codes of {called} are symbols, and nothing lies between two symbols; `map` compares them, and the "
        msg += "rest of explore works on numbers: vae, autoencoder, pca, gan."
        raise OptionError(msg)
    return model


def code_shape(model: Model) -> tuple[int, ...]:
    """The shape of one code.

    Raises:
        OptionError: it does not show.
    """
    if isinstance(model, Encodes):
        with torch.no_grad():
            return tuple(model.encode(torch.zeros(1, *model.spec.shape).to(like(model)))[0].shape)
    player = own_prior(model)
    if player is not None:
        return (player.latent,)
    msg = f"{type(model).__name__} neither encodes nor says the size of its latents; give it `prior` and `latent`."
    raise OptionError(msg)


def own_prior(model: Model) -> OwnPrior | None:
    """The model that names the law of the latents: this one, or the one that it is built around."""
    inner = [part for part in model.children() if isinstance(part, Model)]
    for part in (model, *(inner if len(inner) == 1 else ())):
        if isinstance(part, OwnPrior) and isinstance(part.prior, Prior):
            return part
    return None


def code_size(model: Model) -> int:
    """Numbers in one code."""
    return prod(code_shape(model))


def decoded(model: Model, z: Tensor, *, given: Tensor | None = None) -> Tensor:
    """Samples [N, *sample] of codes [N, *code] or [N, Z], on the model's device, some at a time."""
    decoder, shape, home = continuous(model), code_shape(model), like(model)
    parts = []
    with torch.no_grad():
        for start in range(0, len(z), BATCH):
            rows = slice(start, start + BATCH)
            told = None if given is None else given[rows].to(home.device)
            parts.append(decoder.decode(z[rows].to(home).reshape(-1, *shape), given=told))
    return torch.cat(parts)


def encoded(model: Model, x: Tensor, *, given: Tensor | None = None) -> Tensor:
    """Codes [N, *code] of samples [N, *sample], on the model's device, some at a time.

    Raises:
        OptionError: the model encodes nothing.
    """
    if not isinstance(model, Encodes):
        msg = f"{type(model).__name__} has no encoder; search for the codes with `project`."
        raise OptionError(msg)
    home, parts = like(model), []
    with torch.no_grad():
        for start in range(0, len(x), BATCH):
            rows = slice(start, start + BATCH)
            told = None if given is None else given[rows].to(home.device)
            parts.append(model.encode(x[rows].to(home), given=told))
    return torch.cat(parts)


def like(model: Model) -> Tensor:
    """A number of the model's kind, on its device."""
    for value in (*model.parameters(), *model.buffers()):
        if value.is_floating_point():
            return value.detach().new_zeros(())
    return torch.zeros(())
