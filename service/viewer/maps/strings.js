/** Texts about the maps of an answer, and about the questions that can be put to them. */

import { className, figure, percent } from "../page/formats.js";
import { isNovel, lacksLungs, refused } from "../page/strings.js";

/** Returns the texts for a map's status: a heading, a sentence and the button that goes on. */
export function explanation(status, { answer, finding, shown, peak, signed }) {
  const name = className(finding.class_name);
  const hottest = `The strongest position reaches ${percent(peak)} of full colour.` + inLungs(finding);
  const words = belowWords(answer, finding);
  const texts = {
    ok: [`Where the model sees \u201c${name}\u201d`, hottest],
    no_positive_evidence: [
      "No position argues for this class",
      `Nowhere does the film speak for \u201c${name}\u201d: ` +
        (signed ? "what is coloured argues against it." : "there is nothing to colour."),
    ],
    below_threshold: shown
      ? [words.shown, `${hottest} The class is ${words.why}.`, "Hide the map"]
      : [
          `${words.heading}: map hidden`,
          `\u201c${name}\u201d is ${words.why}, so its map explains no decision.`,
          "Show it anyway",
        ],
    out_of_distribution: [refusedHeading(answer), UNLIKE_FILM, "Ask for the maps anyway"],
    no_map: [answer.in_distribution ? "No map of its own" : refusedHeading(answer), NO_MAP],
  };
  const forced = status === "out_of_distribution_forced";
  const asIfAnswered = peak > 0 ? "ok" : "no_positive_evidence";
  const [heading, sentence, button] = texts[forced ? asIfAnswered : status];
  const warning = `${whyRefused(answer)}: no decision, and a map only on demand.`;
  return { heading, sentence: forced ? `${warning} ${sentence}` : sentence, button };
}

function whyRefused(answer) {
  if (isNovel(answer)) return "This film was acquired in a way that training never saw";
  if (lacksLungs(answer)) return "No plausible lungs were found";
  return "This film is unlike those the model knows";
}

/** Returns why a map explains no decision: its class is excluded, or it is below its threshold. */
function belowWords({ prediction_set: possible }, { decision: called, class_names: group }) {
  return possible && !group
    ? { heading: "Excluded", shown: "Shown although the class is excluded", why: "excluded" }
    : {
        heading: "Below the decision threshold",
        shown: "Shown although below the decision threshold",
        why: called ? "most likely, but below its threshold" : "not called",
      };
}

export function refusedHeading(answer) {
  return `${refused(answer)}: no decision, no map`;
}

const NO_MAP =
  "The ensemble averages what the networks answer, and their maps have different grids. Under " +
  "\u201cCompare models\u201d each network\u2019s map lies beside the others.";
export const UNLIKE_FILM = "The probabilities are greyed: they mean little for such a film.";

/** Returns how much of a map lies inside the lungs, as a sentence to add; "" where none is known. */
function inLungs({ explanation: { inside_lungs: inside } }) {
  return typeof inside === "number"
    ? ` ${percent(inside)} of what argues for the class lies inside the lungs; no more is drawn.`
    : "";
}

/** Returns what has the scale of a class in common, or of a group of classes. */
export function oneScale(isGroup) {
  return `one scale for every ${isGroup ? "" : "class and "}film of this model.`;
}

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
  words: (scale, signed, unit, isGroup) => {
    const what = signed
      ? `Evidence in ${unit}: for the class right of 0, against it left of 0.`
      : `Evidence for the class, in ${unit}.`;
    const rest = signed ? "" : " What argues against the class is not coloured.";
    const fixed = oneScale(isGroup);
    return `${what} Full colour from ${figure(scale)}: ${fixed}${rest}`;
  },
};

/** Returns the figures at the ends of a map's scale of colours; without a scale, what they are. */
export function legendEnds(scale, signed) {
  if (scale === null) return [signed ? "full colour against" : "0", "full colour"];
  return [signed ? `\u2212${figure(scale)} or less` : "0", legend.full(scale)];
}

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
  lungs: "Outline of the lungs",
  level: (level) => `at ${percent(level)} of full colour`,
};

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
  refused: (masked) =>
    (isNovel(masked)
      ? "With this mask the film is as no film of the training was acquired"
      : lacksLungs(masked)
        ? "With this mask no plausible lungs are found"
        : "With this mask the film is unlike those the model knows") +
    ": the probabilities mean little.",
};

export function area([x0, y0, x1, y1]) {
  return `${x1 - x0} \u00d7 ${y1 - y0} pixels at ${x0}, ${y0}`;
}
