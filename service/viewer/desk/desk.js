/** The desk at which one film is read: the stage, all that changes it, and what is said of it. */

import { showAgreement } from "../maps/agreement_view.js";
import { ExplanationView, isPainted } from "../maps/explanation_view.js";
import { FaithfulnessView } from "../maps/faithfulness_view.js";
import { showFacts } from "../answer/facts_view.js";
import { findingOf, topClass } from "../answer/findings.js";
import { showFindings, showMeaning } from "../answer/findings_view.js";
import { FITTED, panned, rectangle, turned, zoomed, zoomOf } from "./geometry.js";
import { Hand } from "./hand.js";
import { MapControls } from "../maps/map_controls.js";
import { ModelPicker } from "../answer/model_picker.js";
import { OcclusionView } from "../maps/occlusion_view.js";
import { panelsOf } from "./panels.js";
import { DEFAULTS, hashOf } from "../page/permalink.js";
import { Stage } from "./stage.js";
import { at } from "../page/elements.js";
import { failures, findingsHint, summary } from "../answer/strings.js";
import { occlusion } from "../maps/strings.js";
import { sentenceOf, waiting } from "../page/strings.js";
import * as strings from "./strings.js";
import { Choice, pushButtons } from "../page/toolbar.js";
import { draggedWindow, suits, WindowControl } from "./window_control.js";

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
  masked: null,
  drawn: null,
};

export class Desk extends EventTarget {
  state = { ...USUAL, name: "", drawing: false, reading: null, look: null };
  /** The name of the model that the reader chose; `state.model` is the one in view. */
  wanted = null;
  #models;
  #colourMaps;
  #card;
  #onCard;
  #abort = new AbortController();
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
    this.#onCard = () => this.#try(onCard);
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

  /** The panels in view, left to right, as panels.js makes them. */
  get panels() {
    return panelsOf(this.state, { colours: this.colours, models: this.#models });
  }

  /** Gives up what is still asked about the film on the desk. */
  leave() {
    this.#abort.abort();
  }

  /**
   * Takes a film on the desk: `reading` has its pixels, and the answer of `model`. `link` is what
   * permalink.js read of a link that was followed to here, or null.
   */
  open({ name, drawing, reading, model }, link = null) {
    this.leave();
    this.#abort = new AbortController();
    this.#say("");
    const { mode, tool, mapHidden } = this.state;
    const kept = { mode, tool, mapHidden, belowShown: reading.forced };
    Object.assign(this.state, USUAL, kept, { name, drawing, reading, model });
    this.state.window = this.#usualWindow;
    if (link) this.#applyLink(link);
    this.windowControl.offer(reading.pixels);
    this.occlusion.begin(reading.pixels);
    this.#showModel();
    at("summary").textContent = summary(this.answer);
    if (this.wanted !== model) this.chooseModel(this.wanted);
  }

  /** The window that the models see the film in. */
  get #usualWindow() {
    const [{ centre, width }] = this.state.reading.pixels.windows;
    return { centre, width };
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
    return `${location.origin}${location.pathname}${hashOf(this.#link)}`;
  }

  /** What a link to this view says, in the fields of permalink.js. */
  get #link() {
    const { model, className, mode, view, window, inverted, look } = this.state;
    const usual = this.#usualWindow;
    const isUsual = usual.centre === window.centre && usual.width === window.width;
    return {
      ...{ model, className, mode, ...look, invert: inverted, window: isUsual ? null : window },
      zoom: view.zoom && view.zoom / devicePixelRatio,
      viewCentre: view.zoom && { x: view.x, y: view.y },
      rotation: 90 * view.turns,
    };
  }

  /** Shows what a link says of the view; what it does not say is as usual. */
  follow(link) {
    this.#applyLink(link);
    this.redraw();
    if (this.wanted !== this.state.model) this.chooseModel(this.wanted);
    else this.#showModel();
    if (this.state.mode === "compare") this.askOthers();
  }

  #applyLink(link) {
    const { model, className, mode, zoom, viewCentre, rotation, invert, window, ...look } = {
      ...DEFAULTS,
      ...link,
    };
    const { state } = this;
    const view = { ...FITTED, ...viewCentre, zoom: zoom && zoom * devicePixelRatio, turns: rotation / 90 };
    const isSuited = window && suits(window, state.reading.pixels);
    Object.assign(state, { mode, view, inverted: invert });
    state.window = isSuited ? window : this.#usualWindow;
    state.className = className ?? state.className;
    if (this.#models.some(({ name }) => name === model)) this.wanted = model;
    this.mapControls.look = look;
    state.look = this.mapControls.look;
  }

  /** Shows another model's answer; it is asked first where it was not. The last choice counts. */
  async chooseModel(name) {
    this.wanted = name;
    const { signal } = this.#abort;
    const { reading } = this.state;
    const isWanted = () => !signal.aborted && this.wanted === name;
    try {
      const asked = this.withKey(() => reading.ask(name, { signal }));
      this.#say(reading.stateOf(name) === "ready" ? "" : waiting.model(name));
      await asked;
      if (!isWanted()) return;
      this.#say("");
      this.state.model = name;
    } catch (error) {
      if (!isWanted()) return;
      this.#say(failures([[name, error]]));
      this.wanted = this.state.model;
    }
    this.#showModel();
  }

  /** Asks for the answers of all other models and their cards, so that they are there at once. */
  async askOthers() {
    const { reading } = this.state;
    if (this.#models.length < 2 || reading.compared) return;
    await this.#try(async (signal) => {
      const names = this.#models.map(({ name }) => name);
      const asked = this.withKey(() => reading.askAll(names, { signal }));
      this.#showOthers();
      for (const name of names) this.#card(name).catch(() => {});
      const failed = await asked;
      if (failed.length) this.#say(failures(failed));
    });
    this.#showOthers();
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
  chooseMode(mode) {
    this.state.mode = mode;
    this.#showOthers();
    if (mode === "compare") this.askOthers();
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
    const { view, reading } = this.state;
    const { canvas } = this.views[0];
    if (factor === null) this.change({ view: { ...FITTED, turns: view.turns } });
    else this.change({ view: zoomed(view, reading.pixels, canvas, factor, point) });
  }

  /** Shows one film pixel on one pixel of the screen. */
  zoomToPixels() {
    this.change({ view: { ...this.state.view, zoom: 1 } });
  }

  /** Moves the film by shares of the view's width and height. */
  pan(right, down) {
    const { canvas } = this.views[0];
    const way = [right * canvas.width, down * canvas.height];
    this.change({ view: panned(this.state.view, this.state.reading.pixels, canvas, way) });
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
    this.change({ view: FITTED, window: this.#usualWindow, inverted: false });
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
      this.#showModel();
    });
    if (this.state.mode === "compare") this.askOthers();
  }

  /** Tests whether the model leans on the map in view. */
  async testMap() {
    const { reading, model, className } = this.state;
    const { signal } = this.#abort;
    this.faithfulness.wait();
    try {
      await this.withKey(() => reading.test(model, className, { signal }));
      this.#showFaithfulness();
    } catch (error) {
      const isInView = this.state.model === model && this.state.className === className;
      if (!signal.aborted && isInView) this.faithfulness.fail(sentenceOf(error));
    }
  }

  /** Asks the model about the film with a rectangle masked; null takes the mask away. */
  async mask(rectangle) {
    this.change({ mask: rectangle, masked: null, drawn: null });
    if (!rectangle) return this.occlusion.invite();
    const { reading, model } = this.state;
    const { signal } = this.#abort;
    const isInView = () => !signal.aborted && this.state.mask === rectangle && this.state.model === model;
    this.occlusion.wait(rectangle);
    try {
      const masked = await this.withKey(() => reading.masked(rectangle, model, { signal }));
      if (!isInView()) return;
      this.state.masked = masked;
      this.occlusion.show(rectangle, this.answer, masked);
    } catch (error) {
      if (isInView()) this.occlusion.fail(sentenceOf(error));
    }
  }

  /** Draws the films again, and says how they are seen. */
  redraw() {
    const { state } = this;
    if (!this.answer) return;
    const { reading, view, window, inverted, look, mask, drawn } = state;
    const scene = { film: reading.pixels, view, window, inverted, opacity: look.opacity };
    this.stage.show(this.panels, { ...scene, rectangle: drawn ?? mask });
    this.windowControl.show(window);
    [this.modes.value, this.tools.value] = [state.mode, state.tool];
    at("stage").dataset.tool = state.tool;
    at("stage").dataset.mode = state.mode;
    this.dispatchEvent(new Event("change"));
  }

  #showModel() {
    const { state, answer } = this;
    if (!answer) return;
    if (!this.finding) state.className = topClass(answer);
    this.#showPicker();
    const onSelect = (name) => this.chooseClass(name);
    showFindings(at("findings"), answer, { selected: state.className, onSelect });
    at("findings-hint").textContent = findingsHint(answer);
    showFacts(at("facts"), answer, { onCard: this.#onCard });
    this.#fillInCard(answer);
    at("film-name").textContent = state.name;
    at("film-detail").textContent = strings.detail.film(answer.film);
    this.#showClass();
    if (state.mask) this.mask(state.mask);
  }

  #showPicker() {
    const states = this.#models.map(({ name }) => [name, this.state.reading.stateOf(name)]);
    this.picker.show(this.#models, this.wanted, { states: Object.fromEntries(states) });
  }

  /** Shows what is known of the models that are not in view. */
  #showOthers() {
    this.#showPicker();
    this.#showAgreement();
    this.redraw();
  }

  async #fillInCard(answer) {
    const { card, sha256 } = await this.#card(answer.model.name).catch(() => ({}));
    // The server may have loaded another file under this name meanwhile.
    if (sha256 !== answer.model.sha256 || this.answer !== answer) return;
    showMeaning(at("findings"), card);
    showFacts(at("facts"), answer, { card, onCard: this.#onCard });
  }

  #showClass() {
    const { state, answer, finding } = this;
    this.explanation.show(answer, finding, state);
    this.#showFaithfulness();
    const [rows, columns] = gridOf(answer);
    const evidenceScale = answer.model.evidence_scale;
    this.mapControls.show({ evidenceScale, grid: [rows, columns], enabled: true });
    this.#showAgreement();
    this.redraw();
  }

  #showFaithfulness() {
    const { reading, model, className } = this.state;
    const test = reading.tested(model, className);
    if (test) this.faithfulness.show(test);
    else this.faithfulness.invite(this.finding);
  }

  #showAgreement() {
    const { mode, reading, className } = this.state;
    showAgreement(at("agreement"), mode === "compare" ? reading.agreement : [], className);
  }

  /** Draws the maps in another look; the signed one also shows, and says, what argues against. */
  #draw(look) {
    this.state.look = look;
    this.explanation.show(this.answer, this.finding, this.state);
    this.redraw();
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
      if (!signal.aborted) this.#say(sentenceOf(error));
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
      onMask: (from, to, drag) => this.#drawMask(from && rectangle(film(), from, to), drag),
      onHover: (event) => {
        this.#pointed = { view, event };
        this.#sayPoint();
      },
    });
  }

  /** Draws a rectangle while the hand drags it; null gives it up, what was masked stays so. */
  #drawMask(drawn, { finished } = {}) {
    if (drawn && finished) this.#maskPart(drawn);
    else this.change({ drawn });
  }

  /** Masks a rectangle, if it holds a pixel of the film. */
  #maskPart([x0, y0, x1, y1]) {
    if (x1 > x0 && y1 > y0) return this.mask([x0, y0, x1, y1]);
    this.change({ drawn: null });
    return this.occlusion.fail(occlusion.empty);
  }

  #makeToolbar() {
    const { modes, tools, buttons } = strings.toolbar;
    const choice = (id, words, onChoose) => new Choice(at(id), { name: id, ...words, onChoose });
    this.modes = choice("modes", modes, (mode) => this.chooseMode(mode));
    this.tools = choice("tools", tools, (tool) => this.chooseTool(tool));
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
    this.faithfulness = new FaithfulnessView(at("faithfulness"), { onTest: () => this.testMap() });
    this.mapControls = new MapControls(at("map-controls"), {
      colourMaps: this.#colourMaps,
      onChange: (look) => this.#draw(look),
    });
    this.state.look = this.mapControls.look;
    this.occlusion = new OcclusionView(at("occlusion"), {
      onTool: () => this.chooseTool("mask"),
      onMask: (from, to) => this.#maskPart(rectangle(this.state.reading.pixels, from, to)),
      onClear: () => this.mask(null),
    });
  }
}

function gridOf({ findings }) {
  const grid = findings.map((finding) => finding.explanation.evidence).find(Boolean);
  return grid ? [grid.length, grid[0].length] : [1, 1];
}
