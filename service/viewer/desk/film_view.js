/** Draws a film on a canvas: its pixels, a map over them, outlines, a rectangle, a scale bar. */

import { FITTED, filmToCanvas, moved, undone, visibleBox, zoomOf } from "./geometry.js";
import { scaleBar } from "./strings.js";

const EDGE = 12;
const BAR_SHARE = 0.25;
const SAME = [1, 0, 0, 0, 1, 0];

/** A canvas that shows a film; it draws itself again, once a frame, when anything has changed. */
export class FilmView {
  #context;
  #scene = { film: null, view: FITTED, window: null, inverted: false, map: null, opacity: 0.5 };
  #awaited = false;

  /** Takes a canvas; `onDraw` is called when it was drawn. */
  constructor(canvas, { onDraw = () => {} } = {}) {
    this.canvas = canvas;
    this.onDraw = onDraw;
    this.#context = canvas.getContext("2d", { alpha: false });
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /**
   * Changes what is seen; what is left out stays.
   *
   * `film` is a FilmPixels, `view` as in geometry.js, `window` as in film_pixels.js, `inverted` a
   * boolean, `map` {layer, box, affine, clip}: a picture of the box [x0, y0, x1, y1] in grid cells, the
   * affine from them to film pixels, and rings of film pixels that it is drawn within (an odd number of
   * them), `outline` lines with an affine: {lines, affine}, drawn likewise, `lungs` rings of film pixels,
   * `opacity` in [0, 1], `rectangle` [x0, y0, x1, y1] in film pixels.
   */
  show(change) {
    Object.assign(this.#scene, change);
    if (this.#awaited) return;
    this.#awaited = true;
    requestAnimationFrame(() => {
      this.#awaited = false;
      this.#draw();
    });
  }

  /** What is seen. */
  get scene() {
    return this.#scene;
  }

  /** Returns the affine from film pixels to canvas pixels. */
  get affine() {
    return drawnAffine(this.#scene, this.canvas);
  }

  /** Returns the point of the film under a point of the window (CSS pixels); null without a film. */
  filmPoint({ clientX, clientY }) {
    return this.#scene.film && moved(undone(this.affine), this.canvasPoint({ clientX, clientY }));
  }

  /** Returns the canvas pixel under a point of the window (CSS pixels). */
  canvasPoint({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const { canvas } = this;
    return [((clientX - left) * canvas.width) / width, ((clientY - top) * canvas.height) / height];
  }

  /** Returns a new canvas of another size with what is seen on it, but for these changes. */
  picture({ width, height }, change = {}) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const scene = { ...this.#scene, ...change };
    drawScene(canvas.getContext("2d", { alpha: false }), canvas, scene);
    return canvas;
  }

  /** Gives the canvas a pixel for each of the screen's that it lies on. */
  #resize() {
    const { left, top, right, bottom } = this.canvas.getBoundingClientRect();
    const [x0, y0, x1, y1] = [left, top, right, bottom].map((side) => Math.round(side * devicePixelRatio));
    this.canvas.width = Math.max(1, x1 - x0);
    this.canvas.height = Math.max(1, y1 - y0);
    this.#draw();
  }

  #draw() {
    drawScene(this.#context, this.canvas, this.#scene);
    this.onDraw(this);
  }
}

function drawScene(context, canvas, scene) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!scene.film) return;
  const affine = drawnAffine(scene, canvas);
  context.save();
  transform(context, affine);
  context.beginPath();
  context.rect(0, 0, scene.film.columns, scene.film.rows);
  context.clip();
  drawFilm(context, canvas, scene, affine);
  if (scene.map) drawMap(context, scene);
  context.restore();
  if (scene.outline) drawOutline(context, scene, affine);
  if (scene.lungs) drawRings(context, scene.lungs, affine, "#8ce0d0");
  if (scene.rectangle) drawRectangle(context, scene.rectangle, affine);
  if (scene.film.spacing) drawScaleBar(context, canvas, scene);
}

/** Returns the affine to canvas pixels; by whole ones, so that 1:1 shows each film pixel as it is. */
function drawnAffine({ view, film }, canvas) {
  const [a, b, c, d, e, f] = filmToCanvas(view, film, canvas);
  return [a, b, Math.round(c), d, e, Math.round(f)];
}

function drawFilm(context, canvas, { film, view, window, inverted }, affine) {
  const zoom = zoomOf(view, film, canvas);
  film.draw(context, visibleBox(affine, film, canvas), { zoom, window, inverted });
}

function drawMap(context, { map: { layer, box: [x0, y0, x1, y1], affine, smooth, clip }, opacity }) {
  context.save();
  if (clip) clipTo(context, clip, SAME);
  transform(context, affine, true);
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = smooth !== false;
  context.drawImage(layer, x0, y0, x1 - x0, y1 - y0);
  context.restore();
}

function drawOutline(context, { outline: { lines, affine }, map: { clip } }, filmAffine) {
  const onFilm = lines.map((line) => line.map((point) => moved(affine, point)));
  context.save();
  if (clip) clipTo(context, clip, filmAffine);
  trace(context, onFilm, filmAffine);
  strokeTwice(context, "#ffffff");
  context.restore();
}

function drawRectangle(context, [x0, y0, x1, y1], affine) {
  drawRings(context, [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], affine, "#7db8f0");
}

function drawRings(context, rings, affine, colour) {
  trace(context, rings, affine, { closed: true });
  strokeTwice(context, colour);
}

/** Draws from now on only inside rings: where an odd number of them lies around. */
function clipTo(context, rings, affine) {
  trace(context, rings, affine, { closed: true });
  context.clip("evenodd");
}

/** Begins a path of lines, their points moved by an affine. */
function trace(context, lines, affine, { closed = false } = {}) {
  context.beginPath();
  for (const line of lines) {
    const points = line.map((point) => moved(affine, point));
    points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (closed) context.closePath();
  }
}

/** Strokes a path so that it is seen on bright and on dark ground. */
function strokeTwice(context, colour) {
  context.lineJoin = "round"; // else a sharp turn of a line would end in a spike
  for (const [width, style] of [[3.5, "#000000"], [1.5, colour]]) {
    context.lineWidth = width * devicePixelRatio;
    context.strokeStyle = style;
    context.stroke();
  }
}

/** Draws a length on the film that is a round number of centimetres or millimetres. */
function drawScaleBar(context, canvas, { film, view }) {
  const along = film.spacing[view.turns % 2 ? 0 : 1];
  const pixelsPerMillimetre = zoomOf(view, film, canvas) / along;
  const millimetres = roundLength((BAR_SHARE * canvas.width) / pixelsPerMillimetre);
  const length = millimetres * pixelsPerMillimetre;
  const [edge, tick] = [EDGE * devicePixelRatio, 5 * devicePixelRatio];
  const [left, bottom] = [edge, canvas.height - edge];
  context.beginPath();
  context.moveTo(left, bottom - tick);
  context.lineTo(left, bottom);
  context.lineTo(left + length, bottom);
  context.lineTo(left + length, bottom - tick);
  strokeTwice(context, "#ffffff");
  context.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  context.lineWidth = 3 * devicePixelRatio;
  context.strokeStyle = "#000000";
  context.fillStyle = "#ffffff";
  const words = [scaleBar(millimetres), left + tick, bottom - tick];
  context.strokeText(...words);
  context.fillText(...words);
}

/** Returns the largest of 1, 2, 5 times a power of ten that is not above a length. */
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((step) => step * power <= length) * power;
}

function transform(context, [a, b, c, d, e, f], further = false) {
  if (further) context.transform(a, d, b, e, c, f);
  else context.setTransform(a, d, b, e, c, f);
}
