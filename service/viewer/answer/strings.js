/** Texts about an answer and the model that gave it. */

import { questionsOf } from "../maps/questions.js";
import { refusedHeading } from "../maps/strings.js";
import {
  className,
  decimal,
  figure,
  finePercent,
  FORMATS,
  interval,
  percent,
  unitOf,
} from "../page/formats.js";
import { refused, sentenceOf } from "../page/strings.js";
import { areIndependent } from "./findings.js";

/** Returns the sentence that a screen reader hears when an answer has come. */
export function summary(answer) {
  if (!answer.in_distribution) return refusedHeading(answer);
  const called = questionsOf(answer).filter((finding) => finding.decision);
  const names = called.map(
    (finding) => `${className(finding.class_name)} ${percent(finding.probability)}`,
  );
  const said = `Called: ${names.join(", ") || "none"}.`;
  if (answer.is_decided) return `Film read. ${said}`;
  return names.length ? `${undecidedHeading(answer)}. ${said}` : undecidedHeading(answer);
}

const UNSURE = "No class is likely enough for a decision";
const alternatives = new Intl.ListFormat("en-GB", { type: "disjunction" });

/** Returns why a film that is not refused is undecided: what cannot be excluded, if that is it. */
export function undecidedHeading(answer) {
  return isBetweenClasses(answer) ? undecided(answer) : UNSURE;
}

/** Returns the same in a word or two, for the list of films. */
export function undecided(answer) {
  if (!isBetweenClasses(answer)) return decision.none;
  return `Undecided: ${alternatives.format(answer.prediction_set.map(className))}`;
}

/** Returns why a film is undecided, in a sentence for a report. */
export function undecidedSentence(answer) {
  return isBetweenClasses(answer)
    ? "None of these classes can be excluded."
    : `No class reaches the ${finePercent(answer.confidence_threshold ?? 0)} from which this ` +
        "model decides.";
}

function isBetweenClasses({ prediction_set: possible }) {
  return possible?.length > 1;
}

/** Returns how an answer is decided, and how its findings are to be read. */
export function findingsHint(answer) {
  const choose = "Choose a class to see its evidence.";
  if (!answer.in_distribution) return choose;
  if (areIndependent(answer)) {
    return (
      `${choose} Each is called from the mark on its bar: several may be, or none. Each ` +
      "probability stands for itself: findings do not exclude each other, and their " +
      "probabilities do not add up to 100\u202f%."
    );
  }
  const verdict = answer.is_decided
    ? `Decided: ${className(answer.predicted_class)}.`
    : `${undecidedHeading(answer)}.`;
  const rule = answer.prediction_set
    ? "Below the mark on its bar a class is excluded, but for the most likely one; a film is " +
      "decided when one class is left."
    : "The most likely class is called, and no other.";
  return `${verdict} ${choose} ${rule}`;
}

export const decision = {
  called: (threshold) => `Called: at or above its threshold of ${finePercent(threshold)}`,
  notCalled: (threshold) => `Not called: below its threshold of ${finePercent(threshold)}`,
  mostLikelyCalled: "Called: the most likely class",
  anotherCalled: "Not called: another class is more likely",
  onlyOneLeft: "Called: every other class is excluded",
  possible: "Cannot be excluded",
  excluded: (limit) => `Excluded: below its limit of ${finePercent(limit)}`,
  none: "No decision",
  unsure: (limit) => `No decision: no class reaches ${finePercent(limit)}`,
  mostLikely: "most likely",
};

/** Returns what an answer decides about a class, in a word or two. */
export function decided({ class_name: name, class_names: group, decision: called }, answer) {
  const { in_distribution: isAnswered, prediction_set: possible } = answer;
  if (called) return "Called";
  if (isAnswered && possible && !group) return possible.includes(name) ? "Not excluded" : "Excluded";
  return called === null ? decision.none : "Not called";
}

/** Returns the probability at the mark on a class's or group's bar, and what it means. */
export function limitWords({ excluded_below: limit, threshold }) {
  return typeof limit === "number"
    ? `excluded below ${finePercent(limit)}`
    : `threshold ${finePercent(threshold)}`;
}

/** Texts about what each network of an ensemble answers by itself. */
export const members = {
  heading: "The networks one by one",
  columns: (name) => ["Network", className(name), "Its answer"],
  agreeing: ({ most_probable_class: name }, answers) => {
    const agreeing = answers.filter((answer) => answer.most_probable_class === name);
    return (
      `${agreeing.length} of ${answers.length} networks find \u201c${className(name)}\u201d most ` +
      "likely, as the ensemble does."
    );
  },
  probability: ({ probability }) => percent(probability),
  verdict: (answer) => {
    if (!answer.in_distribution) return refused(answer);
    return answer.is_decided ? className(answer.most_probable_class) : undecided(answer);
  },
};

/** Texts under the chosen finding: its threshold's meaning, by the card. */
export const meaning = {
  group: ({ class_names: names }) => `One of: ${names.map(className).join(", ")}. `,
  threshold: ({ sensitivity, specificity, criterion }) =>
    `Threshold ${chosenFor(criterion)}: there it finds ${percent(sensitivity)} of positive films ` +
    `and rightly clears ${percent(specificity)} of negative ones.`,
  exclusion: (limit) =>
    `Excluded below ${finePercent(limit)}: of validation films of this class, about 90\u202f% lie ` +
    "at or above it.",
  auroc: ({ estimate, low, high }) =>
    `AUROC ${decimal(estimate)} (${interval(low, high)}) on the model\u2019s test films.`,
  noAuroc: "The model\u2019s card has no AUROC for this class.",
  refused:
    "The model\u2019s figures hold for films like its training films. This one is unlike them.",
};

/** Returns a criterion of the card as text: "largest Youden index on val" is how most begin. */
function chosenFor(criterion) {
  const aim = criterion.replace(/ on val$/, "");
  const where = aim === criterion ? "" : " on validation films";
  return `chosen${where} for ${aim.startsWith("largest") ? "the " : ""}${aim}`;
}

export const facts = {
  size: ["Size", (film) => `${film.columns} \u00d7 ${film.rows} pixels`],
  format: ["Format", (film) => FORMATS[film.format] ?? film.format],
  model: ["Model", (model) => `${model.name} ${model.version}`],
  fingerprint: ["Model file", (model) => `SHA-256 ${model.sha256.slice(0, 12)}\u2026`],
  distance: ["Distance from the training films", (distance) => figure(distance)],
  like: (threshold) => `Like them: at or below the limit of ${figure(threshold)}`,
  unlike: (threshold) => `Unlike them: above the limit of ${figure(threshold)}`,
  novelty: ["Novelty of its acquisition", (novelty) => figure(novelty)],
  known: (threshold) => `Acquired like the training films: at or below ${figure(threshold)}`,
  novel: (threshold) =>
    `Acquired in a way that training never saw: above the limit of ${figure(threshold)}`,
  unlimited: "The model has no limit for it",
  noLungs: "refused because no plausible lungs were found",
  card: "Model card",
};

/** Texts at the chart of distances; `place` takes the share of films that lie beyond. */
export const distance = {
  chart: (distance, limit) =>
    "Bar chart of the validation films\u2019 distances, with the limit at " +
    `${figure(limit)} and this film at ${figure(distance)}`,
  film: "this film",
  limit: "limit",
  bars: "bars: validation films",
  place(share) {
    const [than, films] = share < 0.5 ? ["farther", 1 - share] : ["nearer", share];
    return `${than} than ${many(films)}`;
  },
};

/** Texts at the chart of novelties, as for distances. */
export const novelty = {
  ...distance,
  chart: (novelty, limit) =>
    "Bar chart of the validation films\u2019 novelties, with the limit at " +
    `${figure(limit)} and this film at ${figure(novelty)}`,
  place(share) {
    const [than, films] = share < 0.5 ? ["more novel", 1 - share] : ["less novel", share];
    return `${than} than ${many(films)}`;
  },
};

/** Returns a share, in [0.5, 1], of the validation films in words. */
function many(films) {
  if (films > 0.995) return `${films < 1 ? "nearly " : ""}every validation film`;
  return `about ${percent(films)} of the validation films`;
}

/** Texts of the choice of a model. */
export const picker = {
  legend: "Model",
  title: ({ name, version, is_default: isDefault }) =>
    `${name} ${version}${isDefault ? ", answers when no model is asked for" : ""}`,
  states: { ready: "", asking: "reading\u2026", failed: "failed" },
};

/** Returns the sentences about models that gave no answer, each as [name, ApiProblem]. */
export function failures(failed) {
  return failed.map(([name, problem]) => `${name} gave no answer. ${sentenceOf(problem)}`).join(" ");
}

export const METHODS = { grad_cam: "Grad-CAM", hirescam: "HiResCAM", legrad: "LeGrad" };
const TASKS = {
  multiclass: "Exactly one class per film (softmax)",
  multilabel: "Any number of classes per film (sigmoid)",
};

/** Texts for a card's metrics; of others, their names are shown. */
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

/** Texts of the dialog that shows a model's card; a fact that a card lacks is null. */
export const card = {
  heading: ({ name, version }) => `Model card: ${name} ${version}`,
  close: "Close",
  networks: "Networks",
  together:
    "The mean of what these networks answer. A film that one of them refuses is refused. What they " +
    "are for, and their limits, their own cards say.",
  member: ({ name, version, sha256 }) => `${name} ${version}, SHA-256 ${sha256}`,
  use: "Intended use",
  limits: "Limits",
  decisions: "Decisions",
  howDecided: ({ task, conformal_quantiles: quantiles }) => {
    if (quantiles) {
      return (
        "A class is excluded below its limit, unless it is the most likely one. A film is decided " +
        "when one class is left. The limits were chosen on validation films, so that for films " +
        "like them the true class is not excluded in 90\u202f% of the films of each class."
      );
    }
    const called =
      task === "multilabel"
        ? "A class is called present from its threshold on."
        : "The most likely class is called. The thresholds say from where a class\u2019s map is shown.";
    return (
      `${called} Sensitivity and specificity are those on the films that the threshold was chosen ` +
      "on, and so optimistic."
    );
  },
  thresholdHeads: ["Class", "Threshold", "Sensitivity", "Specificity", "Chosen as"],
  exclusionHeads: ["Class", "Excluded below"],
  decisionFacts: [
    ["Calibration", ({ temperature }) => `Logits are divided by ${decimal(temperature)}`],
    ["Calibration error", calibrationError],
    [
      "Unsure",
      ({ confidence_threshold: limit }) =>
        typeof limit === "number" ? `No decision where no class reaches ${finePercent(limit)}` : null,
    ],
    [
      "Unlike",
      ({ distance_threshold: limit }) =>
        typeof limit === "number"
          ? `No decision where the distance from the training films is beyond ${figure(limit)}`
          : null,
    ],
    [
      "Novel",
      ({ novelty_threshold: limit }) =>
        typeof limit === "number"
          ? `No decision where the novelty of the acquisition is beyond ${figure(limit)}`
          : null,
    ],
    ["No lungs", lungLimits],
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
      ({ evidence_scale: scale, method }) =>
        `From ${figure(scale)} ${unitOf(method)}, for every class`,
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

function lungLimits({ lung_limits: limits }) {
  if (!limits) return null;
  const [low, high] = limits.area.map(percent);
  return (
    `No decision unless lungs cover ${low} to ${high} of the film, one half of it has at least ` +
    `${percent(limits.balance)} of the other\u2019s lung area, and at most ` +
    `${finePercent(limits.stray)} of what looks like lung lies apart`
  );
}

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
