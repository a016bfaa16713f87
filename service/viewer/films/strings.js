/** Texts about films that come in: samples, files, zips, the work list. */

import { className, percent } from "../page/formats.js";
import { sentences } from "../page/strings.js";

/** The sample films: what each is said to show, and whose it is. Terms: samples/CREDITS.md. */
export const samples = {
  "normal.jpg": { label: "Normal", credit: "NIH Clinical Center" },
  "pneumonia.dcm": { label: "Pneumonia", credit: "NIH Clinical Center" },
  "covid19.jpg": { label: "COVID-19", credit: "Cohen et al., CC BY 3.0" },
  "ankle.png": { label: "No chest", credit: "pydicom-data, MIT" },
};

/** Returns the name under which a sample is shown. */
export function sampleName(file) {
  return `Sample: ${samples[file].label}`;
}

/** Texts about files that can't be opened. */
export const files = {
  none: {
    name: "Nothing to open",
    problem: {
      title: "There is no film in it",
      detail: "The folder or zip holds no file that could be one.",
      status: 415,
    },
  },
  unreadable: {
    title: "This file can\u2019t be read",
    detail: "It may have been moved, changed or deleted since. Open it again.",
  },
};

/** Texts about zips, and files in them, that can't be unpacked. */
export const zip = {
  broken: {
    title: "This zip is damaged, or is none",
    detail: "Make it again, or unpack it and open the films themselves.",
  },
  encrypted: {
    title: "This file is encrypted in its zip",
    detail: "Unpack the zip with its password, then open the films themselves.",
  },
  unknownMethod: {
    title: "This file is packed in a way this page can\u2019t unpack",
    detail: "Unpack the zip, then open the films themselves.",
  },
  tooLarge: (bytes) => ({
    title: "This file is too large once unpacked",
    detail: `The limit for a film in a zip is ${bytes / 2 ** 20} MiB.`,
  }),
  tooMany: (count) => ({
    title: "This zip holds too many files",
    detail: `The limit is ${count}. Unpack it, then open some of the films.`,
  }),
};

export const workList = {
  heading: "Work list",
  films: "Films",
  filmsRead: "Films read",
  progress: ({ total, done, refused }) =>
    `${done} of ${total} read${refused ? `, ${refused} refused` : ""}`,
  empty: "No film is open.",
  stop: "Stop",
  goOn: "Go on",
  clear: "Clear the list",
  retry: "Try again",
  remove: "Remove",
  removeSign: "\u00d7",
  about: (action, name) => `${action}: ${name}`,
  stopped: "Reading is stopped.",
  paused: ({ title, detail }) => `Reading is paused. ${sentences([title, detail])}`,
  queued: "Waiting",
  waits: {
    0: "Waiting: the server does not answer",
    401: "Waiting: the server asks for a key",
    429: "Waiting: the server asks for a pause",
    503: "Waiting: the server is busy",
  },
  sending: (share) => `Sending\u2026 ${percent(share)}`,
  reading: "Reading\u2026",
  finding: ({ class_name: name, probability }) => `${className(name)} ${percent(probability)}`,
  refused: ({ title, detail }) => sentences([title, detail]),
};
