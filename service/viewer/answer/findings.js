/** Looks up findings of an answer. Pure functions. */

import { questionsOf } from "../maps/questions.js";

/** Returns an answer's finding of a class or group; undefined if the model has none of the name. */
export function findingOf(answer, className) {
  return questionsOf(answer).find((finding) => finding.class_name === className);
}

/** Returns the threshold of a class or group in a card, with its sensitivity and specificity. */
export function thresholdOf({ class_names: names, decision_thresholds: thresholds, groups }, name) {
  return thresholds[names.indexOf(name)] ?? groups?.find((group) => group.name === name)?.threshold;
}

/** Returns the most probable class, or finding, those called before others. */
export function topClass({ findings }) {
  const before = (one, other) =>
    one.decision === other.decision ? one.probability > other.probability : one.decision;
  return findings.reduce((a, b) => (before(b, a) ? b : a)).class_name;
}

/** Returns whether the findings of an answer that is not refused do not exclude each other. */
export function areIndependent({ in_distribution: isAnswered, predicted_class: predicted }) {
  return isAnswered && predicted === null;
}

/** Returns the probability at the mark on a finding's bar: what excludes its class, or calls it. */
export function markOf({ excluded_below: limit, threshold }) {
  return limit ?? threshold;
}
