/** Shows what the page waits for and since when, with a button to cancel it. */

import { showShare } from "./bars.js";
import { waiting } from "./strings.js";

const LONG_SECONDS = 10;

/** The progress section: a bar, words that change every second, and a button that cancels. */
export class Progress {
  #elements;
  #timer = 0;
  #entry = null;
  #seconds = 0;

  constructor(elements, { onCancel }) {
    this.#elements = elements;
    elements.cancel.addEventListener("click", onCancel);
  }

  /** Shows it for an entry of the work list and starts counting seconds. */
  start(entry) {
    this.stop();
    this.#entry = entry;
    this.#seconds = 0;
    this.#elements.box.hidden = false;
    this.#timer = setInterval(() => {
      this.#seconds += 1;
      this.show();
    }, 1000);
    this.show();
  }

  /** Says how far the entry is now. */
  show() {
    if (!this.#entry) return;
    const { words, bar } = this.#elements;
    words.textContent = wordsFor(this.#entry, this.#seconds);
    showShare(bar, this.#entry.sent);
  }

  /** Hides it. */
  stop() {
    clearInterval(this.#timer);
    this.#entry = null;
    this.#elements.box.hidden = true;
  }
}

function wordsFor({ sent, problem }, seconds) {
  if (problem) return waiting.again(problem);
  if (sent !== null && sent < 1) return waiting.sending(sent);
  if (seconds === 0) return waiting.film;
  return (seconds < LONG_SECONDS ? waiting.reading : waiting.long)(seconds);
}
