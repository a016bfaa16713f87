/** Makes buttons and choices from their texts, and fills the fixed elements with theirs. */

import { element } from "./elements.js";
import { page } from "./strings.js";

/** Fills the elements whose `data-text` or `data-label` names a text of the page. */
export function fillTexts() {
  for (const one of document.querySelectorAll("[data-text]")) {
    one.textContent = page[one.dataset.text];
  }
  for (const one of document.querySelectorAll("[data-label]")) {
    one.ariaLabel = page[one.dataset.label];
  }
}

/** A choice of one among a few: a fieldset with radio buttons that look like buttons. */
export class Choice {
  #fieldset;

  /** `options` maps values to words or {text, title}; `onChoose(value)` is called. */
  constructor(fieldset, { name, legend, options, onChoose }) {
    this.#fieldset = fieldset;
    fieldset.replaceChildren(
      element("legend", { className: "visually-hidden", textContent: legend }),
      ...Object.entries(options).map(([value, text]) => option(name, value, text)),
    );
    fieldset.addEventListener("change", ({ target }) => onChoose(target.value));
  }

  /** Shows which is chosen. */
  set value(value) {
    for (const input of this.#fieldset.elements) input.checked = input.value === value;
  }
}

/** Puts buttons into a container; `buttons` maps words' keys to functions, `words` to texts. */
export function pushButtons(container, words, buttons) {
  container.replaceChildren(
    ...Object.entries(buttons).map(([key, onPress]) => {
      const { text, title } = words[key];
      const button = element("button", { type: "button", textContent: text, title, ariaLabel: title });
      button.dataset.action = key;
      button.addEventListener("click", onPress);
      return button;
    }),
  );
}

function option(name, value, text) {
  const radio = element("input", { type: "radio", name, value, className: "visually-hidden" });
  const words = element("span", { className: "button", textContent: text });
  return element("label", {}, [radio, words]);
}
