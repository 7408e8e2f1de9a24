"""Colours that can be read and told apart, in light and dark, by colour-blind readers too."""

import re
from itertools import combinations, pairwise

import numpy as np
import pytest

from kantor.report.template import TEMPLATES

# Severe deuteranomaly, protanomaly and tritanomaly (Machado, Oliveira and Fernandes 2009), on linear RGB.
BLIND = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def themes() -> dict[str, dict[str, str]]:
    css = (TEMPLATES / "report.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in re.findall(r":root \{([^}]+)\}", css))
    return {"light": light, "dark": dark}


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D65 of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt((xyz / [0.9505, 1.0, 1.089]).clip(min=0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme):
    colours = themes()[theme]
    for ground in ("paper", "surface"):
        for text in ("ink", "quiet", "accent", "good", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for k in range(8):
            assert contrast(colours[f"c{k}"], colours[ground]) >= 3, (k, ground)
        assert contrast(colours["focus"], colours[ground]) >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", list(BLIND))
def test_methods_are_told_apart_without_full_colour_vision(theme, kind):
    colours = themes()[theme]
    seen = [lab((np.array(BLIND[kind]) @ linear(colours[f"c{k}"])).clip(0, 1)) for k in range(8)]
    for (i, one), (j, other) in combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) > 10, (i, j)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_heat_runs_one_way(theme):
    """More mass is always darker on light paper, and lighter on dark paper."""
    stops = [luminance(stop.strip()) for stop in themes()[theme]["heat"].split(",")]
    steps = np.array([b - a for a, b in pairwise(stops)])
    assert (steps < 0).all() if theme == "light" else (steps > 0).all()


def test_styles_have_dashes_of_their_own():
    css = (TEMPLATES / "report.css").read_text()
    dashes = re.findall(r"\.m(\d) \{ --dash: ([^;]+);", css)
    assert len({dash for _, dash in dashes}) == len(dashes) == 6
