/** Masks a rectangle of the film, and asks the model in view about the film without it. */

import { OcclusionView } from "../maps/occlusion_view.js";
import { occlusion as words } from "../maps/strings.js";
import { at } from "../page/elements.js";
import { sentenceOf } from "../page/strings.js";
import { rectangle as rectangleBetween } from "./geometry.js";

export class Masking {
  #state;
  #withKey;
  #view;

  /** Takes a DeskState; `onTool()` is called to choose the tool that draws a rectangle. */
  constructor(state, { withKey, onTool }) {
    this.#state = state;
    this.#withKey = withKey;
    this.#view = new OcclusionView(at("occlusion"), {
      onTool,
      onMask: (from, to) => this.#maskBetween(from, to),
      onClear: () => this.mask(null),
    });
  }

  /** Begins with the state's film. */
  begin() {
    this.#view.begin(this.#state.reading.pixels);
  }

  /**
   * Draws a rectangle between two film points, and masks it once it is finished; `from` null gives
   * it up, and what was masked before stays so.
   */
  draw(from, to, { finished } = {}) {
    if (from && finished) this.#maskBetween(from, to);
    else this.#state.change({ drawn: from && rectangleBetween(this.#state.reading.pixels, from, to) });
  }

  /** Asks the model about the film with a rectangle masked; null takes the mask away. */
  async mask(rectangle) {
    const state = this.#state;
    state.change({ mask: rectangle, masked: null, drawn: null });
    if (!rectangle) return this.#view.invite();
    const { reading, model, signal } = state;
    const isInView = () => !signal.aborted && state.mask === rectangle && state.model === model;
    this.#view.wait(rectangle);
    try {
      const masked = await this.#withKey(() => reading.masked(rectangle, model, { signal }));
      if (!isInView()) return;
      state.masked = masked;
      this.#view.show(rectangle, state.answer, masked);
    } catch (error) {
      if (isInView()) this.#view.fail(sentenceOf(error));
    }
  }

  /** Masks the rectangle between two film points, if it holds a pixel of the film. */
  #maskBetween(from, to) {
    const [x0, y0, x1, y1] = rectangleBetween(this.#state.reading.pixels, from, to);
    if (x1 > x0 && y1 > y0) return this.mask([x0, y0, x1, y1]);
    this.#state.change({ drawn: null });
    return this.#view.fail(words.empty);
  }
}
