/** Offers to mask a rectangle of the film, and shows the answers with and without it. */

import { element } from "../page/elements.js";
import { className } from "../page/formats.js";
import { questionsOf } from "./questions.js";
import { occlusion as words } from "./strings.js";

export class OcclusionView {
  #sentence = element("p", { className: "occlusion-words", role: "status" });
  #found = element("div");
  #sides = words.sides.map(() => element("input", { type: "number", min: 0, required: true }));
  #tool = button(words.choose);
  #clear = button(words.clear);

  /**
   * Fills a section. `onTool()` is called to choose the tool that draws a rectangle, `onMask([x, y],
   * [x, y])` with two corners that were entered, in film pixels, `onClear()` to take the mask away.
   */
  constructor(section, { onTool, onMask, onClear }) {
    this.#tool.addEventListener("click", onTool);
    this.#clear.addEventListener("click", () => {
      onClear();
      this.#tool.focus();
    });
    const form = sidesForm(this.#sides);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [left, top, right, bottom] = this.#sides.map((side) => side.valueAsNumber);
      onMask([left, top], [right, bottom]);
    });
    section.replaceChildren(
      element("h2", { id: "occlusion-heading", textContent: words.heading }),
      ...[this.#sentence, this.#found, this.#clear, this.#tool, form],
    );
    this.invite();
  }

  /** Begins with a film (a FilmPixels): its middle is what may be masked first. */
  begin({ rows, columns }) {
    [columns, rows, columns, rows].forEach((most, at) => (this.#sides[at].max = most));
    this.#enter([columns / 3, rows / 3, (2 * columns) / 3, (2 * rows) / 3].map(Math.round));
    this.invite();
  }

  /** Says what can be done. */
  invite() {
    this.#show(words.invitation, []);
    this.#clear.hidden = true;
  }

  /** Says that the model is asked. */
  wait(rectangle) {
    this.#enter(rectangle);
    this.#show(words.asking(rectangle), []);
    this.#clear.hidden = false;
  }

  /** Says what went wrong, in a sentence; what was found before stays. */
  fail(sentence) {
    this.#sentence.textContent = sentence;
  }

  /** Shows the probabilities with a rectangle masked (a Prediction) beside those without. */
  show(rectangle, answer, masked) {
    const found = questionsOf(masked);
    const rows = questionsOf(answer).map((finding, at) => comparedRow(finding, found[at]));
    const table = element("table", { className: "figures" }, [
      element("thead", {}, [element("tr", {}, words.columns.map(columnHeading))]),
      element("tbody", {}, rows),
    ]);
    const newly = answer.in_distribution && !masked.in_distribution;
    const refused = newly ? [hint(words.refused(masked))] : [];
    this.#show(words.masked(rectangle), [table, ...refused, hint(words.hint)]);
  }

  #show(sentence, found) {
    this.#sentence.textContent = sentence;
    this.#found.replaceChildren(...found);
  }

  #enter(rectangle) {
    rectangle.forEach((value, at) => (this.#sides[at].value = value));
  }
}

function sidesForm(sides) {
  const labels = sides.map((side, at) => element("label", {}, [words.sides[at], side]));
  const legend = element("legend", { textContent: words.legend });
  const send = element("button", { textContent: words.set });
  return element("form", {}, [element("fieldset", { className: "sides" }, [legend, ...labels, send])]);
}

function button(textContent) {
  return element("button", { type: "button", textContent });
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
