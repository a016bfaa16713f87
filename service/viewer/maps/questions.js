/** Lists what an answer is about: its classes, and groups of them. Pure functions. */

const asked = new WeakMap(); // answer -> its findings and groups: the same objects each time

/** Returns an answer's findings, then its groups of classes, which have `class_names` besides. */
export function questionsOf(answer) {
  if (!asked.has(answer)) {
    const groups = (answer.groups ?? []).map((group) => ({ ...group, class_name: group.name }));
    asked.set(answer, [...answer.findings, ...groups]);
  }
  return asked.get(answer);
}

/** Returns the evidence that gets full colour: a group's own, or that of the model's classes. */
export function fullColour({ model }, { evidence_scale: own }) {
  return own ?? model.evidence_scale;
}
