/** Shows what the answer is about: the film, the model, and how alike the film is to known ones. */

import { element, thresholdBar } from "./bars.js";
import { facts } from "./strings.js";

/** Fills a description list with the facts of an answer. */
export function showFacts(list, answer) {
  const [distanceName, distanceWords] = facts.distance;
  list.replaceChildren(
    ...fact(facts.size, answer.film),
    ...fact(facts.format, answer.film),
    ...fact(facts.model, answer.model),
    ...fact(facts.fingerprint, answer.model),
    element("dt", { textContent: distanceName }),
    element("dd", {}, [distanceWords(answer.distance), ...closeness(answer)]),
  );
}

function fact([name, words], about) {
  return [element("dt", { textContent: name }), element("dd", { textContent: words(about) })];
}

function closeness({ distance, distance_threshold: limit, in_distribution: alike }) {
  const words = alike ? facts.alike(limit) : facts.unlike(limit);
  return [
    // The limit stands in the middle of the bar.
    thresholdBar(Math.min(1, distance / (2 * limit)), 0.5),
    element("span", { className: "decision", textContent: words }),
  ];
}
