/** Sets the grey window in which a film is seen: by preset, by numbers, or by a drag. */

import { element } from "../page/elements.js";
import { windowing as words } from "./strings.js";

const OWN = "own";

export class WindowControl {
  #preset;
  #centre;
  #width;
  #windows = [];
  #shown = {};
  #onWindow;

  /** Takes a container; `onWindow({centre, width})` is called when the reader sets another. */
  constructor(container, { onWindow }) {
    this.#onWindow = onWindow;
    this.#preset = element("select", { id: "window-preset" });
    [this.#centre, this.#width] = ["window-centre", "window-width"].map((id) =>
      element("input", { id, type: "number", step: "any" }),
    );
    this.#width.min = 1;
    const labelled = (input, text) => element("label", {}, [text, " ", input]);
    container.append(
      labelled(this.#preset, words.preset),
      labelled(this.#centre, words.centre),
      labelled(this.#width, words.width),
    );
    this.#preset.addEventListener("change", () => this.#choose());
    for (const input of [this.#centre, this.#width]) {
      input.addEventListener("change", () => this.#enter());
    }
  }

  /** Offers the windows of a film (a FilmPixels). */
  offer(film) {
    this.#windows = windowsOf(film);
    this.#shown = {};
    const option = ({ name }, at) => element("option", { value: at, textContent: name });
    const own = element("option", { value: OWN, textContent: words.own, hidden: true });
    this.#preset.replaceChildren(...this.#windows.map(option), own);
  }

  /** Shows the window {centre, width} that the film is seen in; the same one leaves what is typed. */
  show({ centre, width }) {
    if (centre === this.#shown.centre && width === this.#shown.width) return;
    this.#shown = { centre, width };
    const at = this.#windows.findIndex((one) => one.centre === centre && one.width === width);
    this.#preset.value = at < 0 ? OWN : at;
    this.#centre.value = rounded(centre);
    this.#width.value = rounded(width);
  }

  /** Chooses the preset so many places further on. */
  step(places) {
    const { length } = this.#windows;
    const now = this.#preset.value === OWN ? -1 : Number(this.#preset.value);
    this.#preset.value = (now + places + length) % length;
    this.#choose();
  }

  #choose() {
    const { centre, width } = this.#windows[this.#preset.value];
    this.#onWindow({ centre, width });
  }

  #enter() {
    const [centre, width] = [this.#centre.valueAsNumber, this.#width.valueAsNumber];
    if (Number.isFinite(centre) && width >= 1) this.#onWindow({ centre, width });
  }
}

/** Returns the window after a drag by shares of the canvas: right is wider, down is darker. */
export function draggedWindow({ centre, width }, [right, down], { low, high }) {
  const range = Math.max(high - low, 1);
  return { centre: centre + down * range, width: Math.max(1, width + right * range) };
}

/** Returns whether a window from elsewhere suits a film: its values fill a tenth of it or more. */
export function suits({ centre, width }, { windows: [usual], low, high }) {
  const least = Math.max(centre - width / 2, Math.min(low, usual.centre - usual.width / 2));
  const most = Math.min(centre + width / 2, Math.max(high, usual.centre + usual.width / 2));
  return most - least >= width / 10;
}

/** Returns the windows {name, centre, width} that a film offers; the first is the models'. */
export function windowsOf({ windows: [first, ...others], low, high }) {
  const { centre, width } = first;
  const half = Math.max(1, width / 2);
  return [
    { ...first, name: words.asRead },
    ...others.map((one, at) => ({ ...one, name: one.name ?? words.numbered(at + 2) })),
    { name: words.full, centre: (low + high + 1) / 2, width: Math.max(1, high - low + 1) },
    { name: words.dark, centre: centre - half / 2, width: half },
    { name: words.bright, centre: centre + half / 2, width: half },
  ];
}

function rounded(value) {
  return Number(value.toFixed(1));
}
