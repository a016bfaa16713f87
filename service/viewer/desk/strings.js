/** Texts about the film in view and how it is seen. */

import { decided } from "../answer/strings.js";
import { isNovel, lacksLungs } from "../page/strings.js";
import { className, figure, FORMATS, percent, wholePercent } from "../page/formats.js";

/** Texts of the toolbar. */
export const toolbar = {
  modes: {
    legend: "Films side by side",
    options: { one: "One film", beside: "Film and map", compare: "Compare models" },
  },
  tools: {
    legend: "What a drag does",
    options: { pan: "Move", window: "Window", mask: "Mask" },
  },
  buttons: {
    fit: { text: "Fit", title: "Show the whole film (0)" },
    pixels: { text: "1:1", title: "One film pixel on one screen pixel (1)" },
    closer: { text: "+", title: "Zoom in (+)" },
    farther: { text: "\u2212", title: "Zoom out (\u2212)" },
    turn: { text: "Turn", title: "Turn a quarter clockwise (R)" },
    invert: { text: "Invert", title: "Exchange black and white (I)" },
    hide: { text: "Map", title: "Hide the map, or show it again (Space)" },
    reset: { text: "Reset", title: "View, window and inversion as they were (Escape)" },
  },
};

export const windowing = {
  preset: "Window",
  centre: "Centre",
  width: "Width",
  own: "By hand",
  asRead: "As the models read it",
  full: "Full range",
  dark: "Darker half (lungs)",
  bright: "Brighter half (mediastinum, bones)",
  numbered: (number) => `Window ${number} of the file`,
};

/** Texts over a panel of the stage. */
export const panel = {
  film: "Film",
  model: ({ name, version }) => `${name} ${version}`,
  finding: (answer, finding, { shown }) =>
    [
      `${className(finding.class_name)} ${percent(finding.probability)}`,
      answer.in_distribution ? decided(finding, answer).toLowerCase() : refusedBriefly(answer),
      ...(shown ? [] : ["no map shown"]),
    ].join(" \u00b7 "),
  unread: { waiting: "not read yet", asking: "reading\u2026", failed: "gave no answer" },
  noSuchClass: (name) => `does not know \u201c${className(name)}\u201d`,
};

function refusedBriefly(answer) {
  if (isNovel(answer)) return "acquired as none known";
  return lacksLungs(answer) ? "no plausible lungs" : "unlike known films";
}

export const canvas = {
  original: (name) => `The film: ${name}`,
  plain: "The film without a map",
  mapped: (name, row, column, rows, columns) =>
    `The film with the evidence for ${className(name)}; strongest in row ${row} of ${rows}, ` +
    `column ${column} of ${columns} of the map`,
};

/** Texts of the status line about the open film. */
export const detail = {
  film: ({ columns, rows, format }) => `${columns} \u00d7 ${rows} \u00b7 ${FORMATS[format] ?? format}`,
};

/** Returns the text for the pointer: film pixel and its value. */
export function pointer([x, y], value) {
  return `x ${Math.floor(x)}, y ${Math.floor(y)}: ${Number(value.toPrecision(6))}`;
}

/** Returns the text for zoom and window; `zoom` in screen pixels per film pixel. */
export function view(zoom, { centre, width }) {
  return `Zoom ${wholePercent(zoom)} \u00b7 ` +
    `window ${Number(centre.toFixed(1))} / ${Number(width.toFixed(1))}`;
}

/** Returns the text for a length on the film, in the detector's plane. */
export function scaleBar(millimetres) {
  return millimetres >= 10 ? `${millimetres / 10}\u202fcm` : `${figure(millimetres)}\u202fmm`;
}
