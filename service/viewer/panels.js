/** What each panel of the stage shows: the film, or the film with one model's map. */

import { contours } from "./contours.js";
import { isPainted } from "./explanation_view.js";
import { heat, heatLayer, hottestCell } from "./heat.js";
import { canvas as canvasWords, panel as words } from "./strings.js";

const painted = new WeakMap(); // finding -> {key, map}: a map is made once for each look

/** Returns an answer's finding of a class; undefined if the model has no such class. */
export function findingOf(answer, className) {
  return answer.findings.find((finding) => finding.class_name === className);
}

/**
 * Returns the panels for Stage.show: one, film beside film with map, or one for each model; maps
 * are painted in `colours` (256 RGB triples).
 */
export function panelsOf(state, colours) {
  const mapped = (answer, key) => mappedPanel(answer, { ...state, key, colours });
  const answer = state.reading.answers.get(state.model);
  if (state.mode === "beside") return [plainPanel(state), mapped(answer, "mapped")];
  if (state.mode === "compare") {
    return [...state.reading.answers.values()].map((one) => mapped(one, one.model.name));
  }
  return [mapped(answer, "mapped")];
}

function plainPanel({ name }) {
  const scene = { map: null, outline: null };
  return { key: "plain", title: words.film, words: "", label: canvasWords.original(name), scene };
}

function mappedPanel(answer, { className, belowShown, look, mapHidden, key, colours }) {
  const finding = findingOf(answer, className);
  const shown = finding && !mapHidden && isPainted(finding, { belowShown });
  return {
    key,
    title: words.model(answer.model),
    words: finding ? words.finding(answer, finding, { shown }) : words.noSuchClass(className),
    label: shown ? mappedLabel(finding) : canvasWords.plain,
    scene: shown ? mapOf(finding, answer.model.evidence_scale, { ...look, colours }) : { map: null, outline: null },
  };
}

function mappedLabel({ class_name: name, explanation: { evidence } }) {
  const { row, column } = hottestCell(evidence);
  return canvasWords.mapped(name, row + 1, column + 1, evidence.length, evidence[0].length);
}

/** Returns the map and the outline of a finding as FilmView takes them. */
export function mapOf(finding, evidenceScale, look) {
  const { colours, signed, threshold, raw, outline } = look;
  const key = JSON.stringify([look.colourMap, signed, threshold, raw, outline]);
  const known = painted.get(finding);
  if (known?.key === key) return known.scene;
  const { evidence, affine } = finding.explanation;
  const picture = heatLayer(evidence, { evidenceScale, colours, signed, threshold, raw });
  const layer = new OffscreenCanvas(picture.width, picture.height);
  layer.getContext("2d").putImageData(picture, 0, 0);
  const grid = { rows: evidence.length, columns: evidence[0].length };
  const field = heat(evidence, evidenceScale, { signed });
  const levels = outline === null ? [] : signed ? [outline, -outline] : [outline];
  const lines = levels.flatMap((level) => contours(field, level));
  const scene = { map: { layer, ...grid, affine, smooth: !raw }, outline: { lines, affine } };
  painted.set(finding, { key, scene });
  return scene;
}
