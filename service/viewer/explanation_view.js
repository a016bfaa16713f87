/** Shows one finding's map on the overlay, or says in words why there is none. */

import { paintedGrid } from "./film_view.js";
import { heat, hottestCell } from "./heat.js";
import { canvas as canvasWords, className, explanation, legend, mapName } from "./strings.js";

/** Statuses whose map is painted without being asked for. */
const SHOWN = new Set(["ok"]);

export class ExplanationView {
  #elements;
  #view;
  #colourTable;
  #belowShown = false;
  #drawing = false;

  /**
   * Takes the page's elements, the FilmView to paint on and the colour table; `onForce` is called
   * when the reader asks for the maps of a refused film.
   */
  constructor(elements, { view, colourTable, onForce }) {
    this.#elements = elements;
    this.#view = view;
    this.#colourTable = colourTable;
    elements.button.addEventListener("click", () => this.#goOn(onForce));
    paintLegend(elements.legend, colourTable);
  }

  /**
   * Begins with a new film: maps below threshold are hidden unless the reader forced them.
   * `drawing` says that it is one of our samples.
   */
  reset({ forced = false, drawing = false } = {}) {
    this.#belowShown = forced;
    this.#drawing = drawing;
  }

  /** Shows the explanation of one finding of an answer. */
  show(answer, finding) {
    this.answer = answer;
    this.finding = finding;
    const { status, evidence } = finding.explanation;
    const grid = evidence && heat(evidence, answer.model.evidence_scale);
    const shown = SHOWN.has(status) || (status === "below_threshold" && this.#belowShown);
    this.#paint(shown ? grid : null);
    this.#elements.mapName.textContent = nameOfMap(finding, shown);
    this.#say(status, grid ? hottestCell(grid).heat : 0);
    this.#elements.opacity.disabled = !shown;
  }

  #goOn(onForce) {
    if (this.finding.explanation.status === "out_of_distribution") {
      onForce();
      return;
    }
    this.#belowShown = !this.#belowShown;
    this.show(this.answer, this.finding);
  }

  #paint(grid) {
    this.#view.canvas.ariaLabel = grid ? mapLabel(this.finding, grid) : canvasWords.plain;
    if (grid) {
      this.#view.showMap(paintedGrid(grid, this.#colourTable), this.finding.explanation.affine);
    } else {
      this.#view.hideMap();
    }
  }

  #say(status, peak) {
    const { answer, finding } = this;
    const refused = status === "out_of_distribution";
    const forced = !answer.in_distribution && !refused;
    const words = explanation(status, {
      finding,
      shown: this.#belowShown,
      forced,
      drawing: this.#drawing,
      peak,
    });
    this.#elements.box.dataset.status = refused || forced ? "out_of_distribution" : status;
    this.#elements.heading.textContent = words.heading;
    this.#elements.sentence.textContent = words.sentence;
    this.#elements.button.textContent = words.button ?? "";
    this.#elements.button.hidden = !words.button;
    this.#elements.legendFull.textContent = legend.full(answer.model.evidence_scale);
    this.#elements.legendWords.textContent = legend.words(answer.model.evidence_scale);
  }
}

function nameOfMap({ class_name: name, explanation: { status } }, shown) {
  if (status === "out_of_distribution") return mapName.withheld;
  if (status === "no_positive_evidence") return mapName.none(name);
  return (shown ? mapName.shown : mapName.hidden)(name);
}

function mapLabel({ class_name: name }, grid) {
  const { row, column } = hottestCell(grid);
  return canvasWords.mapped(className(name), row + 1, column + 1, grid.length, grid[0].length);
}

function paintLegend(canvas, colourTable) {
  const picture = new ImageData(colourTable.length, 1);
  colourTable.forEach((rgb, level) => picture.data.set([...rgb, 255], 4 * level));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
