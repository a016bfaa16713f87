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

/** Returns a figure of a model with three decimals; two would round some to a certainty. */
const decimal = (number) => number.toFixed(3);
const interval = (low, high) => `${decimal(low)} to ${decimal(high)}`;

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

/** What stands under the chosen finding: what its threshold means, by the card. */
export const meaning = {
  threshold: ({ sensitivity, specificity, criterion }) =>
    `Threshold ${chosenFor(criterion)}: there it finds ${percent(sensitivity)} of positive films ` +
    `and rightly clears ${percent(specificity)} of negative ones.`,
  auroc: ({ estimate, low, high }) =>
    `AUROC ${decimal(estimate)} (${interval(low, high)}) on the model\u2019s test films.`,
  noAuroc: "The model\u2019s card has no AUROC for this class.",
  refused:
    "The model\u2019s figures hold for films like its training films. This one is unlike them.",
};

/** Returns a criterion of the card as words: "largest Youden index on val" is how most begin. */
function chosenFor(criterion) {
  const aim = criterion.replace(/ on val$/, "");
  const where = aim === criterion ? "" : " on validation films";
  return `chosen${where} for ${aim.startsWith("largest") ? "the " : ""}${aim}`;
}

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
  card: "Model card",
};

/** What stands at the chart of distances; `place` takes the share of films that lie beyond. */
export const distance = {
  chart: (distance, limit) =>
    "Bar chart of the validation films\u2019 distances, with the limit at " +
    `${figure(limit)} and this film at ${figure(distance)}`,
  film: "this film",
  limit: "limit",
  bars: "bars: validation films",
  place(share) {
    const [than, films] = share < 0.5 ? ["farther", 1 - share] : ["nearer", share];
    if (films > 0.995) return `${than} than ${films < 1 ? "nearly " : ""}every validation film`;
    return `${than} than about ${percent(films)} of the validation films`;
  },
};

/** What the choice of a model says. */
export const picker = {
  legend: "Model",
  title: ({ name, version, is_default: isDefault }) =>
    `${name} ${version}${isDefault ? ", answers when no model is asked for" : ""}`,
  states: { ready: "", asking: "reading\u2026", failed: "failed" },
  notLoaded: "loads when asked",
};

const TASKS = {
  multiclass: "Exactly one class per film (softmax)",
  multilabel: "Any number of classes per film (sigmoid)",
};

/** The words of a card's metrics; of others, their names are shown. */
const METRICS = {
  auroc: "AUROC",
  macro_auroc: "AUROC, mean of classes",
  macro_average_precision: "Average precision, mean of classes",
  expected_calibration_error_scaled: "Expected calibration error, calibrated",
  expected_calibration_error_unscaled: "Expected calibration error, uncalibrated",
  brier_score_scaled: "Brier score, calibrated",
  brier_score_unscaled: "Brier score, uncalibrated",
};

const several = (numbers) => [numbers].flat().join(", ");
const pair = ([rows, columns]) => `${rows} \u00d7 ${columns}`;

/** What the dialog says that shows a model's card; a fact that a card lacks is null. */
export const card = {
  heading: ({ name, version }) => `Model card: ${name} ${version}`,
  close: "Close",
  use: "Intended use",
  limits: "Limits",
  decisions: "Decisions",
  optimistic:
    "A class is called present from its threshold on. Sensitivity and specificity are those on " +
    "the films that the threshold was chosen on, and so optimistic.",
  thresholdHeads: ["Class", "Threshold", "Sensitivity", "Specificity", "Chosen as"],
  decisionFacts: [
    ["Calibration", ({ temperature }) => `Logits are divided by ${decimal(temperature)}`],
    ["Calibration error", calibrationError],
    [
      "Unsure",
      ({ confidence_threshold: limit }) =>
        limit === null ? null : `No decision where no class reaches ${finePercent(limit)}`,
    ],
    [
      "Unlike",
      ({ distance_threshold: limit }) =>
        `No decision where the distance from the training films is beyond ${figure(limit)}`,
    ],
  ],
  figures: "Figures",
  intervals: "The intervals are 95\u202f% intervals, bootstrapped by group of films.",
  noFigures: "The card has none: the model was not evaluated when it was exported.",
  figureHeads: ["Figure", "Class", "Films", "Estimate", "Interval"],
  figure: (name) => METRICS[name] ?? className(name),
  allClasses: "all",
  splits: { train: "training", val: "validation", test: "test" },
  decimal,
  interval,
  data: "Training data",
  filmHeads: ["Used for", "Films"],
  network: "Network",
  networkFacts: [
    [
      "Architecture",
      (card) => [card.architecture, card.head ?? card.read_out].filter(Boolean).join(", "),
    ],
    ["Answers", ({ task }) => TASKS[task]],
    ["Input", ({ image_size: size, resize_mode: mode }) => `${pair(size)} pixels, grey, ${mode}`],
    [
      "Part of the film",
      ({ crop_pct: share }) => (share < 1 ? `The middle ${percent(share)} of each side` : "All"),
    ],
    [
      "Evidence",
      ({ target_layer: layer, activation_grid: grid }) =>
        `Grad-CAM at ${layer}, ${pair(grid)} cells`,
    ],
    [
      "Full colour",
      ({ evidence_scale: scale }) => `From ${figure(scale)} logits per position, for every class`,
    ],
    [
      "Pixel values",
      ({ mean, std }) => `Less ${several(mean)}, then divided by ${several(std)}; white is 1`,
    ],
    [
      "Local contrast",
      ({ local_contrast: window }) =>
        window && `Pixels are seen against those around, within ${finePercent(window)} of the side`,
    ],
    ["Weights stored as", storage],
  ],
  credits: "Credits",
  noCredits: "None are stated.",
  origin: "Origin",
  originFacts: [
    ["Model file, SHA-256", ({ sha256 }) => sha256],
    ["Code revision", ({ code_revision: revision }) => revision],
    [
      "Report on its gradients by hand, SHA-256",
      ({ backprop_report_sha256: hash }) => hash ?? null,
    ],
    ["Manifest of films, SHA-256", ({ training_data: data }) => data.manifest_sha256],
    ["Split of films, SHA-256", ({ training_data: data }) => data.split_sha256],
  ],
};

function calibrationError({ metrics }) {
  const found = metrics.find(
    ({ name, split }) => name === "expected_calibration_error_scaled" && split === "test",
  );
  if (!found) return null;
  return `${decimal(found.estimate)} (${interval(found.low, found.high)}), test films`;
}

function storage({ storage: kept }) {
  if (!kept) return "float32";
  return (
    `${kept.kind}, computed in float32; rounding changed the mean AUROC by ` +
    `${kept.auroc_difference.toFixed(4)} and left an evidence correlation of ` +
    `${kept.evidence_correlation.toFixed(4)} on validation films`
  );
}

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
