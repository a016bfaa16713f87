/** Offers a faithfulness test of the map in view, and shows its result. */

import { thresholdBar } from "../page/bars.js";
import { element } from "../page/elements.js";
import { faithfulness as words } from "./strings.js";

export class FaithfulnessView {
  #box;
  #onTest;
  #status = element("p", { role: "status", tabIndex: -1 });
  #rest = element("div");

  /** Takes an element; `onTest()` is called to test the map in view. */
  constructor(box, { onTest }) {
    this.#box = box;
    this.#onTest = onTest;
    box.append(this.#status, this.#rest);
  }

  /** Offers the test of a finding's map, where there is something to mask. */
  invite({ explanation: { evidence } }) {
    this.#box.hidden = !evidence?.flat().some((value) => value > 0);
    this.#fill("", this.#button());
  }

  /** Says that the model is asked. */
  wait() {
    this.#fill(words.asking);
  }

  /** Says what went wrong, in a sentence. */
  fail(sentence) {
    this.#fill(sentence, this.#button());
  }

  /** Shows what a test found: `faithfulness` of an answer of POST /v1/explain. */
  show(test) {
    this.#box.hidden = false;
    this.#fill(words.verdict(test), ...(test.gap === null ? [] : [bars(test), hint()]));
    this.#box.dataset.verdict = test.verdict;
  }

  #fill(sentence, ...more) {
    const hadFocus = this.#rest.contains(document.activeElement);
    delete this.#box.dataset.verdict;
    this.#status.textContent = sentence;
    this.#rest.replaceChildren(...more);
    if (hadFocus) this.#status.focus();
  }

  #button() {
    const button = element("button", { type: "button", textContent: words.button, title: words.title });
    button.addEventListener("click", this.#onTest);
    return button;
  }
}

/** Returns both probabilities as bars, with a tick at the whole film's. */
function bars({ probability, probability_masked: masked, probability_elsewhere: elsewhere }) {
  const rows = [masked, elsewhere].map((value, at) => [
    element("dt", { textContent: words.masked[at] }),
    element("dd", {}, [words.probability(value), thresholdBar(value, probability)]),
  ]);
  return element("dl", {}, rows.flat());
}

function hint() {
  return element("p", { className: "hint", textContent: words.hint });
}
