/** Shows films side by side: one panel each, all with the same view and window. */

import { element } from "../page/elements.js";
import { FilmView } from "./film_view.js";

export class Stage {
  #container;
  #panels = [];
  #onPanel;
  #onDraw;

  /**
   * Takes a container; `onPanel(view)` is called with each FilmView that is made, `onDraw()` when
   * one was drawn.
   */
  constructor(container, { onPanel, onDraw }) {
    this.#container = container;
    this.#onPanel = onPanel;
    this.#onDraw = onDraw;
  }

  /** The views of the panels, left to right. */
  get views() {
    return this.#panels.map(({ view }) => view);
  }

  /**
   * Shows panels [{title, words, label, scene}]: what stands over the film, what a screen reader
   * says, and what FilmView.show takes. They share `scene`, too.
   */
  show(panels, scene) {
    while (this.#panels.length < panels.length) this.#add();
    while (this.#panels.length > panels.length) this.#panels.pop().figure.remove();
    panels.forEach((panel, at) => fill(this.#panels[at], panel, scene));
  }

  #add() {
    const canvas = element("canvas", { role: "img" });
    const [title, words] = [element("span"), element("span", { className: "panel-words" })];
    title.className = "caption";
    const caption = element("figcaption", {}, [title, words]);
    const figure = element("figure", {}, [caption, canvas]);
    const view = new FilmView(canvas, { onDraw: this.#onDraw });
    this.#container.append(figure);
    this.#panels.push({ figure, title, words, view });
    this.#onPanel(view);
  }
}

function fill({ figure, title, words, view }, panel, scene) {
  title.textContent = panel.title;
  words.textContent = panel.words;
  view.canvas.ariaLabel = panel.label;
  figure.dataset.panel = panel.key;
  view.show({ ...scene, ...panel.scene });
}
