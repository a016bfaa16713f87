/** Shows an answer's findings as a radio group: probability, bar, threshold, decision in words. */

import { element, thresholdBar } from "./bars.js";
import { className, decision, percent } from "./strings.js";

/**
 * Fills a container with one radio button per finding.
 *
 * Arrow keys move between them; `onSelect` gets the class name that was chosen.
 */
export function showFindings(container, answer, { selected, onSelect }) {
  container.replaceChildren(
    ...answer.findings.map((finding) => findingChoice(finding, answer, { selected, onSelect })),
  );
  container.classList.toggle("undecided", !answer.in_distribution);
}

/** Returns the predicted class; or the most probable finding, those called before others. */
export function foremostClass({ predicted_class: predicted, findings }) {
  const before = (one, other) =>
    one.decision === other.decision ? one.probability > other.probability : one.decision;
  return predicted ?? findings.reduce((a, b) => (before(b, a) ? b : a)).class_name;
}

function findingChoice(finding, answer, { selected, onSelect }) {
  const radio = element("input", {
    type: "radio",
    name: "finding",
    value: finding.class_name,
    checked: finding.class_name === selected,
  });
  radio.addEventListener("change", () => onSelect(finding.class_name));
  const choice = element("label", { className: "finding" }, [
    radio,
    ...nameAndTag(finding, answer),
    element("span", { className: "probability", textContent: percent(finding.probability) }),
    thresholdBar(finding.probability, finding.threshold),
    element("span", { className: "decision", textContent: decisionWords(finding, answer) }),
  ]);
  choice.classList.toggle("called", finding.decision === true);
  return choice;
}

function nameAndTag(finding, answer) {
  const name = element("span", { className: "name", textContent: className(finding.class_name) });
  if (finding.class_name === answer.predicted_class && answer.in_distribution) {
    name.append(" ", element("span", { className: "tag", textContent: decision.mostLikely }));
  }
  return [name];
}

function decisionWords({ decision: called, threshold }, answer) {
  if (!answer.in_distribution) return decision.none;
  if (!answer.is_confident) return decision.unsure(answer.confidence_threshold);
  return called ? decision.called(threshold) : decision.notCalled(threshold);
}
