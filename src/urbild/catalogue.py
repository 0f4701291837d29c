"""The names of all systems, each with its card. Importing this imports no system and nothing heavy.

A third party registers a system through the entry point group `urbild.systems`, whose value is a `Card`.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from urbild.errors import OptionError, nearest

if TYPE_CHECKING:
    from urbild.contract import DataSpec, Model

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a system without importing it.

    Attributes:
        name: what users type; also the name of the builder function.
        module: where the builder is.
        family: folder of `models`.
        title: one line of what it is.
        paper: first author, year and title.
        url: of the paper.
        kinds: of data that it takes: "vector", "image", "sequence", "video".
        verbs: what it can do (names of `contract.VERBS`).
        epochs: passes over the data that its recipe takes, where no other budget is given; 0 for a pure solver.
        batch: batch size of its recipe.
        small: options of a configuration that trains in seconds, for the laws; parts as `decode_options` takes them.
    """

    name: str
    module: str
    family: str
    title: str
    paper: str
    url: str
    kinds: tuple[str, ...]
    verbs: tuple[str, ...]
    epochs: int = 50
    batch: int = 64
    small: Options = field(default_factory=dict)

    @property
    def scores(self) -> bool:
        """Whether the system can be a detector."""
        return "anomaly" in self.verbs


_OWN = (
    Card(
        name="autoencoder",
        module="urbild.models.autoencoders.autoencoder",
        family="autoencoders",
        title="Undercomplete autoencoder, dense or convolutional",
        paper="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks",
        url="https://doi.org/10.1126/science.1127647",
        kinds=("vector", "image"),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        small={"latent": 4, "width": 8},
    ),
    Card(
        name="vae",
        module="urbild.models.variational.vae",
        family="variational",
        title="Variational autoencoder",
        paper="Kingma and Welling 2013, Auto-Encoding Variational Bayes",
        url="https://arxiv.org/abs/1312.6114",
        kinds=("vector", "image"),
        verbs=("sample", "encode", "decode", "reconstruct", "log_prob", "anomaly"),
        small={"latent": 4, "width": 8},
    ),
    Card(
        name="ganomaly",
        module="urbild.models.anomaly.ganomaly",
        family="anomaly",
        title="GANomaly: distance between two encodings of an image and its reconstruction",
        paper="Akcay, Atapour-Abarghouei and Breckon 2018, GANomaly",
        url="https://arxiv.org/abs/1805.06725",
        kinds=("vector", "image"),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        epochs=15,
        small={"latent": 4, "width": 8},
    ),
    Card(
        name="pca",
        module="urbild.models.autoencoders.pca",
        family="autoencoders",
        title="Principal components: the linear subspace, fitted streaming",
        paper="Pearson 1901, On lines and planes of closest fit to systems of points in space",
        url="https://doi.org/10.1080/14786440109462720",
        kinds=("vector", "image"),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        epochs=0,
        small={"components": 4},
    ),
    Card(
        name="nearest",
        module="urbild.models.anomaly.nearest",
        family="anomaly",
        title="Distance to the k-th nearest normal sample, in raw values",
        paper="Ramaswamy, Rastogi and Shim 2000, Efficient algorithms for mining outliers from large data sets",
        url="https://doi.org/10.1145/342009.335437",
        kinds=("vector", "image"),
        verbs=("anomaly",),
        epochs=0,
        small={"neighbours": 2},
    ),
    Card(
        name="wavenet",
        module="urbild.models.autoregressive.wavenet",
        family="autoregressive",
        title="WaveNet: sound, one sample after the other, by dilated causal convolutions",
        paper="van den Oord et al. 2016, WaveNet: A Generative Model for Raw Audio",
        url="https://arxiv.org/abs/1609.03499",
        kinds=("sequence",),
        verbs=("sample", "complete", "log_prob", "anomaly"),
        epochs=20,
        batch=8,
        small={"cycles": 1, "dilations": 3, "residual": 8, "skip": 8, "levels": 16, "learning_rate": 0.01},
    ),
    Card(
        name="classifier",
        module="urbild.models.representation.classifier",
        family="representation",
        title="Supervised classifier: the judge of wanted labels",
        paper="LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition",
        url="https://doi.org/10.1109/5.726791",
        kinds=("vector", "image", "sequence"),
        verbs=("encode", "classify"),
        epochs=8,
        batch=128,
        small={"width": 8},
    ),
    Card(
        name="pixelcnn",
        module="urbild.models.autoregressive.pixelcnn",
        family="autoregressive",
        title="PixelCNN: exact likelihood by masked convolutions",
        paper="Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks",
        url="https://arxiv.org/abs/1601.06759",
        kinds=("image",),
        verbs=("sample", "complete", "log_prob", "anomaly"),
        epochs=30,
        small={"blocks": 1, "width": 4},
    ),
    Card(
        name="gated_pixelcnn",
        module="urbild.models.autoregressive.gated_pixelcnn",
        family="autoregressive",
        title="Gated PixelCNN: exact likelihood without a blind spot, conditional on a class if wanted",
        paper="Van den Oord et al. 2016, Conditional image generation with PixelCNN decoders",
        url="https://arxiv.org/abs/1606.05328",
        kinds=("image",),
        verbs=("sample", "complete", "log_prob", "anomaly"),
        epochs=30,
        small={"layers": 2, "width": 4},
    ),
    Card(
        name="vqvae",
        module="urbild.models.variational.vqvae",
        family="variational",
        title="VQ-VAE: an autoencoder whose codes are symbols of a learned codebook",
        paper="van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning",
        url="https://arxiv.org/abs/1711.00937",
        kinds=("image",),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        small={"hidden": 8, "residual": 1, "code_size": 4},
    ),
    Card(
        name="vqvae2",
        module="urbild.models.variational.vqvae2",
        family="variational",
        title="VQ-VAE-2: two levels of symbols, layout above detail",
        paper="Razavi, van den Oord and Vinyals 2019, Generating Diverse High-Fidelity Images with VQ-VAE-2",
        url="https://arxiv.org/abs/1906.00446",
        kinds=("image",),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        small={"hidden": 8, "residual": 1, "code_size": 4},
    ),
    Card(
        name="pixel_rnn",
        module="urbild.models.autoregressive.pixel_rnn",
        family="autoregressive",
        title="PixelRNN: exact likelihood by Row LSTM or Diagonal BiLSTM",
        paper="Van den Oord, Kalchbrenner and Kavukcuoglu 2016, Pixel recurrent neural networks",
        url="https://arxiv.org/abs/1601.06759",
        kinds=("image",),
        verbs=("sample", "complete", "log_prob", "anomaly"),
        epochs=20,
        small={"layers": 1, "width": 4},
    ),
    Card(
        name="latent_prior",
        module="urbild.models.autoregressive.latent_prior",
        family="autoregressive",
        title="A prior over the codes of an autoencoder: VQ-VAE that samples",
        paper="Van den Oord, Vinyals and Kavukcuoglu 2017, Neural discrete representation learning",
        url="https://arxiv.org/abs/1711.00937",
        kinds=("image", "sequence"),
        verbs=("sample", "complete", "encode", "decode", "reconstruct", "anomaly"),
        epochs=50,
        small={
            "autoencoder": {"part": "VqvaeCodes", "hidden": 8, "residual": 1, "code_size": 4},
            "prior": {"part": "GatedPrior", "layers": 2, "width": 4},
        },
    ),
    Card(
        name="pixelcnn_vae",
        module="urbild.models.variational.pixelcnn_vae",
        family="variational",
        title="PixelVAE: a latent for the layout, a PixelCNN as decoder for the rest",
        paper="Gulrajani et al. 2016, PixelVAE: A Latent Variable Model for Natural Images",
        url="https://arxiv.org/abs/1611.05013",
        kinds=("image",),
        verbs=("sample", "encode", "decode", "reconstruct", "log_prob", "anomaly"),
        epochs=30,
        small={"latent": 4, "layers": 2, "width": 4, "first_kernel": 3},
    ),
    Card(
        name="pixelcnn_vqvae",
        module="urbild.models.variational.pixelcnn_vqvae",
        family="variational",
        title="VQ-VAE with a PixelCNN as decoder, which keeps using its codes",
        paper="van den Oord, Vinyals and Kavukcuoglu 2017, Neural Discrete Representation Learning",
        url="https://arxiv.org/abs/1711.00937",
        kinds=("image",),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        epochs=30,
        small={"layers": 2, "width": 4, "kernel": 3, "first_kernel": 3},
    ),
    Card(
        name="pixelcnn_pp",
        module="urbild.models.autoregressive.pixelcnn_pp",
        family="autoregressive",
        title="PixelCNN++: exact likelihood by two streams at three resolutions and a mixture of logistics",
        paper="Salimans, Karpathy, Chen and Kingma 2017, PixelCNN++",
        url="https://arxiv.org/abs/1701.05517",
        kinds=("image",),
        verbs=("sample", "complete", "log_prob", "anomaly"),
        epochs=20,
        small={"blocks": 1, "width": 4},
    ),
    Card(
        name="vqvae_audio",
        module="urbild.models.variational.vqvae_audio",
        family="variational",
        title="VQ-VAE of sound: symbols, and a voice that says them by a WaveNet or a recurrent unit",
        paper="van den Oord, Vinyals and Kavukcuoglu 2017, Neural discrete representation learning",
        url="https://arxiv.org/abs/1711.00937",
        kinds=("sequence",),
        verbs=("encode", "decode", "reconstruct", "anomaly"),
        epochs=20,
        batch=16,
        small={
            "hop": 8,
            "width": 8,
            "decoder": {"part": "Dilated", "cycles": 1, "dilations": 3, "temperature": 0.001},
            "jitter": 0.5,
            "learning_rate": 0.005,
        },
    ),
    Card(
        name="gan",
        module="urbild.models.adversarial.gan",
        family="adversarial",
        title="Generative adversarial network, minimax or non-saturating, of dense networks",
        paper="Goodfellow et al. 2014, Generative Adversarial Networks",
        url="https://arxiv.org/abs/1406.2661",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="dcgan",
        module="urbild.models.adversarial.dcgan",
        family="adversarial",
        title="DCGAN: the all-convolutional adversarial network",
        paper="Radford, Metz and Chintala 2015, Unsupervised Representation Learning with DCGAN",
        url="https://arxiv.org/abs/1511.06434",
        kinds=("image",),
        verbs=("sample", "decode"),
        epochs=50,
        batch=128,
        small={
            "generator": {"part": "Pyramid", "width": 4},
            "critic": {"part": "Pyramid", "width": 4, "normalisation": "spectral"},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="conditional_gan",
        module="urbild.models.adversarial.conditional_gan",
        family="adversarial",
        title="Conditional GAN: samples of a class that is asked for",
        paper="Mirza and Osindero 2014, Conditional Generative Adversarial Nets",
        url="https://arxiv.org/abs/1411.1784",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=50,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="wgan",
        module="urbild.models.adversarial.wgan",
        family="adversarial",
        title="Wasserstein GAN with clipped weights",
        paper="Arjovsky, Chintala and Bottou 2017, Wasserstein GAN",
        url="https://arxiv.org/abs/1701.07875",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "constraint": {"part": "Clipped", "bound": 0.02},
            "rhythm": {"part": "WarmUp", "critic": 2, "long": 4, "first": 1, "again": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="wgan_gp",
        module="urbild.models.adversarial.wgan_gp",
        family="adversarial",
        title="Wasserstein GAN with a gradient penalty",
        paper="Gulrajani et al. 2017, Improved Training of Wasserstein GANs",
        url="https://arxiv.org/abs/1704.00028",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "constraint": {"part": "GradientPenalty", "weight": 5.0},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="bigan",
        module="urbild.models.adversarial.bigan",
        family="adversarial",
        title="BiGAN and ALI: an encoder that learns to invert the generator",
        paper="Donahue, Krahenbuhl and Darrell 2016, Adversarial Feature Learning",
        url="https://arxiv.org/abs/1605.09782",
        kinds=("vector", "image"),
        verbs=("sample", "encode", "decode", "reconstruct"),
        epochs=100,
        batch=128,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="veegan",
        module="urbild.models.adversarial.veegan",
        family="adversarial",
        title="VEEGAN: a GAN whose reconstructor misses lost modes",
        paper="Srivastava et al. 2017, VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning",
        url="https://arxiv.org/abs/1705.07761",
        kinds=("vector", "image"),
        verbs=("sample", "encode", "decode"),
        epochs=100,
        small={
            "generator": {"part": "Dense", "width": 8},
            "reconstructor": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="unrolled_gan",
        module="urbild.models.adversarial.unrolled_gan",
        family="adversarial",
        title="Unrolled GAN: the generator looks some moves of the critic ahead",
        paper="Metz, Poole, Pfau and Sohl-Dickstein 2016, Unrolled Generative Adversarial Networks",
        url="https://arxiv.org/abs/1611.02163",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "lookahead": {"part": "OwnSteps", "steps": 1},
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="progressive_gan",
        module="urbild.models.adversarial.progressive_gan",
        family="adversarial",
        title="Progressive GAN",
        paper="Karras et al. 2017, Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        url="https://arxiv.org/abs/1710.10196",
        kinds=("image",),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "width": 8,
            "prior": {"part": "Normal", "size": 6},
            "optimiser": {"part": "Adam", "generator": 1e-3, "critic": 1e-3, "memory": 0.99},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "average": 0.9},
        },
    ),
    Card(
        name="adagan",
        module="urbild.models.adversarial.adagan",
        family="adversarial",
        title="AdaGAN: a mixture of GANs, each trained on what those before it miss",
        paper="Tolstikhin et al. 2017, AdaGAN: Boosting Generative Models",
        url="https://arxiv.org/abs/1701.02386",
        kinds=("vector", "image"),
        verbs=("sample",),
        epochs=200,
        small={
            "component": {
                "part": "GanComponent",
                "generator": {"part": "Dense", "width": 8},
                "critic": {"part": "Dense", "width": 8},
            },
            "components": 2,
            "reweighting": {"part": "Lowest", "share": 0.3},
            "judge": {"part": "Dense", "width": 8},
            "judging": 1.0,
            "learning_rate": 0.05,
        },
    ),
    Card(
        name="minibatch_discrimination_gan",
        module="urbild.models.adversarial.minibatch_discrimination_gan",
        family="adversarial",
        title="GAN with minibatch discrimination, feature matching and historical averaging",
        paper="Salimans et al. 2016, Improved Techniques for Training GANs",
        url="https://arxiv.org/abs/1606.03498",
        kinds=("vector", "image"),
        verbs=("sample", "decode"),
        epochs=100,
        small={
            "techniques": {"part": "Techniques", "kernels": 3, "size": 2, "averaging": 0.1},
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Dense", "width": 8},
            "rhythm": {"part": "Steady", "critic": 2},
            "habits": {"part": "Habits", "noise": 0.1},
        },
    ),
    Card(
        name="semi_supervised_gan",
        module="urbild.models.adversarial.semi_supervised_gan",
        family="adversarial",
        title="Semi-supervised GAN: a classifier of few labels",
        paper="Salimans et al. 2016, Improved Techniques for Training GANs",
        url="https://arxiv.org/abs/1606.03498",
        kinds=("vector", "image"),
        verbs=("sample", "decode", "classify"),
        epochs=100,
        batch=100,
        small={
            "generator": {"part": "Dense", "width": 8},
            "critic": {"part": "Noisy", "width": 32},
        },
    ),
)


@cache
def cards() -> Mapping[str, Card]:
    """All cards by name: the library's own, and those that installed packages register."""
    found = {card.name: card for card in _OWN}
    for point in entry_points(group="urbild.systems"):
        card = point.load()
        found[card.name] = card
    return MappingProxyType(found)


def card(name: str) -> Card:
    """The card of a system.

    Raises:
        OptionError: no system has that name; the nearest names are shown.
    """
    known = cards()
    if name not in known:
        msg = f"unknown model {name!r}; {nearest(name, known)}"
        raise OptionError(msg)
    return known[name]


def builder(name: str) -> "Callable[..., Model]":
    """The builder function of a system; imports the system."""
    entry = card(name)
    found: Callable[..., Model] = getattr(import_module(entry.module), entry.name)
    return found


def parameters(name: str) -> Mapping[str, Parameter]:
    """The options of a system: its builder's keyword arguments, with evaluated annotations."""
    build = builder(name)
    hints = get_type_hints(build)
    found = [p for p in signature(build).parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    return {p.name: p.replace(annotation=hints.get(p.name, p.annotation)) for p in found}


def build(name: str, spec: "DataSpec", options: Options, *, seed: int = 0) -> "Model":
    """Builds an untrained model with weights drawn from `seed`; the global generators are left as they were.

    Raises:
        OptionError: an option is unknown to the system.
        ShapeError: the system does not take such data.
    """
    import torch

    known = parameters(name)
    for option in options:
        if option not in known:
            msg = f"{name} has no option {option!r}; {nearest(option, known)}"
            raise OptionError(msg)
    entry = card(name)
    if spec.kind not in entry.kinds:
        from urbild.errors import ShapeError

        takers = ", ".join(sorted(c.name for c in cards().values() if spec.kind in c.kinds)) or "no system yet"
        msg = f"{name} takes {' or '.join(entry.kinds)} data, not {spec.kind}; {spec.kind} data: {takers}."
        raise ShapeError(msg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder(name)(spec, **options)


def encode_options(options: Options) -> dict[str, Any]:
    """Options as JSON data. A part (a frozen dataclass) becomes {"part": its class, ...its fields}."""
    return {name: _encode(value) for name, value in options.items()}


def _encode(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: _encode(getattr(value, f.name)) for f in fields(value) if f.init}
        return {"part": type(value).__name__, **own}
    if isinstance(value, tuple | list):
        return [_encode(entry) for entry in value]
    return value


def decode_options(name: str, data: Options) -> dict[str, Any]:
    """The options that `encode_options` wrote. Only parts that the builder's annotations name are ever made.

    Raises:
        OptionError: an option or a part is unknown to the system.
    """
    known = parameters(name)
    decoded = {}
    for option, value in data.items():
        if option not in known:
            msg = f"{name} has no option {option!r}; {nearest(option, known)}"
            raise OptionError(msg)
        decoded[option] = decode_value(value, known[option].annotation)
    return decoded


def decode_value(value: Any, annotation: Any) -> Any:
    """A value from JSON data, as its annotation wants it."""
    if isinstance(value, Mapping) and "part" in value:
        parts = {part.__name__: part for part in parts_of(annotation)}
        if value["part"] not in parts:
            msg = f"unknown part {value['part']!r}; {nearest(str(value['part']), parts)}"
            raise OptionError(msg)
        part = parts[value["part"]]
        hints = get_type_hints(part)
        wanted = {f.name for f in fields(part) if f.init}
        needed = {f.name for f in fields(part) if f.init and f.default is MISSING and f.default_factory is MISSING}
        given = set(value) - {"part"}
        if not needed <= given <= wanted:
            msg = f"{part.__name__} takes {', '.join(sorted(wanted))}, not {', '.join(sorted(given))}."
            raise OptionError(msg)
        return part(**{key: decode_value(value[key], hints[key]) for key in given})
    if isinstance(value, list):
        return tuple(value)
    return value


def parts_of(annotation: Any) -> list[Any]:
    """All dataclasses that an annotation names, their subclasses included."""
    found: list[type] = []
    for entry in (annotation, *get_args(annotation)):
        if isinstance(entry, type):
            found += [kind for kind in (entry, *_below(entry)) if is_dataclass(kind)]
        elif entry is not annotation:
            found += parts_of(entry)
    return found


def _below(kind: type) -> list[type]:
    direct: list[type] = kind.__subclasses__() if kind is not type and kind is not object else []
    return [found for child in direct for found in (child, *_below(child))]
