/** Texts of the page itself: fixed elements, keys, waiting, problems. */

import { percent } from "./formats.js";

/** Texts of fixed elements: each element with `data-text="key"` shows the one of its key. */
export const page = {
  title: "Chest X-ray explainer",
  researchOnly: "Research use only. Not a medical device.",
  theme: "Light / dark",
  help: "Keys ?",
  films: "Films",
  pick: "Open films\u2026",
  pickFolder: "A folder\u2026",
  dropHeading: "Drop chest films here",
  dropHint:
    "Frontal chest radiographs: PNG, JPEG, TIFF or DICOM, one or many, a folder, or a zip of them.",
  dropAnywhere: "Films can be dropped anywhere on this page, or pasted.",
  samples: "Samples (published images, and what they are said to show):",
  privacy:
    "The film stays in the server\u2019s memory only while it is read. It is not stored there, " +
    "and the file\u2019s name never leaves this page.",
  dropHere: "Drop the films to open them",
  toolbar: "How the film is seen",
  answer: "What the models say",
  findings: "Findings",
  map: "Evidence map",
  about: "About this answer",
  cancel: "Cancel",
  interfaceLink: "Programming interface",
  keyHeading: "This server asks for an API key",
  keyLabel: "API key",
  keyHint: "It stays in this page\u2019s memory, until the page is closed or loaded again.",
  keySend: "Use this key",
};

export const shortcuts = {
  heading: "Keys",
  close: "Close",
  on: "Single keys do this (switch it off for speech input)",
  keys: {
    "\u2191 \u2193 K J": "The film before, the next film",
    O: "Open films",
    ", .": "The class before, the next class",
    Space: "Hide the map, or show it again",
    B: "One film, film and map, compare models",
    "+ \u2212": "Zoom in, zoom out",
    "Shift \u2190 \u2191 \u2192 \u2193": "Move the film, with Shift held",
    "0 1": "Fit the film, one to one",
    R: "Turn a quarter clockwise",
    I: "Exchange black and white",
    "[ ]": "The window before, the next window",
    "P W M": "A drag moves, windows, masks",
    X: "Take the mask away",
    Escape: "View, window and inversion as they were",
    T: "Light or dark page",
    "?": "These keys",
  },
  mouse: [
    "Wheel: zoom to the pointer. Right button: window. Middle button: move. Two fingers: pinch.",
    "In the list of films: Delete takes a film off the list.",
  ],
};

export const waiting = {
  model: (name) => `Asking ${name}\u2026`,
  film: "Sending the film\u2026",
  sending: (share) => `Sending the film\u2026 ${percent(share)}`,
  again: ({ title, detail }) =>
    `${sentences([title, detail])} The page asks again by itself; you may cancel.`,
  reading: (seconds) => `Reading the film\u2026 ${seconds} s`,
  long: (seconds) => `Still reading: ${seconds} s. A busy server takes its time; you may cancel.`,
};

/** Texts of the dialog that asks for an API key. */
export const key = {
  needed: "It reads films only for those who have one. The person who runs it can give you a key.",
  refused:
    "It does not know the key that was sent, or knows it no longer. This page has forgotten it: " +
    "enter another.",
};

export const problem = {
  unreachable: {
    title: "The server does not answer",
    detail: "It may have been stopped, or the connection was lost.",
  },
  garbled: { title: "The server gave an answer this page does not understand", detail: "" },
  slow: {
    title: "The server took too long",
    detail: "The request was given up after two minutes.",
  },
  noEnsemble: {
    title: "The models no longer answer together",
    detail: "The server has other models now: reload the page.",
  },
  noSample: { title: "The sample film is missing on the server", detail: "" },
  noKey: {
    title: "The film was not read",
    detail: "This server asks for an API key, and none was given.",
  },
  stopped: {
    title: "Reading is stopped",
    detail: "This film waits until you go on.",
    status: 0,
  },
  retry: "Try again",
  wayOut: {
    401: "Try again and enter a key. The person who runs this server can give you one.",
    403: "The person who runs this server can give you a key that may do this.",
    413: "Choose a smaller file.",
    415: "Choose a PNG, JPEG, TIFF or DICOM file.",
    422: "Choose another file, or export this one again as PNG or uncompressed DICOM.",
    429: "Wait as long as that, then try again.",
    503: "The models are still loading: wait a moment and try again.",
  },
  wayOutElse: "Try again, or choose another film.",
  request: (id) => `If you ask the person who runs this server, quote the request: ${id}`,
};

/** Returns texts as sentences: each ends with a full stop. */
export function sentences(texts) {
  return texts.filter(Boolean).map((text) => text.replace(/[^.]$/, "$&.")).join(" ");
}

/** Returns a problem (an ApiProblem) as one sentence or two. */
export function sentenceOf({ title, detail }) {
  return title ? [title, detail].filter(Boolean).join(". ") : problem.garbled.title;
}

/** Returns whether a film is refused because no plausible lungs were found on it. */
export function lacksLungs({ refusals }) {
  return refusals.includes("lungs");
}

/** Returns whether a film is refused for nothing but the way in which it was acquired. */
export function isNovel({ refusals }) {
  return refusals.length > 0 && refusals.every((reason) => reason === "novelty");
}

/** Returns why a film is refused, from the `refusals` of its answer. */
export function refused(answer) {
  if (isNovel(answer)) return "Acquired in a way that training never saw";
  return lacksLungs(answer) ? "No plausible lungs found" : "Unlike the films this model knows";
}
