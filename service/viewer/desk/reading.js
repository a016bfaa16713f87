/** Fetches and keeps what is known about one film: pixels, answers, answers with a mask, tests. */

import { explain, filmPixels, predictMasked, testMap } from "../page/api.js";
import { FilmPixels } from "./film_pixels.js";

export class Reading {
  #film;
  #states = new Map();
  #masked = new Map();
  #tests = new Map();

  /** Takes the film (a Blob). */
  constructor(film) {
    this.#film = film;
    this.pixels = null;
    this.answers = new Map();
    this.agreement = [];
    this.compared = false;
    this.forced = false;
  }

  /** Returns how far a model's answer is: "ready", "asking", "failed", or undefined. */
  stateOf(model) {
    return this.answers.has(model) ? "ready" : this.#states.get(model);
  }

  /** Fetches the pixels, where they are not there yet. */
  async fetchPixels({ signal } = {}) {
    this.pixels ??= new FilmPixels(...(await filmPixels(this.#film, { signal })));
  }

  /** Takes what `explain` returned, here or elsewhere; an answer that is there already is kept. */
  take(found) {
    const { models = [found], agreement, ensemble } = found;
    for (const answer of ensemble ? [...models, ensemble] : models) {
      const { name } = answer.model;
      if (!this.answers.has(name)) this.answers.set(name, answer);
    }
    if (agreement) Object.assign(this, { agreement, compared: true });
  }

  /** Fetches a model's answer, where it is not there yet. */
  async ask(model, { signal } = {}) {
    if (this.answers.has(model)) return;
    const { forced } = this;
    const answer = await this.#explained(model, [model], signal);
    if (forced !== this.forced) return this.ask(model, { signal });
    this.take(answer);
  }

  /**
   * Fetches the answers of all these models, and how similar their maps are, where they are not there
   * yet. If they can't answer together each is asked alone: returns [name, error] of those that
   * failed.
   */
  async askAll(names, { signal } = {}) {
    if (this.compared) return [];
    const { forced } = this;
    try {
      const found = await this.#explained("all", names, signal);
      if (forced !== this.forced) return this.askAll(names, { signal });
      this.take(found);
      return [];
    } catch (error) {
      if (!(error.status >= 500)) throw error;
      return this.#askEach(names, signal);
    }
  }

  /** Fetches a model's answer again, with the maps of a film unlike the training films. */
  async force(model, { signal } = {}) {
    const answer = await explain(this.#film, { model, force: true, signal });
    const answers = new Map([[model, answer]]);
    Object.assign(this, { answers, agreement: [], compared: false, forced: true });
  }

  /** Tests a model's map of a class, where that was not done yet. */
  async test(model, className, { signal } = {}) {
    if (this.tested(model, className)) return;
    const test = await testMap(this.#film, { model, className, force: this.forced, signal });
    this.#tests.set(`${model} ${className}`, test);
  }

  /** Returns the result of testing a model's map of a class; undefined where it was not tested. */
  tested(model, className) {
    return this.#tests.get(`${model} ${className}`);
  }

  /** Returns a model's answer about the film with a rectangle [x0, y0, x1, y1] masked. */
  async masked(rectangle, model, { signal } = {}) {
    const key = `${model} ${rectangle}`;
    if (!this.#masked.has(key)) {
      this.#masked.set(key, await predictMasked(this.#film, rectangle, { model, signal }));
    }
    return this.#masked.get(key);
  }

  async #askEach(names, signal) {
    const asked = await Promise.allSettled(names.map((name) => this.ask(name, { signal })));
    signal?.throwIfAborted();
    return names.map((name, at) => [name, asked[at].reason]).filter(([, error]) => error);
  }

  /** Asks a model, or all of them, and notes how far the answers of those with these names are. */
  async #explained(model, names, signal) {
    const note = (state) => names.forEach((name) => this.#states.set(name, state));
    note("asking");
    try {
      return await explain(this.#film, { model, force: this.forced, signal });
    } catch (error) {
      note(signal?.aborted ? undefined : "failed");
      throw error;
    }
  }
}
