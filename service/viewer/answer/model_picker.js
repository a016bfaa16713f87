/** Lets the reader choose the model whose answer is shown. */

import { element } from "../page/elements.js";
import { picker as words } from "./strings.js";

/** A radio group with one choice per model, in a container that it hides if there is only one. */
export class ModelPicker {
  #container;
  #onChoose;

  /** `onChoose` gets the name of the model that was chosen. */
  constructor(container, { onChoose }) {
    this.#container = container;
    this.#onChoose = onChoose;
  }

  /**
   * Shows models ({name, version} of each) and which of them is chosen.
   *
   * `states` says of models by name how far their answer to this film is: "ready", "asking" or
   * "failed"; of one that is missing there, nothing was asked yet.
   */
  show(models, chosen, { states = {} } = {}) {
    const focused = this.#container.contains(document.activeElement);
    const choices = models.map((model) => this.#choice(model, chosen, states[model.name]));
    const group = element("fieldset", { className: "model-picker" }, [
      element("legend", { textContent: words.legend }),
      ...choices,
    ]);
    this.#container.replaceChildren(group);
    this.#container.hidden = models.length < 2;
    if (focused) group.querySelector(":checked")?.focus();
  }

  #choice(model, chosen, state) {
    const { name } = model;
    const radio = element("input", { type: "radio", name: "model", value: name });
    radio.checked = name === chosen;
    radio.addEventListener("change", () => this.#onChoose(name));
    const textContent = words.states[state] ?? "";
    const note = element("span", { className: "model-state", textContent });
    const choice = element("label", { title: words.title(model) }, [radio, name, " ", note]);
    if (state) choice.dataset.state = state;
    return choice;
  }
}
