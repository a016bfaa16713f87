/**
 * Makes a PNG of the view with a caption strip under it, never over the film.
 *
 * A snapshot is what was on the page when the reader chose to keep it: {plain: canvas of the film
 * alone, mapped: canvas of the view, answer, finding, card or null, filmName or null, look:
 * {mapShown, opacity, threshold, colourMap, colours: 256 RGB triples, signed, raw, outline or
 * null, cut and lungs: whether the map ends at the lungs, and these are outlined}, window: {centre,
 * width} or null, compared: the panels {title, words, answer, finding} where models stand side by
 * side, mask: {rectangle, masked: prediction or null} or null, date}. Opacity, threshold and outline
 * are in [0, 1].
 */

import { fullColour } from "../maps/questions.js";
import { legendEnds } from "../maps/strings.js";
import { caption as words } from "./strings.js";
import { textLines } from "./text_lines.js";

const GROUND = "#14181d";
const TEXT = "#dde3ea";
const CAUTION = "#f0c987";

/** Limit for each text: a file's name may be very long. */
const MOST_LINES = 4;

/** Returns a snapshot's view and caption as a PNG blob. */
export async function captionedPicture(snapshot) {
  const { mapped } = snapshot;
  const size = Math.max(12, Math.round(mapped.width / 70));
  const canvas = newCanvas(mapped.width, 1);
  const lines = captionLines(canvas.getContext("2d"), snapshot, size);
  canvas.height = mapped.height + Math.ceil(size * (1.4 * lines.length + 1));
  const context = canvas.getContext("2d");
  context.fillStyle = GROUND;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(mapped, 0, 0);
  context.textBaseline = "middle";
  lines.forEach((draw, at) => draw(context, size, mapped.height + size * (1.2 + 1.4 * at)));
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Returns a canvas of one row with the colours of the scale, coldest first. */
export function scaleOfColours(colours) {
  const row = new ImageData(colours.length, 1);
  colours.forEach((rgb, level) => row.data.set([...rgb, 255], 4 * level));
  const canvas = newCanvas(colours.length, 1);
  canvas.getContext("2d").putImageData(row, 0, 0);
  return canvas;
}

/** Returns a new canvas of this size in pixels. */
export function newCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** Returns a function for each line of the caption that draws it at a height. */
function captionLines(context, snapshot, size) {
  const { compared = [], mask = null } = snapshot;
  const findings = compared.length ? compared.map(words.panel) : [words.finding(snapshot)];
  const said = [
    ...findings.map((text) => [text, { weight: 600 }]),
    [words.source(snapshot), {}],
    ...(mask ? [[words.mask(snapshot), {}]] : []),
    [words.map(snapshot), {}],
    [words.researchOnly, { weight: 600, colour: CAUTION }],
  ];
  const lines = said.flatMap(([text, look]) => {
    context.font = font(size, look);
    const fits = (line) => context.measureText(line).width <= context.canvas.width - 2 * size;
    return textLines(text, fits, MOST_LINES).map((line) => textLine(line, look));
  });
  return snapshot.look.mapShown ? lines.toSpliced(-1, 0, legendLine(snapshot)) : lines;
}

function font(size, { weight = 400 }) {
  return `${weight} ${size}px system-ui, sans-serif`;
}

function textLine(text, { weight, colour = TEXT }) {
  return (context, size, y) => {
    context.font = font(size, { weight });
    context.fillStyle = colour;
    context.fillText(text, size, y, context.canvas.width - 2 * size);
  };
}

/** Returns a function that draws the scale of colours between the figures at its ends. */
function legendLine({ answer, finding, look, compared = [] }) {
  const scale = compared.length ? null : fullColour(answer, finding); // each panel has its own
  const [low, high] = legendEnds(scale, look.signed);
  return (context, size, y) => {
    context.font = font(size, {});
    const [before, after] = [low, high].map((text) => context.measureText(text).width);
    const room = context.canvas.width - 3 * size - before - after;
    const width = Math.min(16 * size, room - size);
    const ramp = scaleOfColours(look.colours);
    textLine(low, {})(context, size, y);
    context.drawImage(ramp, 1.5 * size + before, y - size / 3, width, size / 1.5);
    context.fillText(high, 2 * size + before + width, y);
  };
}
