/** The desk at which one film is read: asks the models about it, and shows their answers. */

import { AnswerPanel } from "../answer/answer_panel.js";
import { topClass } from "../answer/findings.js";
import { failures, summary } from "../answer/strings.js";
import { questionsOf } from "../maps/questions.js";
import { at } from "../page/elements.js";
import { sentenceOf, waiting } from "../page/strings.js";
import { DeskState } from "./desk_state.js";
import { Masking } from "./masking.js";
import { toolbar } from "./strings.js";
import { ViewControl } from "./view_control.js";

export class Desk {
  #card;
  #withKey;
  #panel;

  /**
   * Takes the server's models (of GET /v1/models), its colour maps, `card(name)`, which returns a
   * promise of a model's description, `onCard()`, which shows it, and `withKey(work)`, which does
   * what may need an API key.
   */
  constructor({ models, colourMaps, card, onCard, withKey }) {
    this.#card = card;
    this.#withKey = withKey;
    this.state = new DeskState({ models, colourMaps });
    this.masking = new Masking(this.state, {
      withKey,
      onTool: () => this.viewControl.chooseTool("mask"),
    });
    this.viewControl = new ViewControl(this.state, {
      onMode: (mode) => this.chooseMode(mode),
      onMask: (...drag) => this.masking.draw(...drag),
    });
    this.#panel = new AnswerPanel(this.state, {
      card,
      onModel: (name) => this.chooseModel(name),
      onClass: (name) => this.chooseClass(name),
      onCard: () => this.#try(onCard),
      onGoOn: () => this.goOn(),
      onTest: () => this.testMap(),
    });
  }

  /**
   * Takes a film on the desk: `reading` has its pixels, and the answer of `model`. `link` is what
   * permalink.js read of a link that was followed to here, or null.
   */
  open({ name, reading, model }, link = null) {
    const { state } = this;
    state.begin({ name, reading, model });
    this.#say("");
    if (link) this.#take(link);
    this.viewControl.begin();
    this.masking.begin();
    this.#showModel();
    at("summary").textContent = summary(state.answer);
    if (state.wanted !== model) this.chooseModel(state.wanted);
  }

  /** Shows what a link says of the view; what it does not say is as usual. */
  follow(link) {
    const { state } = this;
    this.#take(link);
    state.change();
    if (state.wanted !== state.model) this.chooseModel(state.wanted);
    else this.#showModel();
    if (state.mode === "compare") this.askOthers();
  }

  /** Shows another model's answer; it is asked first where it was not. The last choice counts. */
  async chooseModel(name) {
    const { state } = this;
    const { signal, reading } = state;
    state.wanted = name;
    const isWanted = () => !signal.aborted && state.wanted === name;
    try {
      const asked = this.#withKey(() => reading.ask(name, { signal }));
      this.#say(reading.stateOf(name) === "ready" ? "" : waiting.model(name));
      await asked;
      if (!isWanted()) return;
      this.#say("");
      state.model = name;
    } catch (error) {
      if (!isWanted()) return;
      this.#say(failures([[name, error]]));
      state.wanted = state.model;
    }
    this.#showModel();
  }

  /** Asks for the answers of all other models and their cards, so that they are there at once. */
  async askOthers() {
    const { models, reading } = this.state;
    if (models.length < 2 || reading.compared) return;
    await this.#try(async (signal) => {
      const names = models.map(({ name }) => name);
      const asked = this.#withKey(() => reading.askAll(names, { signal }));
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
    const names = questionsOf(this.state.answer).map((finding) => finding.class_name);
    const { length } = names;
    this.chooseClass(names[(names.indexOf(this.state.className) + places + length) % length]);
    this.#panel.markClass();
  }

  /** Shows one film, the film beside the film with its map, or the models side by side. */
  chooseMode(mode) {
    this.state.mode = mode;
    this.#showOthers();
    if (mode === "compare") this.askOthers();
  }

  /** Goes from one film to film and map, to the models side by side, and round again. */
  nextMode() {
    const modes = Object.keys(toolbar.modes.options);
    this.chooseMode(modes[(modes.indexOf(this.state.mode) + 1) % modes.length]);
  }

  /** Goes on as the explanation's button says: the map of an uncalled class, or of a refused film. */
  async goOn() {
    const { state } = this;
    if (state.finding.explanation.status !== "out_of_distribution") {
      state.belowShown = !state.belowShown;
      return this.#showClass();
    }
    await this.#try(async (signal) => {
      const { reading, model } = state;
      await this.#withKey(() => reading.force(model, { signal }));
      state.belowShown = true;
      this.#showModel();
    });
    if (state.mode === "compare") this.askOthers();
  }

  /** Tests whether the model leans on the map in view. */
  async testMap() {
    const { reading, model, className, signal } = this.state;
    this.#panel.faithfulness.wait();
    try {
      await this.#withKey(() => reading.test(model, className, { signal }));
      this.#panel.showFaithfulness();
    } catch (error) {
      const isInView = this.state.model === model && this.state.className === className;
      if (!signal.aborted && isInView) this.#panel.faithfulness.fail(sentenceOf(error));
    }
  }

  #take(link) {
    this.state.take(link);
    this.#panel.takeLook();
  }

  #showModel() {
    const { state } = this;
    if (!state.answer) return;
    if (!state.finding) state.className = topClass(state.answer);
    this.#panel.showModel();
    this.#showClass();
    if (state.mask) this.masking.mask(state.mask);
  }

  #showClass() {
    this.#panel.showClass();
    this.state.change();
  }

  /** Shows what is known of the models that are not in view. */
  #showOthers() {
    this.#panel.showPicker();
    this.#panel.showAgreement();
    this.state.change();
  }

  #say(sentence) {
    at("notice").textContent = sentence;
    at("notice").hidden = !sentence;
  }

  /** Does what asks the server; a problem is said, and one of a film that was left is not. */
  async #try(work) {
    const { signal } = this.state;
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.#say(sentenceOf(error));
    }
  }
}
