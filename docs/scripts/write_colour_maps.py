"""Write the colour maps of heat maps from matplotlib's, one JSON file each.

python docs/scripts/write_colour_maps.py        # rewrites xai/colour_maps/*.json

The server has no matplotlib, so the package contains the tables. A test checks that they are equal.
"""

import json
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps

from xai.heatmap import COLOUR_MAPS, ColourMapName


class Origin(NamedTuple):
    """Kind and source of a colour map."""

    kind: str
    source: str


SMITH = "by Nathaniel J. Smith and Stefan van der Walt, CC0"
ORIGINS = {
    ColourMapName.INFERNO: Origin("sequential", SMITH),
    ColourMapName.VIRIDIS: Origin(
        "sequential", "by Nathaniel J. Smith, Stefan van der Walt and Eric Firing, CC0"
    ),
    ColourMapName.CIVIDIS: Origin(
        "sequential", "by Nunez, Anderton, Renslow, doi 10.1371/journal.pone.0199239, CC0"
    ),
    ColourMapName.MAGMA: Origin("sequential", SMITH),
    ColourMapName.MANAGUA_R: Origin(
        "diverging", "Fabio Crameri's managua turned round, doi 10.5281/zenodo.1243862, MIT"
    ),
}
COLOURS_PER_LINE = 6


def main() -> int:
    """Rewrite the folder."""
    for name in ColourMapName:
        (COLOUR_MAPS / f"{name}.json").write_text(document(name), encoding="utf-8")
    return 0


def document(name: ColourMapName) -> str:
    """Return the JSON of a colour map: its name, source, kind and 256 colours of 8 bits."""
    kind, source = ORIGINS[name]
    source = f"matplotlib's {name}, {source}; rounded to 8 bits"
    head = json.dumps({"name": name, "source": source, "kind": kind})
    rgb = np.rint(colormaps[name](np.arange(256))[:, :3] * 255).astype(int).tolist()
    lines = [str(rgb[at : at + COLOURS_PER_LINE])[1:-1] for at in range(0, 256, COLOURS_PER_LINE)]
    return head[:-1] + ',\n "rgb": [\n  ' + ",\n  ".join(lines) + "\n ]}\n"


if __name__ == "__main__":
    raise SystemExit(main())
