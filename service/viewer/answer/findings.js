/** Looks up findings of an answer. Pure functions. */

/** Returns an answer's finding of a class; undefined if the model has no such class. */
export function findingOf(answer, className) {
  return answer.findings.find((finding) => finding.class_name === className);
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
