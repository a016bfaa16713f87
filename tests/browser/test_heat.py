"""The page's arithmetic (`heat.js`) is the server's (`xai.heatmap`)."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser.reader import Reader
from xai.heatmap import colours, film_heat, heat

pytestmark = pytest.mark.browser

LAYER = """
async ([evidence, scale, pixelsPerCell]) => {
  const { heat, heatLayer } = await import("/heat.js");
  const { rgb } = await (await fetch("/v1/colour-map")).json();
  return Array.from(heatLayer(heat(evidence, scale), rgb, pixelsPerCell).data);
}
"""


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 8), columns=st.integers(1, 8), seed=st.integers(0, 9))
def test_a_painted_layer_has_the_heat_and_the_colours_of_the_server(
    reader: Reader, rows: int, columns: int, seed: int
) -> None:
    evidence = np.random.default_rng(seed).normal(size=(rows, columns))
    painted = np.array(reader.page.evaluate(LAYER, [evidence.tolist(), 1.5, 4]))
    painted = painted.reshape(4 * rows, 4 * columns, 4)
    warm = film_heat(heat(evidence, 1.5), (4.0, 0.0, 0.0, 0.0, 4.0, 0.0), 4 * rows, 4 * columns)
    assert np.abs(painted[..., 3] - 255 * warm).max() <= 0.51
    assert np.abs(painted[..., :3] - colours(warm).astype(int)).max() <= 10  # a colour apart
