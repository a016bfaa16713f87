/** The desk at which one film is read: the stage, all that changes it, and what is said of it. */

import { showAgreement } from "./agreement_view.js";
import { ExplanationView, isPainted } from "./explanation_view.js";
import { showFacts } from "./facts_view.js";
import { foremostClass, showFindings, showMeaning } from "./findings_view.js";
import { FITTED, panned, rectangle, turned, zoomed, zoomOf } from "./geometry.js";
import { Hand } from "./hand.js";
import { MapControls } from "./map_controls.js";
import { ModelPicker } from "./model_picker.js";
import { OcclusionView } from "./occlusion_view.js";
import { findingOf, panelsOf } from "./panels.js";
import { hashOf } from "./permalink.js";
import { Stage } from "./stage.js";
import * as strings from "./strings.js";
import { Choice, pushButtons } from "./toolbar.js";
import { draggedWindow, WindowControl } from "./window_control.js";

const at = (id) => document.getElementById(id);
const ZOOM_STEP = 1.25;

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
};

export class Desk extends EventTarget {
  state = { ...USUAL, name: "", drawing: false, reading: null, look: null };
  #models;
  #colourMaps;
  #card;
  #onCard;
  #abort = new AbortController();
  #chosen = null; // the model that was chosen last, its answer there or not
  #pointed = {}; // the view that the pointer is on, and its last event

  /**
   * Takes the server's models (of GET /v1/models), its colour maps, `card(name)`, which returns a
   * promise of a model's description, `onCard()`, which shows it, and `withKey(work)`, which does
   * what may need an API key. It dispatches "change" whenever what is in view has changed.
   */
  constructor({ models, colourMaps, card, onCard, withKey }) {
    super();
    this.#models = models;
    this.#colourMaps = colourMaps;
    this.#card = card;
    this.#onCard = onCard;
    this.withKey = withKey;
    this.#makeStage();
    this.#makeToolbar();
    this.#makeAnswer();
  }

  /** The answer in view. */
  get answer() {
    return this.state.reading?.answers.get(this.state.model);
  }

  /** The finding in view; undefined if the model does not know the class. */
  get finding() {
    return this.answer && findingOf(this.answer, this.state.className);
  }

  /** The FilmViews in view, left to right. */
  get views() {
    return this.stage.views;
  }

  /**
   * Takes a film on the desk: `reading` has its pixels, and the answer of `model`. `link` is what
   * permalink.js read of a link that was followed to here, or null.
   */
  open({ name, drawing, reading, model }, link = null) {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { mode, tool, mapHidden } = this.state;
    const [{ centre, width }] = reading.pixels.windows;
    const kept = { mode, tool, mapHidden, window: { centre, width }, belowShown: reading.forced };
    Object.assign(this.state, USUAL, kept, { name, drawing, reading, model });
    if (link) this.#applyLink(link);
    this.windowControl.offer(reading.pixels);
    this.occlusion.invite();
    this.#showModel();
    at("summary").textContent = strings.summary(this.answer);
  }

  /** The colours that the map is painted in: 256 RGB triples. */
  get colours() {
    return this.#colourMaps.find(({ name }) => name === this.state.look.colourMap).rgb;
  }

  /** Whether the finding in view has its map painted. */
  get isMapShown() {
    return !this.state.mapHidden && isPainted(this.finding, this.state);
  }

  /** The address of a link to this view: nothing of the film is in it. */
  get address() {
    const { theme } = document.documentElement.dataset;
    return `${location.origin}${location.pathname}${hashOf({ ...this.#link, theme })}`;
  }

  /** What a link to this view says, in the fields of permalink.js. */
  get #link() {
    const { model, className, mode, view, window, inverted, look, reading } = this.state;
    const [usual] = reading.pixels.windows;
    const isUsual = usual.centre === window.centre && usual.width === window.width;
    return {
      ...{ model, className, mode, ...look, invert: inverted, window: isUsual ? null : window },
      zoom: view.zoom && view.zoom / devicePixelRatio,
      viewCentre: view.zoom && { x: view.x, y: view.y },
      rotation: 90 * view.turns,
    };
  }

  /** Shows what a link says of the view; what it does not say is as usual. */
  follow({ model, ...link }) {
    this.#applyLink(link);
    if (model && model !== this.state.model) this.chooseModel(model);
    else this.#showModel();
    if (this.state.mode === "compare") this.chooseMode("compare");
  }

  #applyLink({ className, mode, zoom, viewCentre, rotation = 0, invert, window, ...look }) {
    const view = { ...FITTED, ...viewCentre, turns: rotation / 90 };
    if (zoom) view.zoom = zoom * devicePixelRatio;
    Object.assign(this.state, { view, inverted: invert ?? false });
    if (className) this.state.className = className;
    if (mode) this.state.mode = mode;
    if (window) this.state.window = window;
    this.mapControls.look = { ...this.state.look, ...look };
    this.state.look = this.mapControls.look;
  }

  /** Shows another model's answer; it is asked first where it was not. The last choice counts. */
  async chooseModel(name) {
    this.#chosen = name;
    await this.#try(async (signal) => {
      this.#say(strings.waiting.model(name));
      await this.withKey(() => this.state.reading.ask(name, { signal }));
      this.#say("");
      if (this.#chosen === name) this.state.model = name;
    });
    this.#showModel();
  }

  /** Asks for the answers of all other models and their cards, so that they are there at once. */
  askOthers() {
    const { reading } = this.state;
    if (this.#models.length < 2) return undefined;
    return this.#try(async (signal) => {
      await this.withKey(() => reading.askAll({ signal }));
      for (const { name } of this.#models) this.#card(name).catch(() => {});
      this.#showModel();
    });
  }

  /** Shows another class. */
  chooseClass(className) {
    this.state.className = className;
    this.#showClass();
  }

  /** Shows the class so many places further down. */
  stepClass(places) {
    const names = this.answer.findings.map((finding) => finding.class_name);
    const { length } = names;
    this.chooseClass(names[(names.indexOf(this.state.className) + places + length) % length]);
    at("findings").querySelector(`input[value="${CSS.escape(this.state.className)}"]`).checked = true;
  }

  /** Shows one film, the film beside the film with its map, or the models side by side. */
  async chooseMode(mode) {
    this.state.mode = mode;
    if (mode === "compare") await this.askOthers();
    this.#showAgreement();
    this.redraw();
  }

  /** Goes from one film to film and map, to the models side by side, and round again. */
  nextMode() {
    const modes = Object.keys(strings.toolbar.modes.options);
    this.chooseMode(modes[(modes.indexOf(this.state.mode) + 1) % modes.length]);
  }

  /** Chooses what a drag does: "pan", "window" or "mask". */
  chooseTool(tool) {
    this.state.tool = tool;
    this.redraw();
  }

  /** Changes fields of the state that only change how the film is drawn. */
  change(fields) {
    Object.assign(this.state, fields);
    this.redraw();
  }

  /** Zooms by a factor about a canvas point; null fits the film. */
  zoom(factor, point) {
    const { view, reading } = this.state;
    const { canvas } = this.views[0];
    if (factor === null) this.change({ view: { ...FITTED, turns: view.turns } });
    else this.change({ view: zoomed(view, reading.pixels, canvas, factor, point) });
  }

  /** Shows one film pixel on one pixel of the screen. */
  zoomToPixels() {
    this.change({ view: { ...this.state.view, zoom: 1 } });
  }

  /** Turns the film a quarter clockwise. */
  turn() {
    this.change({ view: turned(this.state.view, 1) });
  }

  /** Exchanges black and white. */
  invert() {
    this.change({ inverted: !this.state.inverted });
  }

  /** Hides every map, or shows them again. */
  hideMaps() {
    this.change({ mapHidden: !this.state.mapHidden });
  }

  /** Takes view, window and inversion back to what the film began with. */
  reset() {
    const [{ centre, width }] = this.state.reading.pixels.windows;
    this.change({ view: FITTED, window: { centre, width }, inverted: false });
  }

  /** Goes on as the explanation's button says: the map of an uncalled class, or of a refused film. */
  async goOn() {
    if (this.finding.explanation.status !== "out_of_distribution") {
      this.state.belowShown = !this.state.belowShown;
      return this.#showClass();
    }
    await this.#try(async (signal) => {
      const { reading, model } = this.state;
      await this.withKey(() => reading.force(model, { signal }));
      this.state.belowShown = true;
    });
    return this.#showModel();
  }

  /** Asks the model about the film with a rectangle masked; null takes the mask away. */
  async mask(rectangle) {
    this.change({ mask: rectangle });
    if (!rectangle) return this.occlusion.invite();
    const { reading, model } = this.state;
    this.occlusion.wait(rectangle);
    try {
      const { signal } = this.#abort;
      const masked = await this.withKey(() => reading.masked(rectangle, model, { signal }));
      if (this.state.mask === rectangle && this.state.model === model) {
        this.occlusion.show(rectangle, this.answer, masked);
      }
    } catch (error) {
      if (error.name !== "AbortError") this.occlusion.fail(strings.sentenceOf(error));
    }
  }

  /** Draws the films again, and says how they are seen. */
  redraw() {
    const { state } = this;
    if (!this.answer) return;
    const { reading, view, window, inverted, look, mask } = state;
    const scene = { film: reading.pixels, view, window, inverted, opacity: look.opacity };
    this.stage.show(panelsOf(state, this.colours), { ...scene, rectangle: mask });
    this.windowControl.show(window);
    [this.modes.value, this.tools.value] = [state.mode, state.tool];
    at("stage").dataset.tool = state.tool;
    at("stage").dataset.mode = state.mode;
    this.dispatchEvent(new Event("change"));
  }

  #showModel() {
    const { state, answer } = this;
    if (!answer) return;
    if (!this.finding) state.className = foremostClass(answer);
    const states = Object.fromEntries([...state.reading.answers.keys()].map((name) => [name, "ready"]));
    this.picker.show(this.#models, state.model, { states });
    const onSelect = (name) => this.chooseClass(name);
    showFindings(at("findings"), answer, { selected: state.className, onSelect });
    at("findings-hint").textContent = strings.findingsHint(answer);
    showFacts(at("facts"), answer, { onCard: this.#onCard });
    this.#fillInCard(answer);
    at("film-name").textContent = state.name;
    at("film-detail").textContent = strings.detail.film(answer.film);
    this.#showClass();
    if (state.mask) this.mask(state.mask);
  }

  async #fillInCard(answer) {
    const { card } = await this.#card(answer.model.name).catch(() => ({}));
    if (!card || this.answer !== answer) return;
    showMeaning(at("findings"), card);
    showFacts(at("facts"), answer, { card, onCard: this.#onCard });
  }

  #showClass() {
    const { state, answer, finding } = this;
    this.explanation.show(answer, finding, state);
    const [rows, columns] = gridOf(answer);
    const evidenceScale = answer.model.evidence_scale;
    this.mapControls.show({ evidenceScale, grid: [rows, columns], enabled: true });
    this.#showAgreement();
    this.redraw();
  }

  #showAgreement() {
    const { mode, reading, className } = this.state;
    showAgreement(at("agreement"), mode === "compare" ? reading.agreement : [], className);
  }

  #sayView() {
    const { view, reading, window } = this.state;
    if (!reading) return;
    const zoom = zoomOf(view, reading.pixels, this.views[0].canvas);
    at("view-words").textContent = strings.view(zoom, window);
  }

  /** Says what lies under the pointer; anew with each drawing, since the film moves, too. */
  #sayPoint() {
    const { view, event } = this.#pointed;
    const point = event && view.filmPoint(event);
    const value = point ? view.scene.film.valueAt(...point) : null;
    at("pointer-words").textContent = value === null ? "" : strings.pointer(point, value);
  }

  #say(sentence) {
    at("notice").textContent = sentence;
    at("notice").hidden = !sentence;
  }

  /** Does what asks the server; a problem is said, and one of a film that was left is not. */
  async #try(work) {
    const { signal } = this.#abort;
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.#say(strings.sentenceOf(error));
    }
  }

  #makeStage() {
    this.stage = new Stage(at("stage"), {
      onPanel: (view) => this.#takeInHand(view),
      onDraw: () => {
        this.#sayView();
        this.#sayPoint();
      },
    });
  }

  #takeInHand(view) {
    const film = () => this.state.reading.pixels;
    const { canvas } = view;
    new Hand(view, {
      tool: () => this.state.tool,
      onPan: (way) => this.change({ view: panned(this.state.view, film(), canvas, way) }),
      onZoom: (factor, point) => this.zoom(factor, point),
      onWindow: (way) => this.change({ window: draggedWindow(this.state.window, way, film()) }),
      onMask: (from, to, { finished }) => this.#drawMask(rectangle(film(), from, to), finished),
      onHover: (event) => {
        this.#pointed = { view, event };
        this.#sayPoint();
      },
    });
  }

  #drawMask(drawn, finished) {
    const [x0, y0, x1, y1] = drawn;
    if (!finished) this.change({ mask: drawn });
    else this.mask(x1 - x0 > 1 && y1 - y0 > 1 ? drawn : null);
  }

  #makeToolbar() {
    const { modes, tools, buttons } = strings.toolbar;
    const choice = (id, words, onChoose) => new Choice(at(id), { name: id, ...words, onChoose });
    this.modes = choice("modes", modes, (mode) => this.chooseMode(mode));
    this.tools = choice("tools", tools, (tool) => this.chooseTool(tool));
    pushButtons(at("view-buttons"), buttons, {
      fit: () => this.zoom(null),
      pixels: () => this.zoomToPixels(),
      closer: () => this.zoom(ZOOM_STEP),
      farther: () => this.zoom(1 / ZOOM_STEP),
      turn: () => this.turn(),
      invert: () => this.invert(),
      hide: () => this.hideMaps(),
      reset: () => this.reset(),
    });
    this.windowControl = new WindowControl(at("window-control"), {
      onWindow: (window) => this.change({ window }),
    });
  }

  #makeAnswer() {
    this.picker = new ModelPicker(at("model-picker"), { onChoose: (name) => this.chooseModel(name) });
    this.explanation = new ExplanationView(
      {
        box: at("explanation"),
        heading: at("explanation-heading"),
        sentence: at("explanation-words"),
        button: at("explanation-button"),
      },
      { onButton: () => this.goOn() },
    );
    this.mapControls = new MapControls(at("map-controls"), {
      colourMaps: this.#colourMaps,
      onChange: (look) => this.change({ look }),
    });
    this.state.look = this.mapControls.look;
    this.occlusion = new OcclusionView(at("occlusion"), {
      onMask: () => this.chooseTool("mask"),
      onClear: () => this.mask(null),
    });
  }
}

function gridOf({ findings }) {
  const grid = findings.map((finding) => finding.explanation.evidence).find(Boolean);
  return grid ? [grid.length, grid[0].length] : [1, 1];
}
