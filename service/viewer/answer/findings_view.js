/** Shows an answer's findings as a radio group: probability, bar, threshold and decision. */

import { questionsOf } from "../maps/questions.js";
import { thresholdBar } from "../page/bars.js";
import { element } from "../page/elements.js";
import { className, percent } from "../page/formats.js";
import { areIndependent, markOf, thresholdOf } from "./findings.js";
import { decision, meaning } from "./strings.js";

/**
 * Fills a container with one radio button per finding; under the chosen one stands what its
 * threshold means.
 *
 * Arrow keys move between them; `onSelect` gets the class name that was chosen. While the card is
 * null nothing stands there: `showMeaning` fills it in later.
 */
export function showFindings(container, answer, { card = null, selected, onSelect }) {
  container.replaceChildren(
    ...questionsOf(answer).flatMap((finding, index) => {
      const words = element("p", { className: "meaning hint", id: `meaning-${index}` });
      words.dataset.className = finding.class_name;
      if (finding.class_names) words.dataset.members = meaning.group(finding);
      return [findingChoice(finding, answer, { selected, onSelect, words }), words];
    }),
  );
  container.classList.toggle("undecided", !answer.in_distribution);
  if (card) showMeaning(container, card);
}

/** Shows what the thresholds mean in a container of findings, by their model's card. */
export function showMeaning(container, card) {
  const refused = container.classList.contains("undecided");
  for (const words of container.querySelectorAll(".meaning")) {
    const { className: name, members = "" } = words.dataset;
    words.textContent = members + (refused ? meaning.refused : thresholdMeaning(card, name));
  }
}

function findingChoice(finding, answer, { selected, onSelect, words }) {
  const radio = element("input", {
    type: "radio",
    name: "finding",
    value: finding.class_name,
    checked: finding.class_name === selected,
  });
  radio.setAttribute("aria-describedby", words.id);
  radio.addEventListener("change", () => onSelect(finding.class_name));
  const choice = element("label", { className: "finding" }, [
    radio,
    ...nameAndTag(finding, answer),
    element("span", { className: "probability", textContent: percent(finding.probability) }),
    thresholdBar(finding.probability, markOf(finding)),
    element("span", { className: "decision", textContent: decisionWords(finding, answer) }),
  ]);
  choice.classList.toggle("called", finding.decision === true);
  choice.classList.toggle("group", Boolean(finding.class_names));
  return choice;
}

function nameAndTag(finding, answer) {
  const name = element("span", { className: "name", textContent: className(finding.class_name) });
  if (finding.class_name === answer.predicted_class) {
    name.append(" ", element("span", { className: "tag", textContent: decision.mostLikely }));
  }
  return [name];
}

function decisionWords(finding, answer) {
  const { class_name: name, decision: called, threshold, excluded_below: limit } = finding;
  if (!answer.in_distribution) return decision.none;
  if (finding.class_names || (answer.is_confident && areIndependent(answer))) {
    return called ? decision.called(threshold) : decision.notCalled(threshold);
  }
  if (!answer.is_confident) return decision.unsure(answer.confidence_threshold);
  if (!answer.prediction_set) return called ? decision.mostLikelyCalled : decision.anotherCalled;
  if (called) return decision.onlyOneLeft;
  return answer.prediction_set.includes(name) ? decision.possible : decision.excluded(limit);
}

function thresholdMeaning(card, name) {
  const quantile = card.conformal_quantiles?.[card.class_names.indexOf(name)];
  const mark =
    quantile === undefined
      ? meaning.threshold(thresholdOf(card, name))
      : meaning.exclusion(1 - quantile);
  const auroc = card.metrics.find(
    (one) => one.name === "auroc" && one.split === "test" && one.class_name === name,
  );
  return `${mark} ${auroc ? meaning.auroc(auroc) : meaning.noAuroc}`;
}
