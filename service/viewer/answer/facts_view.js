/** Shows the facts of an answer: film, model, and how far the film is from the training films. */

import { element } from "../page/elements.js";
import { showDistance, showNovelty } from "./distance_view.js";
import { facts } from "./strings.js";

/**
 * Fills a description list with the facts of an answer.
 *
 * The card may be null while it is on its way; with `onCard`, a button asks to see it.
 */
export function showFacts(list, answer, { card = null, onCard = null } = {}) {
  const distance = element("dd", { className: "wide" });
  showDistance(distance, answer, card);
  const isMeasured = typeof answer.novelty === "number";
  const novelty = isMeasured ? [wide(facts.novelty), element("dd", { className: "wide" })] : [];
  if (isMeasured) showNovelty(novelty[1], answer, card);
  list.replaceChildren(
    ...fact(facts.size, answer.film),
    ...fact(facts.format, answer.film),
    ...fact(facts.model, answer.model, onCard ? [" ", cardButton(onCard)] : []),
    ...fact(facts.fingerprint, answer.model),
    wide(facts.distance),
    distance,
    ...novelty,
  );
}

function wide([name]) {
  return element("dt", { className: "wide", textContent: name });
}

function fact([name, words], about, children = []) {
  return [
    element("dt", { textContent: name }),
    element("dd", { textContent: words(about) }, children),
  ];
}

function cardButton(onCard) {
  const button = element("button", { type: "button", textContent: facts.card });
  button.addEventListener("click", onCard);
  return button;
}
