"""A prior over the codes of an autoencoder: what makes a generative model of it.

Van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning, section 3.2,
https://arxiv.org/abs/1711.00937; for codes of two maps Razavi, van den Oord and Vinyals 2019, Generating Diverse
High-Fidelity Images with VQ-VAE-2, section 3.2, https://arxiv.org/abs/1906.00446

    p(x) >= p(x | codes(x)) p(codes(x))        p(codes) = prod_i p(code_i | codes before i)

First the autoencoder is trained, unless it was before; then its codes are taken once, and an autoregressive model of
pixels is trained on them as on images of K levels. Where codes are several maps, each has a model of its own that is
told the map before. Samples are codes from the prior, decoded.

Of sound the codes are a row, and a symbol of its own says that it ended: a sample is as long as its codes say. The
prior's class need not be the decoder's. Where the decoder knows the prior's classes, it is told them too; else it
decodes as the class most frequent in its training, and `autoencoder.decode(model.draw(...), given=...)` as any other.

The score is the surprise of the codes in bits a symbol: a part that the prior finds unlikely was not in the training
images in that place (Marimont and Tarroni 2020, https://arxiv.org/abs/2012.06765). The map has the bits of the codes
that stand for each site. What follows the end of a sound counts nowhere.

Completion keeps the codes of which every site is observed, draws the others, and puts the observed sites into the
decoded sample.

Departures from the papers: none known in the first, whose prior for images is the gated PixelCNN, as is the default
here; the priors of the second have attention and dropout, and these have not.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log

import torch
from torch import Tensor

from urbild.contract import (
    Adopts,
    Anomaly,
    Batch,
    Completes,
    Conditional,
    DataSpec,
    Discrete,
    Losses,
    Model,
    Reconstructs,
    Samples,
    Scores,
    Source,
    Stage,
    in_turn,
    known_classes,
    labels_of,
)
from urbild.errors import ArtifactError
from urbild.models.autoregressive.code_chain import Chain
from urbild.models.autoregressive.code_parts import Codes, CodeSource, codes_for
from urbild.models.autoregressive.code_priors import Finer, GatedPrior, Prior
from urbild.models.autoregressive.code_sites import Sites
from urbild.models.autoregressive.raster import Raster
from urbild.nets.layers import image_size

ROW_KERNEL = 9  # of the usual prior over a row of codes, which sees to the left alone: 12 layers reach 47 symbols


class LatentPrior(Model, Samples, Completes, Conditional, Discrete, Reconstructs, Scores, Adopts):
    """A code autoencoder and a prior over its codes.

    Args:
        spec: of the data.
        autoencoder: `Discrete` and `Reconstructs`.
        prior: of its codes, or of their first map.
        finer: of their other maps.
        sites: where the symbols lie in a sample; by default cells of an image.
    """

    def __init__(
        self,
        spec: DataSpec,
        autoencoder: Model,
        prior: Raster,
        finer: Sequence[Finer] = (),
        *,
        sites: Sites | None = None,
    ) -> None:
        super().__init__()
        assert isinstance(autoencoder, Discrete)
        self.spec, self.code_spec = spec, autoencoder.code_spec
        self.autoencoder, self.chain = autoencoder, Chain(prior, finer, sites)
        self.sites = self.chain.sites
        self.labels = prior.labels
        self._adopted = False

    @property
    def prior(self) -> Raster:
        """The model of the codes, or of their first map."""
        return self.chain.first

    @property
    def seen(self) -> Tensor:
        """Which classes the prior was trained on: bool [classes]."""
        return self.prior.seen if self.labels else torch.zeros(0, dtype=torch.bool)

    @property
    def codes(self) -> Discrete:
        """The autoencoder, as what its codes ask of it."""
        assert isinstance(self.autoencoder, Discrete)
        return self.autoencoder

    def adopt(self, part: Model) -> None:
        """Takes over a trained autoencoder, whose stages are then left out.

        Raises:
            ArtifactError: it is of another shape than the model's own.
        """
        own, given = self.autoencoder.state_dict(), part.state_dict()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in given.items()}:
            msg = "the trained autoencoder has other options than the one that this prior was built for; train the "
            msg += "prior anew on that run."
            raise ArtifactError(msg)
        self.autoencoder.load_state_dict(given)
        self._adopted = True

    def stages(self) -> Sequence[Stage]:
        stage = self.chain.stage()
        prior = replace(stage, name="prior", source=self._code_source(stage.source), monitor=self._monitored)
        if self._adopted:
            return (prior,)
        first, *others = self.autoencoder.stages()
        return (self._checked(first, stage.source), *others, prior)

    def _monitored(self, batch: Batch) -> Tensor:
        """Nats of the codes of samples, which are what a run holds out: its codes are of the training samples alone."""
        return self.chain.nats(self.encode(batch.x))[0]

    def _checked(self, stage: Stage, check: Callable[[Source], Source] | None) -> Stage:
        """The stage, refused at once where the prior would be, by labels or memory: it would be trained in vain."""
        turn, *others = stage.turns

        def loss(batch: Batch) -> Losses:
            if batch.step == 0:
                self.chain.check_memory(len(batch))
            return turn.loss(batch)

        def source(given: Source) -> Source:
            ready = check(given) if check is not None else given
            return stage.source(ready) if stage.source is not None else ready

        return replace(stage, turns=(replace(turn, loss=loss), *others), source=source)

    def _code_source(self, check: Callable[[Source], Source] | None) -> Callable[[Source], Source]:
        def taken(source: Source) -> Source:
            checked = check(source) if check is not None else source
            return CodeSource(self.codes, checked, replace(self.code_spec, classes=self.prior.spec.classes))

        return taken

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.codes.encode(x)  # int64 [N, *code]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.codes.decode(z, given=self._voice(given))

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        assert isinstance(self.autoencoder, Reconstructs)
        return self.autoencoder.reconstruct(x, given=self._voice(given))

    def _voice(self, given: Tensor | None) -> Tensor | None:
        """What the decoder is told of classes of the prior [N]: they themselves, where it knows them all."""
        if labels_of(self.autoencoder) != self.labels:
            return None
        own, known = (set(known_classes(model).tolist()) for model in (self, self.autoencoder))
        return given if own <= known else None

    def draw(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes int64 [n, *code] from the prior; without `given` of all classes in turn."""
        drawn = self.chain.draw(n, given, temperature=temperature, generator=generator)
        return drawn.view(-1, *self.code_spec.shape)

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        given = in_turn(self, n) if given is None else given
        return self.decode(self.draw(n, given=given, temperature=temperature, generator=generator), given=given)

    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        observed = observed.bool()
        seen = [self.sites.seen(observed, image_size(raster.spec)) for raster in self.chain.rasters]
        codes = self.encode(self.sites.blank(x, observed))  # what is hidden may not be told by its codes
        given = in_turn(self, len(x)) if given is None else given
        drawn = self.chain.draw(len(x), given, generator=generator, kept=(codes, seen))
        return self.sites.merge(x, self.decode(drawn.view_as(codes), given=given), observed)

    def code_bits(self, x: Tensor, *, given: Tensor | None = None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Bits of the codes of samples [N], of how many symbols [N], and of each site [N, h, w] of each map."""
        codes = self.encode(x)
        nats, sites = self.chain.nats(codes, given)
        return nats / log(2), self.sites.counted(codes).flatten(1).sum(1), [one / log(2) for one in sites]

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        bits, symbols, sites = self.code_bits(x, given=given)
        return Anomaly(bits / symbols, self.sites.spread(sites, self.spec.sites))


def latent_prior(
    spec: DataSpec,
    *,
    autoencoder: Codes | None = None,
    prior: Prior | None = None,
    conditional: bool = False,
) -> Model:
    """Builds a code autoencoder and a prior over its codes.

    Args:
        spec: of images or sound.
        autoencoder: by default a VQ-VAE, of sound for sound. `--codes DIR` takes a trained one instead.
        prior: by default a gated PixelCNN of 12 layers, for sound with kernels of 9.
        conditional: on the class of the sample.

    Raises:
        ShapeError: the autoencoder takes other data.
        OptionError: an option is out of range, or the data have no classes to be conditioned on.
    """
    codes = codes_for(spec, autoencoder)
    model = codes.build(spec)
    first, *others = [replace(own, classes=spec.classes) for own in codes.maps(model)]
    part = prior or GatedPrior(kernel=ROW_KERNEL if spec.kind == "sequence" else 3)
    made = part.build(first, conditional=conditional)
    assert isinstance(made, Raster)
    pairs = zip([first, *others], others, strict=False)
    finer = [part.build_finer(own, coarser, conditional=conditional) for coarser, own in pairs]
    return LatentPrior(spec, model, made, finer, sites=codes.sites(model))
