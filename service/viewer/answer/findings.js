/** Looks up findings of an answer. Pure functions. */

/** Returns an answer's finding of a class; undefined if the model has no such class. */
export function findingOf(answer, className) {
  return answer.findings.find((finding) => finding.class_name === className);
}

/** Returns the predicted class; or the most probable finding, those called before others. */
export function topClass({ predicted_class: predicted, findings }) {
  const before = (one, other) =>
    one.decision === other.decision ? one.probability > other.probability : one.decision;
  return predicted ?? findings.reduce((a, b) => (before(b, a) ? b : a)).class_name;
}
