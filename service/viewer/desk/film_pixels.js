/**
 * Holds a film's own pixels, as `POST /v1/film` sends them, and draws them in a grey window.
 *
 * A raw pixel stands for the value raw * slope + intercept. A window is {centre, width} in values,
 * as DICOM counts them (PS3.3 C.11.2.1.2, LINEAR).
 */

const OPAQUE = 0xff000000;
const RAW_VALUES = 65536;

export class FilmPixels {
  #levels;
  #picture = new OffscreenCanvas(1, 1);
  #image = null;
  #shown = "";

  /**
   * Takes what the X-Film header says ({rows, columns, slope, intercept, spacing, windows, low,
   * high}) and the raw pixels, rows x columns (a Uint16Array).
   */
  constructor(about, raw) {
    Object.assign(this, about);
    this.#levels = [{ rows: this.rows, columns: this.columns, raw }];
  }

  /** Returns the value of the pixel that a point of the film lies in; null beside the film. */
  valueAt(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return null;
    return this.#levels[0].raw[row * this.columns + column] * this.slope + this.intercept;
  }

  /**
   * Draws the part of the film in a box ({left, top, right, bottom}, film pixels) on a context that
   * is transformed to film pixels, where one of these has `zoom` pixels.
   *
   * Films are halved until they are less than twice as fine as the canvas; only what is seen is
   * looked up, so that a window of any film changes within a frame.
   */
  draw(context, box, { zoom, window, inverted }) {
    const halvings = Math.max(0, Math.floor(-Math.log2(zoom)));
    const level = this.#level(halvings);
    const size = 2 ** halvings;
    const [left, top] = [Math.floor(box.left / size), Math.floor(box.top / size)];
    const columns = Math.min(level.columns, Math.ceil(box.right / size)) - left;
    const rows = Math.min(level.rows, Math.ceil(box.bottom / size)) - top;
    if (columns <= 0 || rows <= 0) return;
    this.#paint(level, { left, top, columns, rows }, { window, inverted });
    context.drawImage(this.#picture, left * size, top * size, columns * size, rows * size);
  }

  #paint(level, part, { window, inverted }) {
    const wanted = JSON.stringify([level.rows, part, window, inverted]);
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    const { left, top, columns, rows } = part;
    const { raw } = level;
    const greys = this.#greys(window, inverted);
    const seen = this.#seen(rows, columns);
    for (let row = 0, to = 0; row < rows; row++) {
      let from = (top + row) * level.columns + left;
      for (const end = to + columns; to < end; to++, from++) seen[to] = greys[raw[from]];
    }
    this.#picture.getContext("2d", { alpha: false }).putImageData(this.#image, 0, 0);
  }

  /** Returns the pixels to paint, little-endian RGBA; new ones only for another size. */
  #seen(rows, columns) {
    const { width, height } = this.#picture;
    if (!this.#image || width !== columns || height !== rows) {
      Object.assign(this.#picture, { width: columns, height: rows });
      this.#image = new ImageData(columns, rows);
    }
    return new Uint32Array(this.#image.data.buffer);
  }

  /** Returns the colour (little-endian RGBA) of each raw value. */
  #greys({ centre, width }, inverted) {
    const greys = new Uint32Array(RAW_VALUES);
    const span = Math.max(width - 1, 1e-6);
    const clamped = new Uint8ClampedArray(1);
    for (let raw = 0; raw < RAW_VALUES; raw++) {
      const value = raw * this.slope + this.intercept;
      clamped[0] = 255 * ((value - (centre - 0.5)) / span + 0.5);
      greys[raw] = OPAQUE | ((inverted ? 255 - clamped[0] : clamped[0]) * 0x010101);
    }
    return greys;
  }

  /** Returns the film halved so many times, [rows, columns] rounded up. */
  #level(halvings) {
    while (this.#levels.length <= halvings) this.#levels.push(halved(this.#levels.at(-1)));
    return this.#levels[halvings];
  }
}

/** Returns the means of each two by two pixels; the last of an odd row or column stands twice. */
function halved({ rows, columns, raw }) {
  const half = { rows: Math.ceil(rows / 2), columns: Math.ceil(columns / 2) };
  half.raw = new Uint16Array(half.rows * half.columns);
  for (let row = 0, to = 0; row < half.rows; row++) {
    const upper = 2 * row * columns;
    const lower = Math.min(2 * row + 1, rows - 1) * columns;
    for (let column = 0; column < half.columns; column++, to++) {
      const left = 2 * column;
      const right = Math.min(left + 1, columns - 1);
      const sum = raw[upper + left] + raw[upper + right] + raw[lower + left] + raw[lower + right];
      half.raw[to] = (sum + 2) >> 2;
    }
  }
  return half;
}
