/** Every word that the page says. Functions take raw values and return finished text. */

const percentFormat = new Intl.NumberFormat("en-GB", { style: "percent", maximumFractionDigits: 0 });
const finePercentFormat = new Intl.NumberFormat("en-GB", {
  style: "percent",
  maximumFractionDigits: 1,
});

/** Returns a probability in [0, 1] as whole per cent, never rounded to a certainty. */
export function percent(probability) {
  if (probability > 0 && probability < 0.005) return "< 1 %";
  if (probability < 1 && probability > 0.995) return "> 99 %";
  return spaced(percentFormat.format(probability));
}

/** Returns a threshold in [0, 1] as per cent with one decimal where it has one. */
export function finePercent(probability) {
  return spaced(finePercentFormat.format(probability));
}

function spaced(text) {
  return text.replace("%", "\u202f%");
}

/** Returns a number with three significant digits. */
export function figure(number) {
  return Number(number.toPrecision(3)).toString();
}

/** Returns a class name of a model as words: `viral_pneumonia` is "Viral pneumonia". */
export function className(name) {
  const words = (CLASS_NAMES[name] ?? name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const CLASS_NAMES = { covid19: "COVID-19" };

const FORMATS = { png: "PNG", jpeg: "JPEG", tiff: "TIFF", dicom: "DICOM" };

/** Texts of fixed elements: each element with `data-text="key"` shows the one of its key. */
export const page = {
  title: "Chest X-ray explainer",
  researchOnly: "Research use only. Not a medical device.",
  pick: "Open a film\u2026",
  dropHeading: "Drop a chest film here",
  dropHint: "One frontal chest radiograph: PNG, JPEG, TIFF or DICOM.",
  dropAnywhere: "or drop one anywhere on this page",
  samples: "Or look at a drawn sample. These are drawings, not patients.",
  samplesShort: "Samples (drawings):",
  privacy:
    "The film stays in the server\u2019s memory only while it is read. It is not stored there, " +
    "and the file\u2019s name never leaves this page.",
  dropHere: "Drop the film to open it",
  original: "Film",
  overlay: "Film with evidence",
  findings: "Findings",
  map: "Evidence map",
  opacity: "Opacity",
  legendNone: "0",
  about: "About this answer",
  cancel: "Cancel",
  interfaceLink: "Programming interface",
  keyHeading: "This server asks for an API key",
  keyLabel: "API key",
  keyHint: "It stays in this page\u2019s memory, until the page is closed or loaded again.",
  keySend: "Use this key",
};

export const samples = {
  drawn_normal: "Normal",
  drawn_opacity: "Opacity",
  drawn_effusion: "Effusion",
};

/** Returns what stands under a sample while it is looked at. */
export function sampleName(key) {
  return `${samples[key]}: a drawing, not a patient`;
}

/** Returns how the findings of an answer are to be read; a multi-label one predicts no class. */
export function findingsHint({ predicted_class: predicted }) {
  const hint =
    "Choose a class to see its evidence. Each is decided on its own, at the white mark: " +
    "several may be called, or none.";
  const independent =
    " Each probability stands for itself: findings do not exclude each other, and their " +
    "probabilities do not add up to 100\u202f%.";
  return predicted === null ? hint + independent : hint;
}

export const decision = {
  called: (threshold) => `Called: at or above its threshold of ${finePercent(threshold)}`,
  notCalled: (threshold) => `Not called: below its threshold of ${finePercent(threshold)}`,
  none: "No decision",
  unsure: (limit) => `No decision: no class reaches ${finePercent(limit)}`,
  mostLikely: "most likely",
};

const UNLIKE = "Unlike the films this model knows: no decision, no map";
const UNSURE = "No class is likely enough for a decision";
const UNLIKE_FILM = "The probabilities are greyed: they mean little for such a film.";
const UNLIKE_DRAWING =
  "This is a drawing, unlike the films this model knows: the greyed probabilities mean little. " +
  "You may ask for the maps anyway.";

/** Returns what a map's status means, as a heading, a sentence and the button that goes on. */
export function explanation(status, { finding, shown, forced, drawing, peak }) {
  const name = className(finding.class_name);
  const hottest = `The strongest position reaches ${percent(peak)} of full colour.`;
  const texts = {
    ok: [`Where the model sees \u201c${name}\u201d`, hottest],
    no_positive_evidence: [
      "No position argues for this class",
      `Nowhere does the film speak for \u201c${name}\u201d, so there is nothing to colour.`,
    ],
    below_threshold: shown
      ? ["Shown although below the decision threshold", `${hottest} The class is not called.`, "Hide the map"]
      : [
          "Below the decision threshold: map hidden",
          `\u201c${name}\u201d is not called, so its map explains no decision.`,
          "Show it anyway",
        ],
    out_of_distribution: [
      UNLIKE,
      drawing ? UNLIKE_DRAWING : UNLIKE_FILM,
      "Ask for the maps anyway",
    ],
  };
  const [heading, sentence, button] = texts[status];
  const warning = "This film is unlike those the model knows: no decision, and a map only on demand.";
  return { heading, sentence: forced ? `${warning} ${sentence}` : sentence, button };
}

/** What stands over the films at the right. */
export const detail = {
  film: ({ columns, rows, format }) => `${columns} \u00d7 ${rows} \u00b7 ${FORMATS[format] ?? format}`,
  map: ({ name, version }) => `${name} ${version}`,
};

/** What stands over the film about its map. */
export const mapName = {
  shown: (name) => className(name),
  none: (name) => `${className(name)}: nothing to show`,
  hidden: (name) => `${className(name)}: map hidden`,
  withheld: "No map",
};

export const legend = {
  full: (scale) => `${figure(scale)} or more`,
  /** What stands under the colours: at the left end, in the middle, at the right end. */
  ends: (scale, signed) =>
    signed
      ? [
          `\u2212${figure(scale)} or beyond: argues against`,
          "0",
          `${figure(scale)} or more: argues for`,
        ]
      : ["0", figure(scale / 2), `${figure(scale)} or more`],
  words: (scale, signed = false) => {
    const what = signed
      ? "Evidence in logits per position: for the class right of 0, against it left of 0."
      : "Evidence for the class, in logits per position.";
    const rest = signed ? "" : " What argues against the class is not coloured.";
    const fixed = "one scale for every class and film of this model.";
    return `${what} Full colour from ${figure(scale)}: ${fixed}${rest}`;
  },
};

export const mapControls = {
  heading: "How the map is drawn",
  opacity: "Opacity",
  threshold: "Hide weak evidence",
  allShown: "nothing hidden",
  below: (threshold) => `below ${percent(threshold)} of full colour`,
  colours: "Colours",
  colourMaps: {
    inferno: "Inferno",
    viridis: "Viridis",
    cividis: "Cividis",
    magma: "Magma",
    managua_r: "Managua",
  },
  signed: "For and against",
  raw: (rows, columns) => `Raw grid (${rows} \u00d7 ${columns} squares)`,
  outlined: "Outline",
  outlineLevel: "Level of the outline",
  level: (level) => `at ${percent(level)} of full colour`,
};

export const facts = {
  size: ["Size", (film) => `${film.columns} \u00d7 ${film.rows} pixels`],
  format: ["Format", (film) => FORMATS[film.format] ?? film.format],
  model: ["Model", (model) => `${model.name} ${model.version}`],
  fingerprint: ["Model file", (model) => `SHA-256 ${model.sha256.slice(0, 12)}\u2026`],
  distance: ["Distance from the training films", (distance) => figure(distance)],
  alike: (threshold) => `Like them: at or below the limit of ${figure(threshold)}`,
  unlike: (threshold) => `Unlike them: above the limit of ${figure(threshold)}`,
};

export const waiting = {
  film: "Sending the film\u2026",
  reading: (seconds) => `Reading the film\u2026 ${seconds} s`,
  long: (seconds) => `Still reading: ${seconds} s. A busy server takes its time; you may cancel.`,
  cancelled: "Cancelled. No film is open.",
};

export const canvas = {
  original: (name) => `The film: ${name}`,
  plain: "The film without a map",
  mapped: (name, row, column, rows, columns) =>
    `The film with the evidence for ${name}; strongest in row ${row} of ${rows}, ` +
    `column ${column} of ${columns} of the map`,
};

/** Returns the sentence that a screen reader hears when an answer has come. */
export function summary(answer) {
  if (!answer.in_distribution) return UNLIKE;
  if (!answer.is_confident) return UNSURE;
  const called = answer.findings.filter((finding) => finding.decision);
  const names = called.map(
    (finding) => `${className(finding.class_name)} ${percent(finding.probability)}`,
  );
  return `Film read. Called: ${names.join(", ") || "none"}.`;
}

export const oneFilm = (count) => `One film at a time: the first of ${count} was opened.`;

/** What the dialog says that asks for an API key. */
export const key = {
  needed: "It reads films only for those who have one. Whoever runs it can give you a key.",
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
  noSample: { title: "The sample film is missing on the server", detail: "" },
  noKey: {
    title: "The film was not read",
    detail: "This server asks for an API key, and none was given.",
  },
  retry: "Try again",
  wayOut: {
    401: "Try again and enter a key. Whoever runs this server can give you one.",
    403: "Whoever runs this server can give you a key that may do this.",
    413: "Choose a smaller file.",
    415: "Choose a PNG, JPEG, TIFF or DICOM file.",
    422: "Choose another file, or export this one again as PNG or uncompressed DICOM.",
    429: "Wait as long as that, then try again.",
    503: "The models are still loading: wait a moment and try again.",
  },
  wayOutElse: "Try again, or choose another film.",
};
