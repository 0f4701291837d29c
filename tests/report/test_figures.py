import re

import numpy as np
import pytest

from urbild.report import figures
from urbild.report.figures import Curve, Group

SCORES = np.random.default_rng(0).gamma(9, 0.1, 300)


def histogram(scores=SCORES, **changes):
    arguments = {"threshold": 1.5, "display": (np.array([0.0, 1, 4]), np.array([0.0, 0.5, 1]))} | changes
    return figures.histogram([Group("normal", scores, figures.NORMAL)], **arguments)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_drawing_takes_colours_and_fonts_from_the_page():
    svg = histogram()
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert set(re.findall(r"var\(--(\w+)", svg)) == {"ink", "muted", "rule", "normal"}
    assert re.findall(r"(?<!, )#[0-9a-f]{6}\b", svg) == []
    assert "font-family" not in svg
    assert {"passed", "flagged", "display scale (0 to 1)"} <= set(texts(svg))


def test_the_description_is_escaped():
    svg = figures.curve(
        Curve(np.array([0.0, 1]), np.array([0.0, 1])),
        x="x",
        y="y",
        chance=((0, 0), (1, 1)),
        key="k",
        description='"<b>',
    )
    assert 'aria-label="&quot;&lt;b&gt;"' in svg


def test_drawings_do_not_change_matplotlibs_settings():
    from matplotlib import rcParams

    before = dict(rcParams)
    histogram()
    assert dict(rcParams) == before


def test_scores_over_many_magnitudes_get_a_logarithmic_axis():
    wide = np.concatenate([SCORES, SCORES * 1000])
    assert not any("logarithmic" in text for text in texts(histogram()))
    assert any("logarithmic" in text for text in texts(histogram(np.append(SCORES, 1e4), display=None)))
    assert any("100" in text for text in texts(histogram(np.append(SCORES, wide.max() * 9), display=None)))


@pytest.mark.parametrize(
    "scores", [np.full(5, 2.0), np.array([1.0]), np.array([-3.0, -1, 0.5]), np.append(SCORES, np.inf)]
)
def test_unusual_scores_are_drawn(scores):
    assert "raw score" in histogram(scores, threshold=None, display=None)


def test_an_unreachable_threshold_is_not_drawn():
    assert "passed" not in texts(histogram(threshold=np.inf))


def test_heights_are_shares_of_the_group():
    few, many = (figures.histogram([Group("a", np.repeat(SCORES, k), "#0072b2")], threshold=None) for k in (1, 1))
    assert few == many
    ticks = [float(text.removesuffix(" %")) for text in texts(few) if text.endswith(" %")]
    assert 0 < max(ticks) <= 100


def test_display_ticks_stand_where_the_display_scale_has_their_value():
    svg = histogram(display=(np.linspace(0, 4, 50), np.linspace(0, 1, 50)), threshold=None)
    found = re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([\d.]+)</text>', svg)
    upper, lower = (
        np.array([(float(x), float(text)) for x, y, text in found if (float(y) < 100) == is_upper])
        for is_upper in (True, False)
    )
    assert len(upper) > 1
    raw = np.interp(upper[:, 0], lower[:, 0], lower[:, 1])
    inside = (upper[:, 0] > lower[0, 0]) & (upper[:, 0] < lower[-1, 0])
    assert inside.sum() > 1
    np.testing.assert_allclose(raw[inside], 4 * upper[inside, 1], rtol=1e-4)


def test_long_training_curves_are_thinned_and_keep_their_mean():
    steps, values = figures._thin(np.arange(9000.0), np.arange(9000.0) * 2)
    assert len(steps) == 300
    np.testing.assert_allclose(values, 2 * steps)
    assert values.mean() == pytest.approx(8999)


def test_validation_is_drawn_in_its_own_colour():
    line = ("train", np.arange(9.0), np.ones(9))
    alone = figures.training([line], name="loss", key="a")
    both = figures.training([line, ("validation", np.arange(3.0), np.ones(3))], name="loss", key="a")
    assert "--validation" not in alone
    assert "--validation" in both
