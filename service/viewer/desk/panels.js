/** Makes the panels of the stage: the film, or the film with one model's map. */

import { findingOf } from "../answer/findings.js";
import { contours } from "../maps/contours.js";
import { isPainted } from "../maps/explanation_view.js";
import { evenPlaces, heat, heatAt, heatLayer, hottestCell } from "../maps/heat.js";
import { fullColour } from "../maps/questions.js";
import { moved, undone } from "./geometry.js";
import { canvas as canvasWords, panel as words } from "./strings.js";

const painted = new WeakMap(); // finding -> {key, map}: a map is made once for each look

/** Points along a cell that an outline goes through: a level line of the field is not straight. */
const OUTLINE_POINTS = 4;

const BARE = { map: null, outline: null, lungs: null };

/**
 * Returns the panels for Stage.show of a DeskState: one, film beside film with map, or one for each
 * of the server's models.
 */
export function panelsOf(state) {
  const { colours, models } = state;
  const { answers } = state.reading;
  const mapped = (answer, key) => mappedPanel(answer, { ...state, key, colours });
  const panelOf = (model) => {
    const answer = answers.get(model.name);
    return answer ? mapped(answer, model.name) : unreadPanel(model, state.reading);
  };
  if (state.mode === "compare") return models.map(panelOf);
  const panel = mapped(answers.get(state.model), "mapped");
  return state.mode === "beside" ? [plainPanel(state), panel] : [panel];
}

function plainPanel({ name }) {
  const label = canvasWords.original(name);
  return { key: "plain", title: words.film, words: "", label, scene: BARE };
}

function unreadPanel(model, reading) {
  const said = words.unread[reading.stateOf(model.name) ?? "waiting"];
  const { name: key } = model;
  return { key, title: words.model(model), words: said, label: canvasWords.plain, scene: BARE };
}

function mappedPanel(answer, { className, belowShown, look, mapHidden, key, colours }) {
  const finding = findingOf(answer, className);
  const shown = finding && !mapHidden && isPainted(finding, { belowShown, look });
  return {
    ...{ key, answer, finding },
    title: words.model(answer.model),
    words: finding ? words.finding(answer, finding, { shown }) : words.noSuchClass(className),
    label: shown ? mappedLabel(finding) : canvasWords.plain,
    scene: {
      ...(shown ? mapOf(finding, answer, { ...look, colours }) : BARE),
      lungs: look.lungs && !mapHidden ? answer.lung_outline : null,
    },
  };
}

function mappedLabel({ class_name: name, explanation: { evidence } }) {
  const { row, column } = hottestCell(evidence);
  return canvasWords.mapped(name, row + 1, column + 1, evidence.length, evidence[0].length);
}

/** Returns the map and the outline of a finding as FilmView takes them: inside the lungs only. */
function mapOf(finding, answer, look) {
  const [evidenceScale, clip] = [fullColour(answer, finding), answer.lung_outline];
  const { colours, signed, threshold, raw, outline } = look;
  const key = JSON.stringify([look.colourMap, signed, threshold, raw, outline]);
  const known = painted.get(finding);
  if (known?.key === key) return known.scene;
  const { evidence, affine } = finding.explanation;
  const box = seenBox(finding.explanation);
  const picture = heatLayer(evidence, { evidenceScale, colours, signed, threshold, raw, box });
  const layer = new OffscreenCanvas(picture.width, picture.height);
  layer.getContext("2d").putImageData(picture, 0, 0);
  const field = heat(evidence, evidenceScale, { signed });
  const levels = outline === null ? [] : signed ? [outline, -outline] : [outline];
  const map = { layer, box, affine, smooth: !raw, clip };
  const scene = { map, outline: outlineOf(field, levels, affine, box) };
  painted.set(finding, { key, scene });
  return scene;
}

/** Returns [x0, y0, x1, y1], in grid coordinates, of what the model saw: as far as the map goes. */
function seenBox({ affine, extent: [left, top, right, bottom] }) {
  const toGrid = undone(affine);
  return [...moved(toGrid, [left, top]), ...moved(toGrid, [right, bottom])];
}

function outlineOf(field, levels, [a, b, c, d, e, f], [x0, y0, x1, y1]) {
  if (!levels.length) return null;
  const columns = evenPlaces(x0, x1, OUTLINE_POINTS);
  const rows = evenPlaces(y0, y1, OUTLINE_POINTS);
  const finer = rows.map((row) => columns.map((column) => heatAt(field, column, row)));
  const lines = levels.flatMap((level) => contours(finer, level));
  const [across, down] = [(x1 - x0) / columns.length, (y1 - y0) / rows.length];
  const [x, y] = moved([a, b, c, d, e, f], [x0, y0]);
  return { lines, affine: [a * across, b * down, x, d * across, e * down, y] };
}
