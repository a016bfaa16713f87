/** A question to the explanation: what does the model say with a part of the film masked? */

import { element } from "./bars.js";
import { className, occlusion as words } from "./strings.js";

export class OcclusionView {
  #section;
  #onClear;
  #onMask;

  /** Takes a section; `onMask()` is called to choose the tool, `onClear()` to take the mask away. */
  constructor(section, { onMask, onClear }) {
    this.#section = section;
    this.#onMask = onMask;
    this.#onClear = onClear;
    this.invite();
  }

  /** Says what can be done. */
  invite() {
    this.#fill(words.invitation, this.#button(words.choose, this.#onMask));
  }

  /** Says that the model is asked. */
  wait(rectangle) {
    this.#fill(words.asking(rectangle));
  }

  /** Says what went wrong, in a sentence. */
  fail(sentence) {
    this.#fill(sentence, this.#button(words.clear, this.#onClear));
  }

  /** Shows the probabilities with a rectangle masked (a Prediction) beside those without. */
  show(rectangle, answer, masked) {
    const rows = answer.findings.map((finding, at) => comparedRow(finding, masked.findings[at]));
    const table = element("table", { className: "figures" }, [
      element("thead", {}, [element("tr", {}, words.columns.map(columnHeading))]),
      element("tbody", {}, rows),
    ]);
    const unlike = answer.in_distribution && !masked.in_distribution ? [hint(words.unlike)] : [];
    const clear = this.#button(words.clear, this.#onClear);
    this.#fill(words.masked(rectangle), table, ...unlike, hint(words.hint), clear);
  }

  #fill(sentence, ...more) {
    this.#section.replaceChildren(
      element("h2", { id: "occlusion-heading", textContent: words.heading }),
      element("p", { className: "occlusion-words", role: "status", textContent: sentence }),
      ...more,
    );
  }

  #button(textContent, onPress) {
    const button = element("button", { type: "button", textContent });
    button.addEventListener("click", onPress);
    return button;
  }
}

function comparedRow(finding, masked) {
  const change = masked.probability - finding.probability;
  const row = element("tr", {}, [
    element("th", { scope: "row", textContent: className(finding.class_name) }),
    element("td", { textContent: words.probability(finding.probability) }),
    element("td", { textContent: words.probability(masked.probability) }),
    element("td", { textContent: words.change(change) }),
  ]);
  row.dataset.class = finding.class_name;
  return row;
}

function columnHeading(textContent) {
  return element("th", { scope: "col", textContent });
}

function hint(textContent) {
  return element("p", { className: "hint", textContent });
}
