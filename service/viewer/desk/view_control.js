/** Changes how the film is seen (zoom, place, turn, window, inversion) and shows it on the stage. */

import { at } from "../page/elements.js";
import { Choice, pushButtons } from "../page/toolbar.js";
import { FITTED, panned, turned, zoomed, zoomOf } from "./geometry.js";
import { Hand } from "./hand.js";
import { panelsOf } from "./panels.js";
import { Stage } from "./stage.js";
import { detail, pointer, toolbar, view as viewWords } from "./strings.js";
import { draggedWindow, WindowControl } from "./window_control.js";

const ZOOM_STEP = 1.25;

export class ViewControl {
  #state;
  #stage;
  #modes;
  #tools;
  #windowControl;
  #pointed = {}; // the view that the pointer is on, and its last event

  /**
   * Fills the page's stage, toolbar and status line by a DeskState, and follows it.
   *
   * `onMode(mode)` is called when the reader chooses what lies side by side; `onMask(from, to,
   * {finished})` with film points while a rectangle is drawn, and `onMask(null)` if it is given up.
   */
  constructor(state, { onMode, onMask }) {
    this.#state = state;
    this.#stage = new Stage(at("stage"), {
      onPanel: (view) => this.#takeInHand(view, onMask),
      onDraw: () => {
        this.#sayView();
        this.#sayPoint();
      },
    });
    this.#makeToolbar(onMode);
    state.addEventListener("change", () => this.#show());
  }

  /** The FilmViews in view, left to right. */
  get views() {
    return this.#stage.views;
  }

  /** The panels in view, left to right, as panels.js makes them. */
  get panels() {
    return panelsOf(this.#state);
  }

  /** Begins with the state's film: offers its windows, and says what film it is. */
  begin() {
    const { reading, name, answer } = this.#state;
    this.#windowControl.offer(reading.pixels);
    at("film-name").textContent = name;
    at("film-detail").textContent = detail.film(answer.film);
  }

  /** Chooses what a drag does: "pan", "window" or "mask". */
  chooseTool(tool) {
    this.#state.change({ tool });
  }

  /** Chooses the window so many places further on in the list. */
  stepWindow(places) {
    this.#windowControl.step(places);
  }

  /** Zooms in a step about the middle. */
  zoomIn() {
    this.zoom(ZOOM_STEP);
  }

  /** Zooms out a step about the middle. */
  zoomOut() {
    this.zoom(1 / ZOOM_STEP);
  }

  /** Zooms by a factor about a canvas point; null fits the film. */
  zoom(factor, point) {
    const { view, reading } = this.#state;
    const { canvas } = this.views[0];
    if (factor === null) this.#state.change({ view: { ...FITTED, turns: view.turns } });
    else this.#state.change({ view: zoomed(view, reading.pixels, canvas, factor, point) });
  }

  /** Shows one film pixel on one pixel of the screen. */
  zoomToPixels() {
    this.#state.change({ view: { ...this.#state.view, zoom: 1 } });
  }

  /** Moves the film by shares of the view's width and height. */
  pan(right, down) {
    const { canvas } = this.views[0];
    this.#panBy([right * canvas.width, down * canvas.height], canvas);
  }

  /** Turns the film a quarter clockwise. */
  turn() {
    this.#state.change({ view: turned(this.#state.view, 1) });
  }

  /** Exchanges black and white. */
  invert() {
    this.#state.change({ inverted: !this.#state.inverted });
  }

  /** Hides every map, or shows them again. */
  hideMaps() {
    this.#state.change({ mapHidden: !this.#state.mapHidden });
  }

  /** Takes view, window and inversion back to what the film began with. */
  reset() {
    this.#state.change({ view: FITTED, window: this.#state.usualWindow, inverted: false });
  }

  #panBy(way, canvas) {
    const { view, reading } = this.#state;
    this.#state.change({ view: panned(view, reading.pixels, canvas, way) });
  }

  #show() {
    const { reading, view, window, inverted, look, mask, drawn, mode, tool } = this.#state;
    const scene = { film: reading.pixels, view, window, inverted, opacity: look.opacity };
    this.#stage.show(this.panels, { ...scene, rectangle: drawn ?? mask });
    this.#windowControl.show(window);
    [this.#modes.value, this.#tools.value] = [mode, tool];
    Object.assign(at("stage").dataset, { tool, mode });
  }

  #sayView() {
    const { view, reading, window } = this.#state;
    if (!reading) return;
    const zoom = zoomOf(view, reading.pixels, this.views[0].canvas);
    at("view-words").textContent = viewWords(zoom, window);
  }

  /** Shows what lies under the pointer; after each drawing, because the film moves, too. */
  #sayPoint() {
    const { view, event } = this.#pointed;
    const point = event && view.filmPoint(event);
    const value = point ? view.scene.film.valueAt(...point) : null;
    at("pointer-words").textContent = value === null ? "" : pointer(point, value);
  }

  #takeInHand(view, onMask) {
    const state = this.#state;
    new Hand(view, {
      tool: () => state.tool,
      onPan: (way) => this.#panBy(way, view.canvas),
      onZoom: (factor, point) => this.zoom(factor, point),
      onWindow: (way) =>
        state.change({ window: draggedWindow(state.window, way, state.reading.pixels) }),
      onMask,
      onHover: (event) => {
        this.#pointed = { view, event };
        this.#sayPoint();
      },
    });
  }

  #makeToolbar(onMode) {
    const { modes, tools, buttons } = toolbar;
    const choice = (id, words, onChoose) => new Choice(at(id), { name: id, ...words, onChoose });
    this.#modes = choice("modes", modes, onMode);
    this.#tools = choice("tools", tools, (tool) => this.chooseTool(tool));
    pushButtons(at("view-buttons"), buttons, {
      fit: () => this.zoom(null),
      pixels: () => this.zoomToPixels(),
      closer: () => this.zoomIn(),
      farther: () => this.zoomOut(),
      turn: () => this.turn(),
      invert: () => this.invert(),
      hide: () => this.hideMaps(),
      reset: () => this.reset(),
    });
    this.#windowControl = new WindowControl(at("window-control"), {
      onWindow: (window) => this.#state.change({ window }),
    });
  }
}
