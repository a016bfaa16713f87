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

/** Returns the predicted class; or the most probable finding, those called before others. */
export function topClass({ predicted_class: predicted, findings }) {
  const before = (one, other) =>
    one.decision === other.decision ? one.probability > other.probability : one.decision;
  return predicted ?? findings.reduce((a, b) => (before(b, a) ? b : a)).class_name;
}
