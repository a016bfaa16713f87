/** Draws one film on one canvas, with or without a heat layer, in any size of the canvas. */

import { heatLayer } from "./heat.js";

/**
 * Returns the view that fits a film into a canvas: film pixel (x, y) lies at
 * (left + scale * x, top + scale * y) of the canvas.
 */
export function fittedView(film, canvas) {
  const scale = Math.min(canvas.width / film.width, canvas.height / film.height);
  return {
    scale,
    left: (canvas.width - scale * film.width) / 2,
    top: (canvas.height - scale * film.height) / 2,
  };
}

/** Returns a heat grid as a canvas that `FilmView.showMap` paints with. */
export function paintedGrid(grid, colourTable) {
  const picture = heatLayer(grid, { evidenceScale: 1, colours: colourTable });
  const layer = new OffscreenCanvas(picture.width, picture.height);
  layer.getContext("2d").putImageData(picture, 0, 0);
  return { layer, rows: grid.length, columns: grid[0].length };
}

/** A canvas that shows a film; it is redrawn when anything about it changes. */
export class FilmView {
  #context;
  #film = null;
  #map = null;
  #opacity = 0.5;

  constructor(canvas) {
    this.canvas = canvas;
    // Tests and exports read pixels back; Chromium then keeps the canvas in memory.
    this.#context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** Shows a film (an ImageBitmap) without a map; null empties the canvas. */
  showFilm(film) {
    this.#film = film;
    this.#map = null;
    this.#resize();
  }

  /** Lays a painted grid over the film; `affine` takes grid coordinates to film pixels. */
  showMap(grid, affine) {
    this.#map = { ...grid, affine };
    this.#draw();
  }

  /** Takes the map away. */
  hideMap() {
    this.#map = null;
    this.#draw();
  }

  /** Sets how much of the film full heat hides, in [0, 1]. */
  set opacity(opacity) {
    this.#opacity = opacity;
    this.#draw();
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * devicePixelRatio));
    this.#draw();
  }

  #draw() {
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.#film) return;
    const { scale, left, top } = fittedView(this.#film, this.canvas);
    context.imageSmoothingQuality = "high";
    context.setTransform(scale, 0, 0, scale, left, top);
    context.drawImage(this.#film, 0, 0);
    if (this.#map) this.#drawMap();
  }

  #drawMap() {
    const { layer, rows, columns, affine } = this.#map;
    const [a, b, c, d, e, f] = affine;
    const context = this.#context;
    context.transform(a, d, b, e, c, f);
    context.globalAlpha = this.#opacity;
    context.drawImage(layer, 0, 0, columns, rows);
    context.globalAlpha = 1;
  }
}
