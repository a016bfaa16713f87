/** Shows what a finding's map means, why there is none, or why it is not shown. */

import { hottestCell } from "./heat.js";
import { fullColour } from "./questions.js";
import { explanation } from "./strings.js";

/**
 * Returns whether a finding has a map that is painted: `belowShown` if it is below threshold, in the
 * signed view even if all evidence argues against it.
 */
export function isPainted({ explanation: { status, evidence } }, { belowShown, look }) {
  const shown = {
    ok: true,
    below_threshold: belowShown,
    no_positive_evidence: look.signed,
    out_of_distribution_forced: look.signed || (evidence && hottestCell(evidence).heat > 0),
  };
  return shown[status] ?? false;
}

export class ExplanationView {
  #elements;

  /** Takes {box, heading, sentence, button}; `onButton()` is called to go on as the button says. */
  constructor(elements, { onButton }) {
    this.#elements = elements;
    elements.button.addEventListener("click", onButton);
  }

  /** Shows the explanation of a finding of an answer. */
  show(answer, finding, { belowShown, look: { signed } }) {
    const { status, evidence } = finding.explanation;
    const peak = evidence ? peakOf(evidence, fullColour(answer, finding)) : 0;
    const words = explanation(status, {
      ...{ answer, finding, shown: belowShown, peak, signed },
    });
    const { box, heading, sentence, button } = this.#elements;
    box.dataset.status = answer.in_distribution ? status : "out_of_distribution";
    heading.textContent = words.heading;
    sentence.textContent = words.sentence;
    button.textContent = words.button ?? "";
    button.hidden = !words.button;
  }
}

function peakOf(evidence, scale) {
  return Math.min(1, hottestCell(evidence).heat / scale);
}
