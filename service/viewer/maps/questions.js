/** Lists what an answer is about: its classes, and groups of them. Pure functions. */

const asked = new WeakMap(); // answer -> its findings and groups: the same objects each time

/** What the ensemble has in place of an explanation: it has no map of its own. */
const NO_MAP = { status: "no_map", evidence: null };

/** Returns an answer's findings, then its groups of classes, which have `class_names` besides. */
export function questionsOf(answer) {
  if (!asked.has(answer)) {
    const groups = (answer.groups ?? []).map((group) => ({ ...group, class_name: group.name }));
    const withMap = (one) => (one.explanation ? one : { ...one, explanation: NO_MAP });
    asked.set(answer, [...answer.findings, ...groups].map(withMap));
  }
  return asked.get(answer);
}

/** Returns the evidence that gets full colour: a group's own, or that of the model's classes. */
export function fullColour({ model }, { evidence_scale: own }) {
  return own ?? model.evidence_scale;
}
