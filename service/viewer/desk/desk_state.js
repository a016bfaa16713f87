/** Holds the state of the desk: the open film, how it is seen, and the link to this view. */

import { findingOf } from "../answer/findings.js";
import { isPainted } from "../maps/explanation_view.js";
import { DEFAULTS, hashOf } from "../page/permalink.js";
import { FITTED } from "./geometry.js";
import { suits } from "./window_control.js";

/** What is on the desk before there is a film, and what each film begins with. */
const USUAL = {
  model: null,
  className: null,
  mode: "one",
  tool: "pan",
  view: FITTED,
  window: null,
  inverted: false,
  mapHidden: false,
  belowShown: false,
  mask: null,
  masked: null,
  drawn: null,
};

/** The fields of `USUAL` and those below; it dispatches "change" whenever what is in view changes. */
export class DeskState extends EventTarget {
  name = "";
  reading = null;
  look = null;
  /** The name of the model that the reader chose; `model` is the one in view. */
  wanted = null;
  #abort = new AbortController();

  /** Takes the server's models (of GET /v1/models) and its colour maps. */
  constructor({ models, colourMaps }) {
    super();
    Object.assign(this, USUAL, { models, colourMaps });
  }

  /** The answer in view. */
  get answer() {
    return this.reading?.answers.get(this.model);
  }

  /** The finding in view; undefined if the model does not know the class. */
  get finding() {
    return this.answer && findingOf(this.answer, this.className);
  }

  /** The models {name, ...} that answer together in view; none where one answers alone. */
  get members() {
    return this.models.find(({ name }) => name === this.model)?.members ?? [];
  }

  /** The window that the models see the film in. */
  get usualWindow() {
    const [{ centre, width }] = this.reading.pixels.windows;
    return { centre, width };
  }

  /** The colours that the map is painted in: 256 RGB triples. */
  get colours() {
    return this.colourMaps.find(({ name }) => name === this.look.colourMap).rgb;
  }

  /** Whether the finding in view has its map painted. */
  get isMapShown() {
    return !this.mapHidden && isPainted(this.finding, this);
  }

  /** An AbortSignal for what is asked about this film: it fires when the film leaves the desk. */
  get signal() {
    return this.#abort.signal;
  }

  /** Aborts what is still asked about the film. */
  leave() {
    this.#abort.abort();
  }

  /** Begins with a film; mode, tool and a hidden map stay as they were for the film before. */
  begin({ name, reading, model }) {
    this.leave();
    this.#abort = new AbortController();
    const { mode, tool, mapHidden } = this;
    const kept = { mode, tool, mapHidden, belowShown: reading.forced };
    Object.assign(this, USUAL, kept, { name, reading, model });
    this.window = this.usualWindow;
  }

  /** Changes fields, or takes note that the reading has changed, and dispatches "change". */
  change(fields = {}) {
    Object.assign(this, fields);
    if (this.answer) this.dispatchEvent(new Event("change"));
  }

  /** The address of a link to this view: nothing of the film is in it. */
  get address() {
    return `${location.origin}${location.pathname}${hashOf(this.#link)}`;
  }

  /** What a link to this view says, in the fields of permalink.js. */
  get #link() {
    const { model, className, mode, view, window, inverted, look } = this;
    const usual = this.usualWindow;
    const isUsual = usual.centre === window.centre && usual.width === window.width;
    return {
      ...{ model, className, mode, ...look, invert: inverted, window: isUsual ? null : window },
      zoom: view.zoom && view.zoom / devicePixelRatio,
      viewCentre: view.zoom && { x: view.x, y: view.y },
      rotation: 90 * view.turns,
    };
  }

  /** Takes what a link says of the view, without "change"; what it does not say is as usual. */
  take(link) {
    const { model, className, mode, zoom, viewCentre, rotation, invert, window, ...look } = {
      ...DEFAULTS,
      ...link,
    };
    const isSuited = window && suits(window, this.reading.pixels);
    Object.assign(this, {
      ...{ mode, look, inverted: invert, className: className ?? this.className },
      view: { ...FITTED, ...viewCentre, zoom: zoom && zoom * devicePixelRatio, turns: rotation / 90 },
      window: isSuited ? window : this.usualWindow,
    });
    if (this.models.some(({ name }) => name === model)) this.wanted = model;
  }
}
