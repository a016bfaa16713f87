/** Keeps the API key in memory, until the page is left or reloaded, and asks the reader for it. */

import { key as words } from "./strings.js";

let key = "";

/** Returns the headers that send the key; none where there is no key. */
export function authorization() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The dialog that asks for the key. */
export class KeyDialog {
  #elements;
  #closed = 0;

  constructor(elements) {
    this.#elements = elements;
    elements.dialog.addEventListener("close", () => this.#take());
  }

  /** How often the reader has answered the dialog, with a key or without one. */
  get answers() {
    return this.#closed;
  }

  /**
   * Forgets a key that was refused, and asks for another; returns whether there is one. A request
   * that was sent before the reader's last answer, after as many as `answers`, takes that answer.
   */
  async ask(answers) {
    const { dialog } = this.#elements;
    if (answers === this.answers && !dialog.open) this.#show();
    if (dialog.open) {
      // A film dropped meanwhile waits for the same key.
      await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
    }
    return key !== "";
  }

  #show() {
    const { dialog, words: sentence } = this.#elements;
    sentence.textContent = key ? words.refused : words.needed;
    key = "";
    dialog.returnValue = ""; // which Escape leaves as it is
    dialog.showModal();
  }

  #take() {
    this.#closed += 1;
    const { dialog, input } = this.#elements;
    // A header holds nothing else than visible ASCII, and neither does a key.
    if (dialog.returnValue === "send") key = input.value.replace(/[^\x21-\x7e]/g, "");
    input.value = "";
  }
}
