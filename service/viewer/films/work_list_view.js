/** Shows the work list: how far it is, and a row for each film; one of them is open. */

import { element } from "../page/elements.js";
import { workList as words } from "./strings.js";
import { WorkListRow } from "./work_list_row.js";

export class WorkListView {
  #list;
  #predictionOf;
  #rows = new Map();
  #current = null;
  #reachable = null;
  #progress = element("progress", { ariaLabel: words.filmsRead });
  #counts = element("p", { className: "counts" });
  #notice = element("p", { className: "notice", role: "status" });
  #stop = element("button", { type: "button" });
  #clear = element("button", { type: "button", textContent: words.clear });
  #items = element("ol", { role: "list", ariaLabel: words.films });

  /**
   * Fills a container with a WorkList. `predictionOf(answer)` returns the prediction whose finding
   * a row says; of an answer that holds several models', their ensemble's or else the first.
   */
  constructor(container, { list, predictionOf = together }) {
    this.#list = list;
    this.#predictionOf = predictionOf;
    container.classList.add("work-list");
    container.append(this.#head(), this.#items);
    this.#items.addEventListener("keydown", (event) => this.#obey(event));
    list.addEventListener("change", ({ detail }) => this.#change(detail));
    list.addEventListener("open", ({ detail }) => this.#open(detail));
    this.#change({ entries: list.entries, removed: [] });
    this.#open(list.current);
  }

  #head() {
    this.#stop.addEventListener("click", () => {
      if (this.#list.pause) this.#list.goOn();
      else this.#list.stop();
    });
    this.#clear.addEventListener("click", () => this.#list.clear());
    return element("div", { className: "work-list-head" }, [
      element("h2", { textContent: words.heading }),
      this.#counts,
      this.#progress,
      this.#notice,
      element("p", { className: "work-list-buttons" }, [this.#stop, this.#clear]),
    ]);
  }

  #change({ entries, removed }) {
    for (const entry of removed) {
      this.#rows.get(entry)?.discard();
      this.#rows.delete(entry);
    }
    this.#append(entries.filter((entry) => !this.#rows.has(entry)));
    for (const entry of entries) this.#rows.get(entry).show();
    this.#showHead();
    this.#keepReachable();
  }

  #append(entries) {
    const options = { list: this.#list, predictionOf: this.#predictionOf };
    for (const entry of entries) this.#rows.set(entry, new WorkListRow(entry, options));
    this.#items.append(...entries.map((entry) => this.#rows.get(entry).element));
  }

  #open(entry) {
    const focused = this.#items.contains(document.activeElement);
    this.#current?.mark(false);
    this.#current = this.#rows.get(entry) ?? null;
    this.#keepReachable();
    if (!this.#current) return;
    this.#current.mark(true);
    this.#current.element.scrollIntoView({ block: "nearest" });
    if (focused) this.#current.button.focus({ preventScroll: true });
  }

  /** Leaves one row to the Tab key: the open one, or the first. */
  #keepReachable() {
    const reachable = this.#current ?? this.#rows.get(this.#list.entries[0]) ?? null;
    if (reachable === this.#reachable) return;
    this.#reachable?.reach(false);
    reachable?.reach(true);
    this.#reachable = reachable;
  }

  #showHead() {
    const { counts, pause } = this.#list;
    const unfinished = counts.queued + counts.reading > 0;
    this.#counts.textContent = counts.total ? words.progress(counts) : words.empty;
    this.#progress.max = Math.max(1, counts.total);
    this.#progress.value = counts.done + counts.refused;
    this.#progress.hidden = !unfinished || counts.total < 2;
    this.#stop.hidden = !unfinished;
    this.#stop.textContent = pause ? words.goOn : words.stop;
    this.#clear.hidden = !counts.total;
    this.#say(unfinished && pause);
  }

  /** Says why reading stands still; a screen reader hears it once. */
  #say(pause) {
    const sentence = pause?.problem ? words.paused(pause.problem) : words.stopped;
    const said = pause ? sentence : "";
    if (this.#notice.textContent !== said) this.#notice.textContent = said;
  }

  #obey(event) {
    const { entries } = this.#list;
    const deed = {
      ArrowDown: () => this.#list.next(),
      ArrowUp: () => this.#list.previous(),
      Home: () => this.#list.open(entries[0].id),
      End: () => this.#list.open(entries.at(-1).id),
      Delete: () => this.#removeFocused(),
    }[event.key];
    if (!deed || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    deed();
  }

  /** Removes the row that has the focus, and keeps the focus in the list. */
  #removeFocused() {
    const row = document.activeElement.closest("li");
    const entry = [...this.#rows.keys()].find((one) => this.#rows.get(one).element === row);
    this.#list.remove(entry.id);
    this.#reachable?.button.focus();
  }
}

function together(answer) {
  return answer.ensemble ?? answer.models?.[0] ?? answer;
}
