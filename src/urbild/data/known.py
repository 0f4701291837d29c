"""Data sets that are known by name, each with one line. Importing this imports nothing heavy.

Files under `URBILD_DATA/<name>/` are used first; else the original files are fetched once, and checked against their
sums.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from urbild.errors import DataError, nearest

if TYPE_CHECKING:
    from urbild.data.records import Reading, Records


@dataclass(frozen=True, slots=True)
class Known:
    """A data set that is known by name.

    Attributes:
        name: what users type.
        title: one line of what it is.
        home: module and function that read it.
    """

    name: str
    title: str
    home: str

    def read(self, reading: "Reading") -> "Records":
        """Its records; may fetch files."""
        module, function = self.home.split(":")
        load: Callable[[str, Reading], Records] = getattr(import_module(f"urbild.data.{module}"), function)
        return load(self.name, reading)


_ADBENCH = {
    "1_ALOI": "object images",
    "2_annthyroid": "thyroid",
    "4_breastw": "breast cancer",
    "5_campaign": "bank marketing",
    "6_cardio": "heart of the unborn",
    "7_Cardiotocography": "heart of the unborn",
    "8_celeba": "attributes of faces",
    "10_cover": "forest cover",
    "11_donors": "school projects",
    "14_glass": "glass",
    "15_Hepatitis": "hepatitis",
    "16_http": "network connections",
    "17_InternetAds": "advertisements",
    "18_Ionosphere": "radar",
    "19_landsat": "satellite",
    "21_Lymphography": "lymphography",
    "22_magic.gamma": "gamma rays",
    "24_mnist": "features of digits",
    "30_satellite": "satellite",
    "31_satimage-2": "satellite",
    "32_shuttle": "space shuttle",
    "33_skin": "skin colours",
    "34_smtp": "network connections",
    "38_thyroid": "thyroid",
    "42_WBC": "breast cancer",
    "43_WDBC": "breast cancer",
    "46_WPBC": "breast cancer",
    "47_yeast": "proteins",
    "mvtec_resnet18/MVTec-AD_bottle": "ResNet18 features of bottles",
    "mvtec_resnet18/MVTec-AD_carpet": "ResNet18 features of carpets",
    "mvtec_resnet18/MVTec-AD_hazelnut": "ResNet18 features of hazelnuts",
    "mvtec_resnet18/MVTec-AD_wood": "ResNet18 features of wood",
    "mvtec_resnet18/MVTec-AD_zipper": "ResNet18 features of zippers",
}

_ALL = (
    Known("digits", "1,797 handwritten digits of 8 x 8 px (scikit-learn); no download", "embedded:digits"),
    Known("surfaces", "300 drawn surfaces of 192 x 192 px with defects and masks; no download", "embedded:surfaces"),
    Known("mnist", "70,000 handwritten digits of 28 x 28 px", "fetched:idx"),
    Known("fashion_mnist", "70,000 articles of clothing of 28 x 28 px", "fetched:idx"),
    Known("cifar10", "60,000 colour photos of 32 x 32 px in ten classes", "fetched:cifar10"),
    Known("stacked_mnist", "three MNIST digits as the channels of one image: 1,000 modes", "stacked:stacked_mnist"),
    Known("stacked_mnist/2", "two MNIST digits as the channels of one image: 100 modes", "stacked:stacked_mnist"),
    Known("ring8", "points of eight Gaussians on a ring of radius 2; no download", "mixtures:mixture"),
    Known("grid25", "points of 25 Gaussians on a grid of spacing 2; no download", "mixtures:mixture"),
    Known("fsdd", "3,000 spoken digits at 8 kHz, by digit", "speech:fsdd"),
    Known("fsdd/speakers", "3,000 spoken digits at 8 kHz, by speaker", "speech:fsdd"),
    Known("kddcup99", "494,021 network connections (the 10 % file), numbers and words", "fetched:kddcup99"),
    *(Known(f"adbench/{name}", f"ADBench table: {what}", "fetched:adbench") for name, what in _ADBENCH.items()),
)

KNOWN: Mapping[str, Known] = MappingProxyType({known.name: known for known in _ALL})
"""The known data sets by name."""


def read_known(name: str, reading: "Reading") -> "Records":
    """The records of a known data set.

    Raises:
        DataError: no data set has that name, nor any file; or it can neither be found nor fetched.
    """
    if name in KNOWN:
        return KNOWN[name].read(reading)
    if name.startswith("adbench/"):
        # A table that lies in the user's folder needs no entry here.
        return Known(name, "", "fetched:adbench").read(reading)
    msg = f"{name!r} is neither a path that exists nor a known data set; {nearest(name, KNOWN)}"
    raise DataError(msg)
