/** The API key, for a server that asks for one: in the page's memory until it is left or reloaded. */

import { key as words } from "./strings.js";

let key = "";

/** Returns the headers that send the key; none where there is no key. */
export function authorization() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The dialog that asks for the key. */
export class KeyDialog {
  #elements;

  constructor(elements) {
    this.#elements = elements;
    elements.dialog.addEventListener("close", () => this.#take());
  }

  /** The key that is sent; "" if there is none. */
  get key() {
    return key;
  }

  /** Forgets a key that was refused, and asks for another; returns whether one was given. */
  async ask() {
    const { dialog } = this.#elements;
    if (!dialog.open) this.#show(); // a film dropped meanwhile waits for the same key
    await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
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
    const { dialog, input } = this.#elements;
    // A header holds nothing else than visible ASCII, and neither does a key.
    if (dialog.returnValue === "send") key = input.value.replace(/[^\x21-\x7e]/g, "");
    input.value = "";
  }
}
