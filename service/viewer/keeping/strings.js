/** Texts in the files that are kept, and beside the buttons that keep them. */

import { areIndependent, findingOf, thresholdOf } from "../answer/findings.js";
import {
  card as cardWords,
  decided,
  limitWords,
  METHODS,
  undecidedHeading,
  undecidedSentence,
} from "../answer/strings.js";
import { detail } from "../desk/strings.js";
import { fullColour } from "../maps/questions.js";
import { area, oneScale, UNLIKE_FILM } from "../maps/strings.js";
import { className, figure, finePercent, percent, unitOf } from "../page/formats.js";
import { isNovel, lacksLungs, page, refused } from "../page/strings.js";

/** Texts of the buttons that keep something. */
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

/** Texts of the strip under a kept picture; the arguments are snapshots. */
export const caption = {
  researchOnly: page.researchOnly,
  finding: ({ answer, finding }) => {
    const unlike = answer.in_distribution ? "" : ` (${lowered(refused(answer))})`;
    return (
      `${className(finding.class_name)} ${percent(finding.probability)}: ` +
      `${decided(finding, answer).toLowerCase()}${unlike}, ${limitWords(finding)}`
    );
  },
  /** What a panel shows, of several side by side; without an answer, or a finding, why it is bare. */
  panel: ({ title, words, answer, finding }, at) => {
    const hasMap = finding?.explanation.method; // the ensemble's has none
    const scale = hasMap ? `; full colour from ${figure(fullColour(answer, finding))}` : "";
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
  map: ({ look, finding }) => drawn(look, finding),
};

/** Returns how a finding's map is drawn; `look` is a snapshot's (picture_export.js). */
function drawn(look, finding) {
  const { mapShown, opacity, threshold, colourMap, signed, raw, outline, cut, lungs } = look;
  const outlined = lungs ? " The lungs are outlined as the model found them." : "";
  if (!mapShown) return `No evidence map shown.${outlined}`;
  const parts = [
    `opacity ${percent(opacity)}`,
    ...(threshold > 0 ? [`drawn from ${percent(threshold)} of full colour`] : []),
    `colours \u201c${colourMap}\u201d`,
    signed ? "for and against" : "for the class only",
    raw ? "the raw squares" : "smoothed",
    ...(outline > 0 ? [`outlined at ${percent(outline)}`] : []),
    ...(cut ? ["inside the lungs only"] : []),
  ];
  return `Evidence in ${unitOf(finding?.explanation.method)}: ${parts.join(", ")}.${outlined}`;
}

function windowWords({ centre, width }) {
  const [middle, across] = [centre, width].map((figure) => Number(figure.toPrecision(6)));
  return `centre ${middle}, width ${across}`;
}

/** Returns the text for a rectangle on a kept film; `masked` is the prediction without it, or null. */
function maskWords({ rectangle, masked }, { class_name: name }) {
  const found = masked && findingOf(masked, name);
  const said = found ? `: with it masked, ${className(name)} ${percent(found.probability)}` : "";
  return `${area(rectangle)}${said}`;
}

const dateFormat = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "long",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
});

/** Texts of the PDF report outside its table. */
export const report = {
  title: "Chest X-ray explainer: report",
  creator: "Chest X-ray explainer",
  language: "en-GB",
  researchOnly: page.researchOnly,
  made: (date) => dateFormat.format(date),
  model: ({ name, version }) => `${name} ${version}`,
  undecided: (answer) => {
    if (!answer.in_distribution)
      return { heading: `${refused(answer)}: no decision`, sentence: UNLIKE_FILM };
    return answer.is_decided
      ? null
      : { heading: undecidedHeading(answer), sentence: undecidedSentence(answer) };
  },
  film: (film) => `The film: ${detail.film(film)}`,
  view: (finding, { mapShown }) =>
    mapShown ? `The view: evidence for ${className(finding.class_name)}` : "The view: no map shown",
  mapHeading: ({ class_name: name }) => `Evidence map: ${className(name)}`,
  explanation: ({ answer, finding, look, strongest }) => [
    [mapState(finding, answer, look.mapShown), strongest && strongestWords(strongest)]
      .filter(Boolean)
      .join(" "),
    ...(look.mapShown ? [`${drawn(look, finding)} ${scaleWords(answer, finding)}`] : []),
    "A map shows what moved this model, not where disease is.",
  ],
  factsHeading: "About this answer",
  facts: ({ answer, finding, card, filmName, window, mask }) => [
    ...(filmName === null ? [] : [["File", filmName]]),
    ["Film", detail.film(answer.film)],
    ...(window ? [["Window", windowWords(window)]] : []),
    ...(mask ? [["Rectangle", maskWords(mask, finding)]] : []),
    ["Distance", distanceWords(answer)],
    ...(typeof answer.novelty === "number" ? [["Novelty", noveltyWords(answer)]] : []),
    ["Model", `${answer.model.name} ${answer.model.version}`],
    ["File SHA-256", answer.model.sha256],
    ...(card?.code_revision ? [["Code revision", card.code_revision]] : []),
  ],
  card: (card) => {
    if (!card) {
      return [["The model\u2019s card was not read", "It says what the model is for, and its limits."]];
    }
    const list = (items) => items.map((item) => `\u2022 ${item}`).join("\n");
    if (card.members) {
      return [["Its networks", `${cardWords.together}\n${list(card.members.map(cardWords.member))}`]];
    }
    return [
      ["What the model is for", card.intended_use],
      ["Its limits", list(card.limits)],
    ];
  },
  producer: ({ model }, { explanation: { method, target_layer: layer } }) => {
    const evidence = method ? ` and ${METHODS[method]} evidence (layer ${layer})` : "";
    return (
      "Made in the reader\u2019s browser by the viewer of Chest X-ray explainer. Probabilities" +
      `${evidence} by the model ${model.name} ${model.version}. ${page.researchOnly}`
    );
  },
};

const THIRDS = [
  ["upper left", "upper middle", "upper right"],
  ["middle left", "middle", "middle right"],
  ["lower left", "lower middle", "lower right"],
];

/** Returns the third of a film in which shares (x, y) of its size lie. */
function third(x, y) {
  const [column, row] = [x, y].map((share) => Math.min(2, Math.max(0, Math.floor(3 * share))));
  return `${THIRDS[row][column]} of the film`;
}

function lowered(sentence) {
  return sentence[0].toLowerCase() + sentence.slice(1);
}

function mapState(finding, answer, shown) {
  const { explanation: { status }, decision: called, class_names: group } = finding;
  const isExcluded = answer.prediction_set && !group;
  const why = isExcluded ? "excluded" : called ? "below its threshold" : "not called";
  const texts = {
    ok: shown ? "Colour shows where the model sees evidence for the class." : "The map was hidden.",
    no_positive_evidence: "No position argues for this class.",
    below_threshold: shown
      ? `Shown although the class is ${why}: this map explains no decision.`
      : `Not shown: the class is ${why}, so its map explains no decision.`,
    out_of_distribution_forced: "Shown although the film is refused: this map explains no decision.",
    no_map: "No map: the ensemble has none of its own, its networks have one each.",
    out_of_distribution: `No map: it is withheld for a film ${whatFilm(answer)}.`,
  };
  return texts[status];
}

function whatFilm(answer) {
  if (isNovel(answer)) return "acquired in a way that training never saw";
  return lacksLungs(answer) ? "without plausible lungs" : "unlike those the model knows";
}

function strongestWords({ x, y, share }) {
  return (
    `The strongest position lies in the ${third(x, y)}, ${percent(x)} from its left and ` +
    `${percent(y)} from its top, and reaches ${percent(share)} of full colour.`
  );
}

function scaleWords(answer, finding) {
  const full = figure(fullColour(answer, finding));
  return `Full colour from ${full}: ${oneScale(Boolean(finding.class_names))}`;
}

function distanceWords({ distance, distance_threshold: limit, refusals }) {
  const verdict = refusals.includes("distance") ? "unlike" : "like";
  return `${figure(distance)} (limit ${figure(limit)}): ${verdict} the training films`;
}

function noveltyWords({ novelty, novelty_threshold: limit, refusals }) {
  if (typeof limit !== "number") return `${figure(novelty)} (no limit)`;
  const verdict = refusals.includes("novelty") ? "unlike" : "like";
  return `${figure(novelty)} (limit ${figure(limit)}): acquired ${verdict} the training films`;
}

const NOT_KNOWN = "\u2013";

/** Texts of the report's table; `card` may be null. */
export const reportTable = {
  className: "Class",
  probability: "Probability",
  limit: (answer) => (answer.prediction_set ? "Excluded below" : "Threshold"),
  decision: "Decision",
  sensitivity: "Sens. / spec.",
  auroc: "AUROC (95 %)",
  decided,
  operatingPoint: (card, { class_name: name, excluded_below: limit }) => {
    const chosen = card && thresholdOf(card, name);
    return chosen && typeof limit !== "number"
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
  note: (answer, card, left) =>
    (left > 0 ? `And ${left} more classes. ` : "") +
    `Probabilities are calibrated; ${ruleOf(answer)} ` +
    (card && !answer.prediction_set
      ? "Sensitivity and specificity: at that threshold, on the films it was chosen on " +
        `(${card.decision_thresholds[0].criterion}). `
      : "") +
    (card ? "AUROC: with its 95\u202f% interval." : ""),
};

/** Returns how the classes of an answer are decided, by the dark mark on each one's bar. */
function ruleOf(answer) {
  if (answer.prediction_set) {
    return (
      "below the dark mark a class is excluded, but for the most likely one. A film is decided " +
      "when one class is left."
    );
  }
  return areIndependent(answer)
    ? "each class is decided on its own, at its threshold (the dark mark)."
    : "the dark mark is the threshold of a class.";
}
