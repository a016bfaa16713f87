/** Reads films, a few at a time, and keeps each in a list with its answer or problem. */

import { problem as words } from "../page/strings.js";

/** HTTP statuses of a server that may take the same film a moment later. */
export const BUSY = new Set([429, 503]);
/** Statuses after which no other film would fare better: no answer at all, no key. */
const PAUSING = new Set([0, 401]);
const LONGEST_WAIT_SECONDS = 60;

/**
 * A list of entries, of which one may be open.
 *
 * An entry is `{ id, name, load, state, sent, problem, answer, thumbnail, tries }`:
 * `state` is queued, reading, done or refused; `sent` is the share of the upload in [0, 1], or null;
 * `problem` is why it was refused, or why it still waits; `load(signal)` promises the film's Blob.
 *
 * Events: `change`, whose detail holds the `entries` that changed or are new and those `removed`;
 * and `open`, whose detail is the entry that is open now, or null.
 */
export class WorkList extends EventTarget {
  entries = [];
  current = null;
  /** Null while films are read in turn; else `{ problem }`, null where the reader stopped it. */
  pause = null;
  #read;
  #lanes;
  #reading = new Map();
  #timer = 0;
  #busyAnswers = 0;
  #lastId = 0;

  /**
   * `read(entry, { signal, onProgress })` promises `{ answer, thumbnail }`, or rejects with a problem
   * (an ApiProblem or a FileProblem); `onProgress(sent)` says how much of the film was sent. As many
   * as `lanes` films are read at a time, the open one first.
   */
  constructor({ read, lanes = 2 }) {
    super();
    this.#read = read;
    this.#lanes = lanes;
  }

  /** How many entries there are, in all and in each state. */
  get counts() {
    const counts = { total: this.entries.length, queued: 0, reading: 0, done: 0, refused: 0 };
    for (const { state } of this.entries) counts[state] += 1;
    return counts;
  }

  /** Adds films (`{ name, load }`; refused ones have a `problem`); returns the entries. */
  add(films) {
    const added = films.map(({ name, load, problem = null }) => ({
      id: (this.#lastId += 1),
      ...{ name, load, problem, state: problem ? "refused" : "queued" },
      ...{ sent: null, answer: null, thumbnail: null, tries: 0 },
    }));
    this.entries = [...this.entries, ...added];
    this.#tell(added);
    queueMicrotask(() => this.#fill()); // the caller may open one of them first
    return added;
  }

  /** Opens an entry: it is read next, and at once where reading has stopped. */
  open(id) {
    this.current = this.#entry(id) ?? null;
    this.dispatchEvent(new CustomEvent("open", { detail: this.current }));
    if (this.pause && this.current?.state === "queued") this.#start(this.current);
  }

  /** Opens the entry after the open one; the last one stays open. */
  next() {
    this.#step(1);
  }

  /** Opens the entry before the open one; the first one stays open. */
  previous() {
    this.#step(-1);
  }

  /** Reads an entry again. */
  retry(id) {
    const entry = this.#entry(id);
    if (!entry?.load) return;
    this.#release(entry);
    this.#change(entry, { state: "queued", sent: null, problem: null, answer: null });
    if (this.pause) this.#start(entry);
    else this.#fill();
  }

  /** Takes an entry off the list; where it was open, its neighbour is. */
  remove(id) {
    const index = this.entries.findIndex((entry) => entry.id === id);
    if (index < 0) return;
    const [entry] = this.entries.splice(index, 1);
    this.#release(entry);
    this.#tell([], [entry]);
    if (entry === this.current) this.open((this.entries[index] ?? this.entries.at(-1))?.id);
    this.#fill();
  }

  /** Takes every entry off the list. */
  clear() {
    const removed = this.entries;
    removed.forEach((entry) => this.#release(entry));
    this.entries = [];
    this.pause = null;
    this.#tell([], removed);
    this.open();
  }

  /** Stops reading: what is being read waits again, until `goOn`. */
  stop() {
    this.pause = { problem: null };
    const stopped = [...this.#reading.keys()];
    for (const entry of stopped) {
      this.#release(entry);
      Object.assign(entry, { state: "queued", sent: null });
    }
    this.#tell(stopped);
  }

  /** Goes on reading. */
  goOn() {
    this.pause = null;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#tell([]);
    this.#fill();
  }

  #entry(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  #step(by) {
    const index = this.current ? this.entries.indexOf(this.current) + by : 0;
    const entry = this.entries[index];
    if (entry) this.open(entry.id);
  }

  #fill() {
    while (!this.pause && !this.#timer && this.#reading.size < this.#lanes) {
      const entry = this.#nextQueued();
      if (!entry) return;
      this.#start(entry);
    }
  }

  /** Returns the open entry if it waits; else the first of those that were tried least. */
  #nextQueued() {
    if (this.current?.state === "queued") return this.current;
    const queued = this.entries.filter(({ state }) => state === "queued");
    return queued.reduce((a, b) => (b.tries < a.tries ? b : a), queued[0]);
  }

  async #start(entry) {
    const abort = new AbortController();
    this.#reading.set(entry, abort);
    entry.tries += 1;
    this.#change(entry, { state: "reading", sent: null, problem: null });
    const outcome = await this.#outcome(entry, abort.signal);
    if (abort.signal.aborted) return; // what aborted it has changed the entry
    this.#reading.delete(entry);
    this.#change(entry, outcome);
    this.#fill();
  }

  async #outcome(entry, signal) {
    const onProgress = (sent) => signal.aborted || this.#change(entry, { sent });
    try {
      const { answer, thumbnail = null } = await this.#read(entry, { signal, onProgress });
      if (!signal.aborted) this.#succeed();
      return { state: "done", answer, thumbnail };
    } catch (error) {
      return signal.aborted ? null : this.#afterFailure(error);
    }
  }

  #succeed() {
    this.#busyAnswers = 0;
    if (this.pause?.problem) this.goOn(); // what was in the way is gone
  }

  #afterFailure(error) {
    const problem = error.title ? error : words.garbled;
    if (problem !== error) console.error(error);
    if (BUSY.has(problem.status)) this.#wait(problem.retryAfter ?? 1);
    else if (PAUSING.has(problem.status)) this.pause = { problem };
    else return { state: "refused", sent: null, problem };
    return { state: "queued", sent: null, problem };
  }

  /** Reads nothing for as long as the server asks, and longer each time it asks again. */
  #wait(seconds) {
    if (this.#timer) return; // the other lane was told before
    const longer = Math.min(LONGEST_WAIT_SECONDS, seconds * 2 ** this.#busyAnswers);
    this.#busyAnswers += 1;
    this.#timer = setTimeout(
      () => {
        this.#timer = 0;
        this.#fill();
      },
      1000 * Math.max(seconds, longer),
    );
  }

  #release(entry) {
    this.#reading.get(entry)?.abort();
    this.#reading.delete(entry);
  }

  #change(entry, changes) {
    Object.assign(entry, changes);
    this.#tell([entry]);
  }

  #tell(entries, removed = []) {
    this.dispatchEvent(new CustomEvent("change", { detail: { entries, removed } }));
  }
}
