/**
 * Computes where a film lies on a canvas. Pure functions.
 *
 * An affine is [a, b, c, d, e, f]: x = a * column + b * row + c, y = d * column + e * row + f.
 * A view is {zoom, x, y, turns}: canvas pixels per film pixel (null fits the film), the point of the
 * film in the canvas' middle as shares of its width and height, and quarter turns clockwise.
 */

export const FITTED = Object.freeze({ zoom: null, x: 0.5, y: 0.5, turns: 0 });

const MOST_ZOOM = 32;
const QUARTERS = [
  [1, 0, 0, 1],
  [0, -1, 1, 0],
  [-1, 0, 0, -1],
  [0, 1, -1, 0],
];

/** Returns the point that an affine takes a point to. */
export function moved([a, b, c, d, e, f], [x, y]) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** Returns the affine that undoes one. */
export function undone([a, b, c, d, e, f]) {
  const area = a * e - b * d;
  return [e, -b, b * f - c * e, -d, a, c * d - a * f].map((value) => value / area);
}

/** Returns the view's zoom in numbers: a fitted film is shown whole. */
export function zoomOf({ zoom, turns }, film, canvas) {
  if (zoom !== null) return zoom;
  const [width, height] = turns % 2 ? [film.rows, film.columns] : [film.columns, film.rows];
  return Math.min(canvas.width / width, canvas.height / height);
}

/** Returns the affine from film pixels to canvas pixels. */
export function filmToCanvas(view, film, canvas) {
  const zoom = zoomOf(view, film, canvas);
  const [a, b, d, e] = QUARTERS[view.turns].map((value) => value * zoom);
  const [x, y] = [view.x * film.columns, view.y * film.rows];
  return [a, b, canvas.width / 2 - a * x - b * y, d, e, canvas.height / 2 - d * x - e * y];
}

/** Returns the view after zooming by a factor; the film stays where it is under a canvas point. */
export function zoomed(view, film, canvas, factor, point = [canvas.width / 2, canvas.height / 2]) {
  const fit = zoomOf({ ...view, zoom: null }, film, canvas);
  const before = zoomOf(view, film, canvas);
  const zoom = Math.min(Math.max(before * factor, Math.min(fit, 1) / 2), Math.max(MOST_ZOOM, fit));
  const held = moved(undone(filmToCanvas(view, film, canvas)), point);
  const now = moved(filmToCanvas({ ...view, zoom }, film, canvas), held);
  return panned({ ...view, zoom }, film, canvas, [point[0] - now[0], point[1] - now[1]]);
}

/** Returns the view after dragging the film by canvas pixels; its middle stays on the film. */
export function panned(view, film, canvas, [right, down]) {
  const middle = [canvas.width / 2 - right, canvas.height / 2 - down];
  const [x, y] = moved(undone(filmToCanvas(view, film, canvas)), middle);
  const share = (value, whole) => Math.min(Math.max(value / whole, 0), 1);
  return {
    ...view,
    zoom: zoomOf(view, film, canvas),
    x: share(x, film.columns),
    y: share(y, film.rows),
  };
}

/** Returns the view turned by quarters clockwise; negative turns go back. */
export function turned(view, quarters) {
  return { ...view, turns: (view.turns + quarters + 4) % 4 };
}

/** Returns {left, top, right, bottom} of what a canvas shows of a film, in film pixels. */
export function visibleBox(affine, film, canvas) {
  const back = undone(affine);
  const corners = [[0, 0], [canvas.width, canvas.height]].map((corner) => moved(back, corner));
  const between = (values, most) =>
    [Math.min(...values), Math.max(...values)].map((value) => Math.min(Math.max(value, 0), most));
  const [left, right] = between(corners.map(([x]) => x), film.columns);
  const [top, bottom] = between(corners.map(([, y]) => y), film.rows);
  return { left, top, right, bottom };
}

/** Returns the rectangle [x0, y0, x1, y1] in whole film pixels between two points of it. */
export function rectangle(film, [ax, ay], [bx, by]) {
  const ends = (one, other, most) =>
    [Math.floor(Math.min(one, other)), Math.ceil(Math.max(one, other))].map((value) =>
      Math.min(Math.max(value, 0), most),
    );
  const [x0, x1] = ends(ax, bx, film.columns);
  const [y0, y1] = ends(ay, by, film.rows);
  return [x0, y0, x1, y1];
}
