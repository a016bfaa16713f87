/** Shows one entry of the work list: thumbnail, name, and its top finding or why it has none. */

import { showShare } from "../page/bars.js";
import { element } from "../page/elements.js";
import { findingOf, topClass } from "../answer/findings.js";
import { WORTH_A_RETRY } from "../page/problem_view.js";
import { undecided } from "../answer/strings.js";
import { refused } from "../page/strings.js";
import { workList as words } from "./strings.js";

const END_LETTERS = 10;

export class WorkListRow {
  #words = element("span", { className: "words" });
  #picture = element("img", { alt: "", decoding: "async", hidden: true });
  #bar = element("progress", { ariaHidden: "true", hidden: true }); // the words say the same
  #remove = element("button", { type: "button", className: "remove", textContent: words.removeSign });
  #retry = null;
  #thumbnail = null;

  /** `predictionOf(answer)` is the one, of several models' perhaps, whose finding is shown. */
  constructor(entry, { list, predictionOf }) {
    Object.assign(this, { entry, list, predictionOf });
    this.button = element("button", { type: "button", className: "open", tabIndex: -1 }, [
      element("span", { className: "thumbnail" }, [this.#picture]),
      nameElement(entry),
      this.#words,
    ]);
    this.button.addEventListener("click", () => list.open(entry.id));
    this.#remove.title = this.#remove.ariaLabel = words.about(words.remove, entry.name);
    this.#remove.tabIndex = -1; // the Delete key does it
    this.#remove.addEventListener("click", () => list.remove(entry.id));
    this.element = element("li", {}, [this.button, this.#bar, this.#remove]);
  }

  /** Shows the entry as it is now. */
  show() {
    const { state, sent, problem, answer, name, thumbnail } = this.entry;
    const prediction = answer && this.predictionOf(answer);
    const said = prediction ? headline(prediction) : unread(state, sent, problem);
    this.element.dataset.state = state;
    this.element.classList.toggle("called", prediction ? isCalled(prediction) : false);
    this.#words.textContent = this.#words.title = said;
    this.button.ariaLabel = `${name}: ${said}`;
    this.#bar.hidden = state !== "reading";
    showShare(this.#bar, sent);
    this.#showRetry(state === "refused" && WORTH_A_RETRY.has(problem.status));
    this.#showThumbnail(thumbnail);
  }

  /** Marks the entry as the open one, or not. */
  mark(open) {
    this.element.classList.toggle("current", open);
    this.button.ariaCurrent = open ? "true" : null;
  }

  /** Says whether the Tab key reaches the entry. */
  reach(reachable) {
    this.button.tabIndex = reachable ? 0 : -1;
  }

  /** Takes the row off the page. */
  discard() {
    this.#showThumbnail(null);
    this.element.remove();
  }

  #showRetry(wanted) {
    if (!wanted) {
      this.#retry?.remove();
      this.#retry = null;
    } else if (!this.#retry) {
      this.#retry = element("button", { type: "button", textContent: words.retry });
      this.#retry.ariaLabel = words.about(words.retry, this.entry.name);
      this.#retry.addEventListener("click", () => this.list.retry(this.entry.id));
      this.button.after(this.#retry);
    }
  }

  #showThumbnail(thumbnail) {
    if (thumbnail === this.#thumbnail) return;
    if (this.#thumbnail) URL.revokeObjectURL(this.#picture.src);
    this.#thumbnail = thumbnail;
    this.#picture.hidden = !thumbnail;
    if (thumbnail) this.#picture.src = URL.createObjectURL(thumbnail);
  }
}

/** Returns a name whose middle is cut where there is no room: files differ at their ends. */
function nameElement({ name: path }) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const cut = Math.max(0, name.length - END_LETTERS);
  return element("span", { className: "entry-name", title: path }, [
    element("span", { className: "beginning", textContent: name.slice(0, cut) }),
    element("span", { className: "ending", textContent: name.slice(cut) }),
  ]);
}

function unread(state, sent, problem) {
  if (state === "queued") return words.waits[problem?.status] ?? words.queued;
  if (state === "refused") return words.refused(problem);
  return sent === null || sent === 1 ? words.reading : words.sending(sent);
}

function headline(prediction) {
  if (!prediction.in_distribution) return refused(prediction);
  return prediction.is_decided ? words.finding(topFinding(prediction)) : undecided(prediction);
}

function isCalled(prediction) {
  return topFinding(prediction).decision === true;
}

function topFinding(prediction) {
  return findingOf(prediction, topClass(prediction));
}
