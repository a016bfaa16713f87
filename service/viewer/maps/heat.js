/**
 * Turns an evidence grid into heat and colours. Pure functions, the twins of `xai/heatmap.py`.
 *
 * A grid is an array of rows of numbers; cell (0, 0) covers [0, 1) x [0, 1).
 */

/** Side of a cell in a painted layer; the canvas smooths what lies between. */
export const PIXELS_PER_CELL = 16;

/**
 * Returns heat in [0, 1]: the positive part of the evidence on the model's fixed scale. Signed it
 * lies in [-1, 1], and below 0 is what argues against the class.
 */
export function heat(evidence, evidenceScale, { signed = false } = {}) {
  const least = signed ? -1 : 0;
  return evidence.map((row) => row.map((value) => clamp(value / evidenceScale, least, 1)));
}

/** Returns heat at a point, bilinear between cell centres; beyond them the outermost cell's. */
export function heatAt(grid, column, row) {
  const [rows, columns] = [grid.length, grid[0].length];
  const [left, right, toRight] = neighbours(column, columns);
  const [above, below, toBelow] = neighbours(row, rows);
  const upper = mix(grid[above][left], grid[above][right], toRight);
  const lower = mix(grid[below][left], grid[below][right], toRight);
  return mix(upper, lower, toBelow);
}

/**
 * Returns an evidence grid as an ImageData to paint with: colour of the heat, and |heat| as alpha.
 *
 * Painted over the film with a global alpha of `opacity` it gives
 * `(1 - opacity * heat) * grey + opacity * heat * colour`, so no heat leaves the film grey.
 *
 * - `evidenceScale`: evidence that gets full colour.
 * - `colours`: 256 RGB triples; those of a diverging map if `signed`, else of a sequential one.
 * - `signed`: paint what argues against the class as well.
 * - `threshold`: |heat| in [0, 1] below which nothing is painted (to 1/255).
 * - `raw`: one flat colour for each cell; else bilinear between cell centres.
 * - `box`: [x0, y0, x1, y1] that the picture covers, in grid coordinates; left out, the whole grid.
 *   Where it reaches beyond the grid, the outermost cells go on to its edges.
 */
export function heatLayer(
  evidence,
  {
    evidenceScale,
    colours,
    signed = false,
    threshold = 0,
    raw = false,
    box = [0, 0, evidence[0].length, evidence.length],
    pixelsPerCell = PIXELS_PER_CELL,
  },
) {
  const grid = heat(evidence, evidenceScale, { signed });
  const paints = paintOfLevels(colours, { signed, threshold });
  const [x0, y0, x1, y1] = box;
  const mixed = raw ? ownCells : neighbouringCells;
  const across = mixed(evenPlaces(x0, x1, pixelsPerCell), grid[0].length);
  const down = mixed(evenPlaces(y0, y1, pixelsPerCell), grid.length);
  const layer = new ImageData(across.share.length, down.share.length);
  const pixels = new Uint32Array(layer.data.buffer);
  const line = new Float64Array(grid[0].length);
  for (let y = 0; y < layer.height; y++) {
    mixRows(line, grid[down.first[y]], grid[down.second[y]], down.share[y]);
    paintRow(pixels, y * layer.width, line, across, paints);
  }
  return layer;
}

/** Levels of heat on either side of 0; level L of [-255, 255] stands at place LEVELS + L. */
const LEVELS = 255;

/** Returns how each level of heat is painted, as the four bytes of a pixel in one number. */
function paintOfLevels(colours, { signed, threshold }) {
  const paints = new Uint32Array(2 * LEVELS + 1);
  const bytes = new Uint8Array(paints.buffer);
  for (let level = signed ? -LEVELS : 0; level <= LEVELS; level++) {
    if (Math.abs(level) < threshold * LEVELS) continue;
    const rgb = colours[signed ? Math.floor((level + LEVELS + 1) / 2) : level];
    bytes.set([...rgb, Math.abs(level)], 4 * (LEVELS + level));
  }
  return paints;
}

/** Fills a line with the heat between two rows of cells, as places among the levels. */
function mixRows(line, above, below, toBelow) {
  for (let column = 0; column < line.length; column++) {
    line[column] = LEVELS * (1 + mix(above[column], below[column], toBelow)) + 0.5;
  }
}

/** Paints one row of pixels, the first of which stands at `start`. */
function paintRow(pixels, start, line, { first, second, share }, paints) {
  for (let x = 0; x < share.length; x++) {
    pixels[start + x] = paints[mix(line[first[x]], line[second[x]], share[x]) | 0];
  }
}

/** Returns places along a side, in grid coordinates: the middles of about so many parts a cell. */
export function evenPlaces(from, to, perCell) {
  const length = Math.max(1, Math.round((to - from) * perCell));
  return Array.from({ length }, (_, at) => from + ((at + 0.5) * (to - from)) / length);
}

/** Returns, for each place along one side, the two cells to mix and the share of the second. */
function neighbouringCells(places, cells) {
  const found = places.map((place) => neighbours(place, cells));
  return {
    first: Uint16Array.from(found, ([first]) => first),
    second: Uint16Array.from(found, ([, second]) => second),
    share: Float64Array.from(found, ([, , share]) => share),
  };
}

/** Returns the same for flat squares: the place's own cell, and nothing of another. */
function ownCells(places, cells) {
  const first = Uint16Array.from(places, (place) => clamp(Math.floor(place), 0, cells - 1));
  return { first, second: first, share: new Float64Array(first.length) };
}

/** Returns the cell with the most heat as {heat, row, column}; the first of equals. */
export function hottestCell(grid) {
  let hottest = { heat: -Infinity, row: 0, column: 0 };
  grid.forEach((cells, row) =>
    cells.forEach((value, column) => {
      if (value > hottest.heat) hottest = { heat: value, row, column };
    }),
  );
  return hottest;
}

/** Returns the two cells whose centres enclose a position, and how far it is to the second. */
function neighbours(position, cells) {
  const betweenCentres = clamp(position - 0.5, 0, cells - 1);
  const first = Math.floor(betweenCentres);
  return [first, Math.min(first + 1, cells - 1), betweenCentres - first];
}

function mix(first, second, share) {
  return first + (second - first) * share;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
