/** Shows the answer in view: the models, their findings, the explanation of one, and the facts. */

import { showAgreement } from "../maps/agreement_view.js";
import { ExplanationView } from "../maps/explanation_view.js";
import { FaithfulnessView } from "../maps/faithfulness_view.js";
import { MapControls } from "../maps/map_controls.js";
import { fullColour } from "../maps/questions.js";
import { at } from "../page/elements.js";
import { showFacts } from "./facts_view.js";
import { showFindings, showMeaning } from "./findings_view.js";
import { showMembers } from "./members_view.js";
import { ModelPicker } from "./model_picker.js";
import { findingsHint } from "./strings.js";

export class AnswerPanel {
  #state;
  #card;
  #onClass;
  #onCard;
  #picker;
  #explanation;
  #mapControls;

  /**
   * Fills the page's answer by a DeskState, and sets the look of its maps.
   *
   * `card(name)` promises a model's description. `onModel(name)` and `onClass(name)` are called when
   * the reader chooses another, `onCard()` to see the card in view, `onTest()` to test its map, and
   * `onGoOn()` to go on as the explanation's button says.
   */
  constructor(state, { card, onModel, onClass, onCard, onGoOn, onTest }) {
    this.#state = state;
    this.#card = card;
    this.#onClass = onClass;
    this.#onCard = onCard;
    this.#picker = new ModelPicker(at("model-picker"), { onChoose: onModel });
    this.#explanation = new ExplanationView(
      {
        box: at("explanation"),
        heading: at("explanation-heading"),
        sentence: at("explanation-words"),
        button: at("explanation-button"),
      },
      { onButton: onGoOn },
    );
    this.faithfulness = new FaithfulnessView(at("faithfulness"), { onTest });
    this.#mapControls = new MapControls(at("map-controls"), {
      colourMaps: state.colourMaps,
      onChange: (look) => this.#draw(look),
    });
    state.look = this.#mapControls.look;
  }

  /** Sets the controls to the state's look; an unknown colour map is not taken over. */
  takeLook() {
    this.#mapControls.look = this.#state.look;
    this.#state.look = this.#mapControls.look;
  }

  /** Shows the model in view: all but the class. */
  showModel() {
    const { answer, className } = this.#state;
    this.showPicker();
    showFindings(at("findings"), answer, { selected: className, onSelect: this.#onClass });
    at("findings-hint").textContent = findingsHint(answer);
    showFacts(at("facts"), answer, { onCard: this.#onCard });
    this.#fillInCard(answer);
  }

  /** Shows the class in view. */
  showClass() {
    const { answer, finding } = this.#state;
    this.#explanation.show(answer, finding, this.#state);
    this.showFaithfulness();
    const evidenceScale = fullColour(answer, finding);
    const { method } = finding.explanation;
    const hasLungs = answer.lung_outline?.length > 0;
    const [grid, isGroup] = [gridOf(answer), Boolean(finding.class_names)];
    this.#mapControls.show({ evidenceScale, method, grid, enabled: true, hasLungs, isGroup });
    at("map-controls").hidden = !method; // the ensemble's: it has no map
    this.showAgreement();
  }

  /** Marks the class in view as chosen, where it was not chosen in the list of findings. */
  markClass() {
    const name = CSS.escape(this.#state.className);
    at("findings").querySelector(`input[value="${name}"]`).checked = true;
  }

  /** Shows which models there are, and how far the answer of each is. */
  showPicker() {
    const { models, wanted, reading } = this.#state;
    const states = models.map(({ name }) => [name, reading.stateOf(name)]);
    this.#picker.show(models, wanted, { states: Object.fromEntries(states) });
  }

  /** Shows what testing the map in view has shown, or offers to test it. */
  showFaithfulness() {
    const { reading, model, className, finding } = this.#state;
    const test = reading.tested(model, className);
    if (test) this.faithfulness.show(test);
    else this.faithfulness.invite(finding);
  }

  /**
   * Shows how far the maps of the models agree, where these lie side by side or answer together, and
   * then what each of them says.
   */
  showAgreement() {
    const { mode, members, reading, answer, className } = this.#state;
    const isTold = mode === "compare" || members.length > 0;
    const each = members.map(({ name }) => reading.answers.get(name));
    showMembers(at("members"), answer, each, className);
    showAgreement(at("agreement"), isTold ? reading.agreement : [], className);
  }

  /** Draws the maps in another look; the signed one also shows, and says, what argues against. */
  #draw(look) {
    const state = this.#state;
    state.look = look;
    this.#explanation.show(state.answer, state.finding, state);
    state.change();
  }

  async #fillInCard(answer) {
    const { card, sha256 } = await this.#card(answer.model.name).catch(() => ({}));
    // The server may have loaded another file under this name meanwhile.
    if (sha256 !== answer.model.sha256 || this.#state.answer !== answer) return;
    showMeaning(at("findings"), card);
    showFacts(at("facts"), answer, { card, onCard: this.#onCard });
  }
}

function gridOf({ findings }) {
  const grid = findings.map(({ explanation }) => explanation?.evidence).find(Boolean);
  return grid ? [grid.length, grid[0].length] : [1, 1];
}
