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
  theme: "Light / dark",
  help: "Keys ?",
  films: "Films",
  pick: "Open films\u2026",
  pickFolder: "A folder\u2026",
  dropHeading: "Drop chest films here",
  dropHint:
    "Frontal chest radiographs: PNG, JPEG, TIFF or DICOM, one or many, a folder, or a zip of them.",
  dropAnywhere: "Films can be dropped anywhere on this page, or pasted.",
  samples: "Samples (drawings, not patients):",
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

/** What the film is worked with. */
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

/** What stands over a panel of the stage. */
export const panel = {
  film: "Film",
  model: ({ name, version }) => `${name} ${version}`,
  finding: (answer, finding, { shown }) =>
    [
      `${className(finding.class_name)} ${percent(finding.probability)}`,
      answer.in_distribution ? decided(finding).toLowerCase() : "unlike known films",
      ...(shown ? [] : ["no map shown"]),
    ].join(" \u00b7 "),
  unread: { waiting: "not read yet", asking: "reading\u2026", failed: "gave no answer" },
  noSuchClass: (name) => `does not know \u201c${className(name)}\u201d`,
};

/** Returns where the pointer is: film pixel and its value. */
export function pointer([x, y], value) {
  return `x ${Math.floor(x)}, y ${Math.floor(y)}: ${Number(value.toPrecision(6))}`;
}

/** Returns how the film is seen; `zoom` in screen pixels per film pixel. */
export function view(zoom, { centre, width }) {
  return `Zoom ${percentFormat.format(zoom).replace("%", "\u202f%")} \u00b7 ` +
    `window ${Number(centre.toFixed(1))} / ${Number(width.toFixed(1))}`;
}

/** Returns a length on the film, in the detector's plane. */
export function scaleBar(millimetres) {
  return millimetres >= 10 ? `${millimetres / 10}\u202fcm` : `${figure(millimetres)}\u202fmm`;
}

export const agreement = {
  heading: "Agreement of the maps",
  columns: ["Models", "Rank correlation", "Top tenth shared"],
  pair: ([one, other]) => `${one} and ${other}`,
  correlation: (value) => (value === null ? "none" : value.toFixed(2).replace("-", "\u2212")),
  overlap: (value) => (value === null ? "none" : percent(value)),
  hint:
    "Rank correlation is Spearman\u2019s, from \u22121 to 1. Of the tenth of the film that argues " +
    "most for this class, 10\u202f% is shared by chance. Models that agree may still be wrong together.",
};

export const occlusion = {
  heading: "Mask a part",
  invitation: "What would the model say without a part of the film? Mask it and see.",
  choose: "Mask a rectangle by hand (M)",
  sides: ["Left", "Top", "Right", "Bottom"],
  legend: "Or by its sides, in pixels",
  set: "Mask it",
  empty: "This rectangle holds no pixel of the film.",
  clear: "Take the mask away (X)",
  asking: (rectangle) => `Asking with ${area(rectangle)} masked\u2026`,
  masked: (rectangle) => `With ${area(rectangle)} masked:`,
  columns: ["Class", "Film", "Masked", "Change"],
  probability: percent,
  change: (difference) => {
    const points = Math.round(100 * difference);
    return points === 0 ? "0" : `${points > 0 ? "+" : "\u2212"}${Math.abs(points)}`;
  },
  hint:
    "Change in percentage points. The rectangle is filled with the film\u2019s median; such a film " +
    "is one that the model was never trained on.",
  unlike: "With this mask the film is unlike those the model knows: the probabilities mean little.",
};

function area([x0, y0, x1, y1]) {
  return `${x1 - x0} \u00d7 ${y1 - y0} pixels at ${x0}, ${y0}`;
}

/** Returns what a rectangle on a kept film is; `masked` is the prediction without it, or null. */
function maskWords({ rectangle, masked }, { class_name: name }) {
  const found = masked?.findings.find((finding) => finding.class_name === name);
  const said = found ? `: with it masked, ${className(name)} ${percent(found.probability)}` : "";
  return `${area(rectangle)}${said}`;
}

export const faithfulness = {
  button: "Test this map",
  title: "Does the model lean on what is hot? Asks it 25 times, with parts of the film masked",
  asking: "Asking with the hottest tenth masked, and with 24 random tenths\u2026",
  probability: percent,
  masked: ["Hottest tenth masked", "Another tenth masked"],
  /** Returns what a test found, in a sentence or two. */
  verdict: ({ class_name, verdict, sentence, ...found }) => {
    if (verdict === "not_tested") return sentence;
    const [before, after] = [found.probability, found.probability_masked].map(percent);
    const other = percent(found.probability_elsewhere);
    const lowers = found.probability_masked < found.probability ? "lowers" : "does not lower";
    return `${FAITHFUL[verdict]} Masking what is hot ${lowers} the probability of ` +
      `\u201c${className(class_name)}\u201d from ${before} to ${after}; masking elsewhere: ${other}.`;
  },
  hint:
    "The line in each bar is the whole film. Elsewhere is the mean of 24 random places, as smooth. " +
    "A map that passes shows what the model uses, not where a disease is.",
};

const FAITHFUL = {
  faithful: "The model leans on this map.",
  unclear: "Whether the model leans on this map is unclear.",
  unfaithful: "The model does not lean on this map.",
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

/** Returns what is said of models that gave no answer, as [name, ApiProblem]. */
export function failures(failed) {
  return failed.map(([name, problem]) => `${name} gave no answer. ${sentenceOf(problem)}`).join(" ");
}

/** Returns a problem (an ApiProblem) as one sentence or two. */
export function sentenceOf({ title, detail }) {
  return title ? [title, detail].filter(Boolean).join(". ") : problem.garbled.title;
}

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
    "Choose a class to see its evidence. Each is called from the mark on its bar: several may be, " +
    "or none.";
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
export function explanation(status, { finding, shown, forced, drawing, peak, signed }) {
  const name = className(finding.class_name);
  const hottest = `The strongest position reaches ${percent(peak)} of full colour.`;
  const texts = {
    ok: [`Where the model sees \u201c${name}\u201d`, hottest],
    no_positive_evidence: [
      "No position argues for this class",
      `Nowhere does the film speak for \u201c${name}\u201d: ` +
        (signed ? "what is coloured argues against it." : "there is nothing to colour."),
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
  raw: (rows, columns) =>
    rows * columns > 1 ? `Raw grid (${rows} \u00d7 ${columns} squares)` : "Raw grid",
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
};

const METHODS = { grad_cam: "Grad-CAM", hirescam: "HiResCAM" };
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
  trust: "How far the map can be trusted",
  noTrust: "Nobody has measured it for this file.",
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
      ({ method, target_layer: layer, activation_grid: grid }) =>
        `${METHODS[method]} at ${layer}, ${pair(grid)} cells`,
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
  model: (name) => `Asking ${name}\u2026`,
  film: "Sending the film\u2026",
  sending: (share) => `Sending the film\u2026 ${percent(share)}`,
  again: ({ title, detail }) =>
    `${sentences([title, detail])} The page asks again by itself; you may cancel.`,
  reading: (seconds) => `Reading the film\u2026 ${seconds} s`,
  long: (seconds) => `Still reading: ${seconds} s. A busy server takes its time; you may cancel.`,
};

export const canvas = {
  original: (name) => `The film: ${name}`,
  plain: "The film without a map",
  mapped: (name, row, column, rows, columns) =>
    `The film with the evidence for ${className(name)}; strongest in row ${row} of ${rows}, ` +
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
  stopped: {
    title: "Reading is stopped",
    detail: "This film waits until you go on.",
    status: 0,
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

/** What is said of files that can't be opened. */
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

/** What is said of zips, and of files in them, that can't be unpacked. */
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
  unlike: "Unlike the films this model knows",
  finding: ({ class_name: name, probability }) => `${className(name)} ${percent(probability)}`,
  refused: ({ title, detail }) => sentences([title, detail]),
};

/** Returns texts as sentences: each ends with a full stop. */
function sentences(texts) {
  return texts.filter(Boolean).map((text) => text.replace(/[^.]$/, "$&.")).join(" ");
}

/** Returns the figures at the ends of a map's scale of colours; without a scale, what they are. */
export function legendEnds(scale, signed) {
  if (scale === null) return [signed ? "full colour against" : "0", "full colour"];
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
  /** What a panel shows, of several side by side; without an answer, or a finding, why it is bare. */
  panel: ({ title, words, answer, finding }, at) => {
    const scale = finding ? `; full colour from ${figure(answer.model.evidence_scale)}` : "";
    const said = finding ? caption.finding({ answer, finding }) : words;
    return `${at + 1}. ${title}: ${said}${scale}`;
  },
  mask: ({ mask, finding }) => `Rectangle: ${maskWords(mask, finding)}`,
  source: ({ answer: { model }, compared = [], window, filmName }) =>
    [
      ...(compared.length ? ["Numbered from the left"] : [`${model.name} ${model.version}`]),
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
  facts: ({ answer, finding, card, filmName, window, mask }) => [
    ...(filmName === null ? [] : [["File", filmName]]),
    ["Film", detail.film(answer.film)],
    ...(window ? [["Window", windowWords(window)]] : []),
    ...(mask ? [["Rectangle", maskWords(mask, finding)]] : []),
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
  producer: ({ model }, { explanation: { method, target_layer: layer } }) =>
    "Made in the reader\u2019s browser by the viewer of Chest X-ray explainer. Probabilities and " +
    `${METHODS[method]} evidence (layer ${layer}) by the model ${model.name} ${model.version}. ` +
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
