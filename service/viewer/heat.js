/**
 * Turns an evidence grid into heat and colours. Pure functions, the twins of `xai/heatmap.py`.
 *
 * A grid is an array of rows of numbers; cell (0, 0) covers [0, 1) x [0, 1).
 */

/** Side of a cell in a painted layer; the canvas smooths what lies between. */
export const PIXELS_PER_CELL = 16;

/** Returns heat in [0, 1]: the positive part of the evidence on the model's fixed scale. */
export function heat(evidence, evidenceScale) {
  return evidence.map((row) => row.map((value) => clamp(value / evidenceScale, 0, 1)));
}

/** Returns heat at a point, bilinear between cell centres; outside the grid there is none. */
export function heatAt(grid, column, row) {
  const [rows, columns] = [grid.length, grid[0].length];
  if (column < 0 || row < 0 || column >= columns || row >= rows) return 0;
  const [left, right, toRight] = neighbours(column, columns);
  const [above, below, toBelow] = neighbours(row, rows);
  const upper = mix(grid[above][left], grid[above][right], toRight);
  const lower = mix(grid[below][left], grid[below][right], toRight);
  return mix(upper, lower, toBelow);
}

/**
 * Returns the grid as an ImageData to paint with: colour of the heat, and the heat as alpha.
 *
 * Painted over the film with a global alpha of `opacity` it gives
 * `(1 - opacity * heat) * grey + opacity * heat * colour`, so no heat leaves the film grey.
 */
export function heatLayer(grid, colourTable, pixelsPerCell = PIXELS_PER_CELL) {
  const layer = new ImageData(grid[0].length * pixelsPerCell, grid.length * pixelsPerCell);
  for (let y = 0, at = 0; y < layer.height; y++) {
    for (let x = 0; x < layer.width; x++, at += 4) {
      const value = heatAt(grid, (x + 0.5) / pixelsPerCell, (y + 0.5) / pixelsPerCell);
      layer.data.set(colour(value, colourTable), at);
      layer.data[at + 3] = Math.round(255 * value);
    }
  }
  return layer;
}

/** Returns the RGB triple of a heat in [0, 1]. */
export function colour(value, colourTable) {
  return colourTable[Math.floor(255 * value + 0.5)];
}

/** Returns the cell with the most heat as {heat, row, column}; the first of equals. */
export function hottestCell(grid) {
  let hottest = { heat: -1, row: 0, column: 0 };
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
