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
  words: (scale) =>
    "Evidence for the class, in logits per position. Full colour from " +
    `${figure(scale)}: one scale for every class and film of this model. ` +
    "What argues against the class is not coloured.",
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

/** Returns the figures at the ends of a map's scale of colours. */
export function legendEnds(scale, signed) {
  return [signed ? `\u2212${figure(scale)} or less` : "0", legend.full(scale)];
}

/** Returns how a map is drawn; `look` is a snapshot's (picture_export.js). */
function drawn({ mapShown, opacity, threshold, colourMap, signed, raw, outline }) {
  if (!mapShown) return "No evidence map shown.";
  const parts = [
    `opacity ${percent(opacity)}`,
    ...(threshold > 0 ? [`drawn from ${percent(threshold)} of full colour`] : []),
    `colours \u201c${colourMap}\u201d`,
    signed ? "for and against" : "for the class only",
    raw ? "the raw squares" : "smoothed",
    ...(outline > 0 ? [`outlined at ${percent(outline)}`] : []),
  ];
  return `Evidence in logits per position: ${parts.join(", ")}.`;
}

function windowWords({ centre, width }) {
  const [middle, across] = [centre, width].map((figure) => Number(figure.toPrecision(6)));
  return `centre ${middle}, width ${across}`;
}

function decided({ decision: called }) {
  return called === null ? "No decision" : called ? "Called" : "Not called";
}

/** What stands in the strip under a kept picture; the arguments are snapshots. */
export const caption = {
  researchOnly: page.researchOnly,
  finding: ({ answer, finding }) => {
    const unlike = answer.in_distribution ? "" : " (unlike the films this model knows)";
    return (
      `${className(finding.class_name)} ${percent(finding.probability)}: ` +
      `${decided(finding).toLowerCase()}${unlike}, threshold ${finePercent(finding.threshold)}`
    );
  },
  source: ({ answer: { model }, window, filmName }) =>
    [
      `${model.name} ${model.version}`,
      ...(window ? [`window ${windowWords(window)}`] : []),
      ...(filmName === null ? [] : [filmName]),
    ].join(" \u00b7 "),
  map: ({ look }) => drawn(look),
};

const dateFormat = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "long",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
});

const THIRDS = [
  ["upper left", "upper middle", "upper right"],
  ["middle left", "middle", "middle right"],
  ["lower left", "lower middle", "lower right"],
];

/** Returns in words where shares (x, y) of a picture lie. */
function third(x, y) {
  const [column, row] = [x, y].map((share) => Math.min(2, Math.max(0, Math.floor(3 * share))));
  return `${THIRDS[row][column]} of the film`;
}

/** What the PDF report says outside its table. */
export const report = {
  title: "Chest X-ray explainer: report",
  creator: "Chest X-ray explainer",
  language: "en-GB",
  researchOnly: page.researchOnly,
  made: (date) => dateFormat.format(date),
  model: ({ name, version }) => `${name} ${version}`,
  undecided: (answer) => {
    if (!answer.in_distribution) return { heading: UNLIKE_REPORT, sentence: UNLIKE_FILM };
    const limit = finePercent(answer.confidence_threshold ?? 0);
    const sentence = `No class reaches the ${limit} from which this model decides.`;
    return answer.is_confident ? null : { heading: UNSURE, sentence };
  },
  film: (film) => `The film: ${detail.film(film)}`,
  view: (finding, { mapShown }) =>
    mapShown ? `The view: evidence for ${className(finding.class_name)}` : "The view: no map shown",
  mapHeading: ({ class_name: name }) => `Evidence map: ${className(name)}`,
  explanation: ({ answer, finding, look, strongest }) => [
    [mapState(finding.explanation.status, look.mapShown), strongest && strongestWords(strongest)]
      .filter(Boolean)
      .join(" "),
    ...(look.mapShown ? [`${drawn(look)} ${oneScale(answer.model.evidence_scale)}`] : []),
    "A map shows what moved this model, not where disease is.",
  ],
  factsHeading: "About this answer",
  facts: ({ answer, card, filmName, window }) => [
    ...(filmName === null ? [] : [["File", filmName]]),
    ["Film", detail.film(answer.film)],
    ...(window ? [["Window", windowWords(window)]] : []),
    ["Distance", distanceWords(answer)],
    ["Model", `${answer.model.name} ${answer.model.version}`],
    ["File SHA-256", answer.model.sha256],
    ...(card ? [["Code revision", card.code_revision]] : []),
  ],
  card: (card) =>
    card
      ? [
          ["What the model is for", card.intended_use],
          ["Its limits", card.limits.map((limit) => `\u2022 ${limit}`).join("\n")],
        ]
      : [["The model\u2019s card was not read", "It says what the model is for, and its limits."]],
  producer: ({ model }, { explanation: { target_layer: layer } }) =>
    "Made in the reader\u2019s browser by the viewer of Chest X-ray explainer. Probabilities and " +
    `Grad-CAM evidence (layer ${layer}) by the model ${model.name} ${model.version}. ` +
    page.researchOnly,
};

const UNLIKE_REPORT = "Unlike the films this model knows: no decision";

function mapState(status, shown) {
  const texts = {
    ok: shown ? "Colour shows where the model sees evidence for the class." : "The map was hidden.",
    no_positive_evidence: "No position argues for this class.",
    below_threshold: shown
      ? "Shown although the class is not called: this map explains no decision."
      : "Not shown: the class is not called, so its map explains no decision.",
    out_of_distribution: "No map: it is withheld for a film unlike those the model knows.",
  };
  return texts[status];
}

function strongestWords({ x, y, share }) {
  return (
    `The strongest position lies in the ${third(x, y)}, ${percent(x)} from its left and ` +
    `${percent(y)} from its top, and reaches ${percent(share)} of full colour.`
  );
}

function oneScale(scale) {
  return `Full colour from ${figure(scale)}: one scale for every class and film of this model.`;
}

function distanceWords({ distance, distance_threshold: limit, in_distribution: alike }) {
  const verdict = alike ? "like" : "unlike";
  return `${figure(distance)} (limit ${figure(limit)}): ${verdict} the training films`;
}

const NOT_KNOWN = "\u2013";

/** What the report's table says; `card` may be null. */
export const reportTable = {
  className: "Class",
  probability: "Probability",
  threshold: "Threshold",
  decision: "Decision",
  sensitivity: "Sens. / spec.",
  auroc: "AUROC (95 %)",
  decided,
  operatingPoint: (card, { class_name: name }) => {
    const chosen = card?.decision_thresholds[card.class_names.indexOf(name)];
    return chosen
      ? `${finePercent(chosen.sensitivity)} / ${finePercent(chosen.specificity)}`
      : NOT_KNOWN;
  },
  aurocOf: (card, { class_name: name }) => {
    const found = card?.metrics.find((one) => one.name === "auroc" && one.class_name === name);
    if (!found) return NOT_KNOWN;
    const figures = [found.estimate, found.low, found.high].map((one) => one.toFixed(3));
    const [estimate, low, high] = figures;
    return `${estimate} (${low}\u2013${high})`;
  },
  note: (card, left) =>
    (left > 0 ? `And ${left} more classes. ` : "") +
    "Probabilities are calibrated; each class is decided on its own, at its threshold " +
    "(the dark mark). " +
    (card
      ? "Sensitivity and specificity: at that threshold, on the films it was chosen on " +
        `(${card.decision_thresholds[0].criterion}). AUROC: with its 95\u202f% interval.`
      : ""),
};

/** What stands beside the buttons that keep something. */
export const keeping = {
  heading: "Keep",
  picture: { button: "Save picture (PNG)", name: "picture" },
  answer: { button: "Save answer (JSON)", name: "answer" },
  report: { button: "Save report (PDF)", name: "report" },
  link: "Copy link to this view",
  linkField: "Link to this view",
  withName: "With the file\u2019s name",
  nameHint: "File names often hold patients\u2019 names. A link never holds anything of the film.",
  making: (what) => `Making the ${what}\u2026`,
  saved: (name) => `Saved as ${name}`,
  failed: (what) =>
    `The ${what} could not be made. Try again, or reload the page and open the film again.`,
  copied: "Link copied. It opens this view; the film has to be opened again.",
  copyByHand: "The browser did not let the page copy. Copy the link below: Ctrl+C, or \u2318C.",
};
