/** Says what the page waits for, how long it has, and how to stop it. */

import { waiting } from "./strings.js";

const LONG_SECONDS = 10;

/** The progress section: words that change every second, and a button that cancels. */
export class Progress {
  #elements;
  #timer = 0;

  constructor(elements, { onCancel }) {
    this.#elements = elements;
    elements.cancel.addEventListener("click", onCancel);
  }

  /** Shows it and starts counting seconds. */
  start() {
    this.stop();
    const { box, words } = this.#elements;
    let seconds = 0;
    words.textContent = waiting.film;
    box.hidden = false;
    this.#timer = setInterval(() => {
      seconds += 1;
      words.textContent = (seconds < LONG_SECONDS ? waiting.reading : waiting.long)(seconds);
    }, 1000);
  }

  /** Hides it. */
  stop() {
    clearInterval(this.#timer);
    this.#elements.box.hidden = true;
  }
}
