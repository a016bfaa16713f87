"""Draw a schematic chest: organs, bones and lesions as densities in chest coordinates.

x is 0 in the midline and grows to the right, y grows downwards. Half the rib cage's width is about
1, and so is half its height. As on any film the patient faces the reader, so that the heart points
to positive x.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

Finding = Literal["effusion", "nodule", "normal", "opacity"]
Plane = Float32[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Anatomy:
    """A patient's anatomy, the same on all films; lengths in chest units, densities unitless."""

    thorax_width: float
    thorax_top: float
    thorax_bottom: float
    mediastinum_width: float
    heart_width: float
    heart_height: float
    diaphragm_right: float
    diaphragm_left: float
    rib_spacing: float
    rib_phase: float
    rib_slope: float
    rib_density: float
    fat: float
    aeration: float
    height_to_width: float

    @classmethod
    def drawn_from(cls, random: np.random.Generator) -> "Anatomy":
        """Return a random patient's anatomy."""
        right = random.uniform(0.36, 0.56)
        return cls(
            thorax_width=random.uniform(0.92, 1.04),
            thorax_top=random.uniform(-0.95, -0.86),
            thorax_bottom=random.uniform(0.45, 0.65),
            mediastinum_width=random.uniform(0.13, 0.19),
            heart_width=random.uniform(0.34, 0.46),
            heart_height=random.uniform(0.34, 0.42),
            diaphragm_right=right,
            diaphragm_left=right + random.uniform(0.02, 0.1),
            rib_spacing=random.uniform(0.155, 0.19),
            rib_phase=random.uniform(0, 1),
            rib_slope=random.uniform(0.3, 0.55),
            rib_density=random.uniform(0.07, 0.15),
            fat=random.uniform(0.06, 0.2),
            aeration=random.uniform(0.42, 0.58),
            height_to_width=random.uniform(0.92, 1.22),
        )

    def outer_edge(self, y: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """Return the half width of the rib cage at height `y`."""
        span = self.thorax_bottom - self.thorax_top
        above = np.clip((self.thorax_bottom - y) / span, 0, 1)
        return np.asarray(self.thorax_width * (1 - above**2.4) ** 0.6, np.float32)

    def heart_edge(self, y: float) -> float:
        """Return the x of the heart's border on the image's right at height `y`."""
        x, centre, width, height = self.heart_ellipse
        return x + width * max(0.0, 1 - ((y - centre) / height) ** 2) ** 0.5

    @property
    def heart_ellipse(self) -> tuple[float, float, float, float]:
        """Centre x and y, half width and half height."""
        return 0.16, self.diaphragm_left - 0.22, self.heart_width, self.heart_height


@dataclass(frozen=True)
class Lesion:
    """A finding and its place; `side` is 1 for the lung on the image's right, -1 for the other."""

    finding: Finding
    side: int
    x: float
    y: float
    radius: float
    density: float
    lobes: tuple[tuple[float, float, float], ...] = ()

    @classmethod
    def drawn_from(
        cls, random: np.random.Generator, anatomy: Anatomy, finding: Finding
    ) -> "Lesion":
        """Return a random lesion of this finding inside one lung of the patient."""
        side = int(random.choice((-1, 1)))
        y = random.uniform(-0.4, 0.25)
        inner = anatomy.heart_edge(y) if side > 0 else anatomy.mediastinum_width + 0.08
        outer = anatomy.outer_edge(np.full(1, y, np.float32)).item()
        x = side * (inner + (outer - inner) * random.uniform(0.4, 0.7))
        if finding == "nodule":
            return cls(finding, side, x, y, random.uniform(0.09, 0.13), random.uniform(0.4, 0.55))
        if finding == "effusion":
            level = anatomy.diaphragm_right - random.uniform(0.1, 0.35)
            return cls(finding, side, x, level, 0.0, 0.62)
        radius = random.uniform(0.18, 0.28)
        lobes = tuple(_lobe(random, radius) for _ in range(5))
        return cls(finding, side, x, y, radius, random.uniform(0.38, 0.5), lobes)


def _lobe(random: np.random.Generator, radius: float) -> tuple[float, float, float]:
    x, y = random.uniform(-0.8, 0.8, 2) * radius
    return float(x), float(y), float(random.uniform(0.4, 0.7) * radius)


def smooth(inside: Float32[np.ndarray, "*shape"], edge: float) -> Float32[np.ndarray, "*shape"]:
    """Return a soft step: 1 where `inside` is well above 0, 0 well below, `edge` wide."""
    share = np.clip(inside * np.float32(1 / edge) + np.float32(0.5), 0, 1)
    return share * share * (3 - 2 * share)


def lungs(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Return the share of each pixel that is lung, 0 to 1."""
    distance = np.abs(x)
    hilum = 0.05 * np.exp(-(((y + 0.1) / 0.15) ** 2))
    medial = distance - anatomy.mediastinum_width - hilum
    lateral = anatomy.outer_edge(y) - 0.05 - distance
    above = diaphragm(anatomy, x) - y
    region = smooth(medial, 0.06) * smooth(lateral, 0.05) * smooth(above, 0.04)
    return region * (1 - heart(anatomy, x, y))


def diaphragm(anatomy: Anatomy, x: Plane) -> Plane:
    """Return the height of the two domes; they fall steeply to the costophrenic angles."""
    lower_by = anatomy.diaphragm_left - anatomy.diaphragm_right
    top = np.float32(anatomy.diaphragm_right) + np.float32(lower_by) * smooth(x, 0.5)
    from_crest = np.clip((np.abs(x) - np.float32(0.42)) * 2, -0.3, 1.2)
    return top + np.float32(0.24) * from_crest * from_crest


def heart(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Return the share of each pixel that is heart, 0 to 1."""
    centre_x, centre_y, width, height = anatomy.heart_ellipse
    across, down = (x - centre_x) / width, (y - centre_y) / height
    # The apex hangs: the ellipse leans outwards as it goes down.
    across = across - np.float32(0.25) * down
    return smooth(1 - across * across - down * down, 0.3)


def ribs(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Return bone of the rib cage: back ribs, fainter front ribs, and the cage's bright rim."""
    distance = np.abs(x)
    outer = anatomy.outer_edge(y)
    fall = distance * (anatomy.rib_slope * distance - np.float32(0.12))
    back = _bands((y - fall) / anatomy.rib_spacing + anatomy.rib_phase)
    fall = np.float32(0.5) * (1 - distance)
    front = _bands((y - fall) / anatomy.rib_spacing + anatomy.rib_phase)
    front *= smooth(distance - 0.38, 0.2)
    rim = smooth(0.035 - np.abs(outer - 0.03 - distance), 0.05)
    return smooth(outer - distance, 0.03) * (back + np.float32(0.6) * front + np.float32(0.7) * rim)


def _bands(position: Plane) -> Plane:
    return smooth(np.cos(np.float32(2 * np.pi) * position) - np.float32(0.45), 0.7)


def hila(x: Plane, y: Plane) -> Plane:
    """Return the vessels at the roots of the lungs, as two clouds."""
    across, down = (np.abs(x) - np.float32(0.2)) / np.float32(0.17), (y + np.float32(0.08)) * 4
    return np.exp(-across * across - down * down)


def clavicles(x: Plane, y: Plane) -> Plane:
    """Return the two collar bones."""
    distance = np.abs(x)
    bend = np.float32(0.05) * np.sin(np.float32(6) * distance)
    line = np.float32(-0.58) - np.float32(0.22) * distance + bend
    ends = smooth(distance - 0.1, 0.04) * smooth(1.05 - distance, 0.06)
    return smooth(0.036 - np.abs(y - line), 0.04) * ends


def spine(x: Plane, y: Plane) -> Plane:
    """Return the column of vertebrae."""
    discs = np.float32(0.8) + np.float32(0.2) * np.cos(np.float32(2 * np.pi / 0.14) * y)
    return smooth(0.085 - np.abs(x), 0.04) * discs


def body(x: Plane, y: Plane) -> Plane:
    """Return the share of each pixel inside the patient's outline: neck, shoulders, trunk."""
    heights = (-1.6, -1.12, -1.0, -0.85, -0.6, -0.2, 0.5, 1.6)
    widths = (0.36, 0.38, 0.55, 0.95, 1.28, 1.2, 1.13, 1.17)
    outline = np.interp(y[:, 0], heights, widths).astype(np.float32)[:, None]
    return smooth(outline - np.abs(x), 0.16)


def lesion_share(lesion: Lesion, anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Return the share of each pixel that the lesion fills, 0 to 1, inside or outside the lung."""
    own_side = smooth(x * lesion.side, 0.02)
    if lesion.finding == "nodule":
        across, down = x - lesion.x, y - lesion.y
        return smooth(1 - (across * across + down * down) / lesion.radius**2, 0.7)
    if lesion.finding == "effusion":
        return own_side * smooth(y - _meniscus(lesion, anatomy, x), 0.06)
    cloud = np.zeros_like(x)
    for to_right, to_bottom, radius in lesion.lobes:
        squares = (x - lesion.x - to_right) ** 2 + (y - lesion.y - to_bottom) ** 2
        cloud += np.exp(squares * np.float32(-0.5 / radius**2))
    return own_side * smooth(cloud - np.float32(0.75), 1.5)


def _meniscus(lesion: Lesion, anatomy: Anatomy, x: Plane) -> Plane:
    """Return the height of an effusion's surface, which rises along the chest wall."""
    outwards = np.clip(np.abs(x) / anatomy.thorax_width, 0, 1)
    return (lesion.y + np.float32(0.12) - np.float32(0.45) * outwards**4).astype(np.float32)


def density(anatomy: Anatomy, lesion: Lesion | None, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return the density along each pixel's ray, and the share of lesion (0 to 1, in the lungs).

    Args:
        anatomy: The patient.
        lesion: The finding; None on a normal film.
        x: Chest coordinate of every pixel, across.
        y: Chest coordinate of every pixel, downwards.
    """
    lung = lungs(anatomy, x, y)
    trunk = body(x, y)
    below = trunk * smooth(y - diaphragm(anatomy, x), 0.04)
    tissue = np.float32(0.75 + anatomy.fat) * trunk
    tissue += np.float32(0.3) * below + np.float32(0.25) * heart(anatomy, x, y)
    tissue += np.float32(0.3) * smooth(anatomy.mediastinum_width - np.abs(x), 0.1)
    tissue += np.float32(0.25) * spine(x, y) + np.float32(0.16) * clavicles(x, y)
    tissue += anatomy.rib_density * ribs(anatomy, x, y) * (1 - np.float32(0.6) * below)
    tissue += np.float32(0.13) * hila(x, y)
    tissue -= np.float32(0.2) * smooth(0.06 - np.abs(x), 0.05) * smooth(-0.3 - y, 0.2)
    tissue -= anatomy.aeration * lung
    if lesion is None:
        return tissue, np.zeros_like(lung)
    share = lung * lesion_share(lesion, anatomy, x, y)
    return tissue + lesion.density * share, share
