/**
 * Draws level lines through a grid. Pure.
 *
 * Source: marching squares, the plane's case of marching cubes (Lorensen and Cline 1987); a saddle
 * is joined as the bilinear field itself is (asymptotic decider, Nielson and Hamann 1991).
 */

/**
 * Returns where the field between a grid's cell centres (`heatAt`'s, beyond them constant up to the
 * grid's edge) equals a level, as polylines of [column, row].
 *
 * `level` is in the grid's own units. Of `heat(evidence, scale)` the lines bound what `heatLayer`
 * paints with that threshold. A ring ends with the point it begins with; other lines end at the
 * grid's edge.
 */
export function contours(grid, level) {
  const nodes = extended(grid);
  const follows = new Map();
  for (let row = 0; row + 1 < nodes.rows.length; row++) {
    for (let column = 0; column + 1 < nodes.columns.length; column++) {
      for (const one of segments(nodes, row, column, level)) follows.set(one.from.key, one);
    }
  }
  return joined(follows);
}

/** Returns the cell centres with their values, and the grid's edge around them. */
function extended(grid) {
  const outwards = (cells) => [cells[0], ...cells, cells.at(-1)];
  return {
    values: outwards(grid).map(outwards),
    rows: places(grid.length),
    columns: places(grid[0].length),
  };
}

function places(cells) {
  return [0, ...Array.from({ length: cells }, (_, cell) => cell + 0.5), cells];
}

/** A square's corners, clockwise from the upper left; edge E leads from corner E to the next. */
const CORNERS = [[0, 0], [0, 1], [1, 1], [1, 0]];
const EDGES = [0, 1, 2, 3];

/**
 * Returns the lines through the square between four nodes, each from an edge where the field falls
 * to `level` or below to one where it rises, walking round the square clockwise.
 */
function segments(nodes, row, column, level) {
  const corners = CORNERS.map(([down, right]) => [row + down, column + right]);
  const values = corners.map(([r, c]) => nodes.values[r][c]);
  const inside = values.map((value) => value > level);
  const falls = EDGES.filter((edge) => inside[edge] && !inside[(edge + 1) % 4]);
  const rises = EDGES.filter((edge) => !inside[edge] && inside[(edge + 1) % 4]);
  const point = (edge) => crossingPoint(nodes, corners[edge], corners[(edge + 1) % 4], level);
  const turn = saddleValue(values) > level ? 1 : 3; // round a low corner, or round a high one
  return falls.map((fall) => ({
    from: point(fall),
    to: point(rises.includes((fall + turn) % 4) ? (fall + turn) % 4 : rises[0]),
  }));
}

/** Returns the bilinear field's value at its saddle, from the corners' in their order. */
function saddleValue([a, b, c, d]) {
  return (a * c - b * d) / (a + c - b - d);
}

/** Returns the point of level between two nodes; its key is the same from either side. */
function crossingPoint({ values, rows, columns }, one, other, level) {
  const [[r, c], [toRow, toColumn]] = [one, other].sort(([r1, c1], [r2, c2]) => r1 - r2 || c1 - c2);
  const share = (level - values[r][c]) / (values[toRow][toColumn] - values[r][c]);
  const between = (places, from, to) => places[from] + share * (places[to] - places[from]);
  return {
    key: 2 * (r * columns.length + c) + (toRow - r),
    place: [between(columns, c, toColumn), between(rows, r, toRow)],
  };
}

/** Returns segments, found by the key of their first point, as polylines: open ones, then rings. */
function joined(follows) {
  const ends = new Set([...follows.values()].map(({ to }) => to.key));
  const open = [...follows.keys()].filter((key) => !ends.has(key));
  return [...open, ...follows.keys()].map((key) => line(follows, key)).filter((one) => one.length);
}

/** Takes the line that begins at a key out of the segments. */
function line(follows, key) {
  const places = [];
  for (let segment; (segment = follows.get(key)); key = segment.to.key) {
    follows.delete(key);
    if (!places.length) places.push(segment.from.place);
    places.push(segment.to.place);
  }
  return places;
}
