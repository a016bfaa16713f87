/** What is known about one open film: its pixels, each model's answer, and answers with a part masked. */

import { explain, filmPixels, predictMasked } from "./api.js";

export class Reading {
  #film;
  #asked = new Map();

  /** Takes the film (a Blob). */
  constructor(film) {
    this.#film = film;
    this.pixels = null;
    this.answers = new Map();
    this.agreement = [];
    this.forced = false;
  }

  /** Fetches the pixels, where they are not there yet. */
  async fetchPixels({ signal } = {}) {
    this.pixels ??= await filmPixels(this.#film, { signal });
  }

  /** Takes a model's answer that was fetched elsewhere; one with demanded maps is kept. */
  take(answer) {
    const { name } = answer.model;
    if (!this.answers.has(name)) this.answers.set(name, answer);
  }

  /** Fetches a model's answer, where it is not there yet. */
  async ask(model, { signal } = {}) {
    if (this.answers.has(model)) return;
    this.answers.set(model, await explain(this.#film, { model, force: this.forced, signal }));
  }

  /** Fetches every model's answer, and how alike their maps are, where they are not there yet. */
  async askAll({ signal } = {}) {
    if (this.agreement.length) return;
    const { models, agreement } = await explain(this.#film, {
      model: "all",
      force: this.forced,
      signal,
    });
    for (const answer of models) this.answers.set(answer.model.name, answer);
    this.agreement = agreement;
  }

  /** Fetches the answers again, with the maps of a film unlike the training films. */
  async force(model, { signal } = {}) {
    const answer = await explain(this.#film, { model, force: true, signal });
    this.forced = true;
    this.answers = new Map([[model, answer]]);
    this.agreement = [];
  }

  /** Returns a model's answer about the film with a rectangle [x0, y0, x1, y1] masked. */
  async masked(rectangle, model, { signal } = {}) {
    const key = `${model} ${rectangle}`;
    if (!this.#asked.has(key)) {
      this.#asked.set(key, await predictMasked(this.#film, rectangle, { model, signal }));
    }
    return this.#asked.get(key);
  }
}
