/** Shows a model's card: intended use, limits, thresholds and figures. */

import { element } from "../page/elements.js";
import { className, finePercent } from "../page/formats.js";
import { page } from "../page/strings.js";
import { thresholdOf } from "./findings.js";
import { card as words } from "./strings.js";

/** A dialog with the card, which it makes at the end of a container. */
export class CardDialog {
  #dialog = element("dialog", { className: "card-dialog" });

  constructor(container) {
    this.#dialog.setAttribute("aria-labelledby", "card-heading");
    container.append(this.#dialog);
  }

  /** Shows {sha256, card, trust} until it is closed; the focus then goes back to where it was. */
  show({ sha256, card, trust }) {
    const close = element("button", { type: "button", textContent: words.close });
    close.addEventListener("click", () => this.#dialog.close());
    const heading = element("h2", { id: "card-heading", textContent: words.heading(card) });
    this.#dialog.replaceChildren(
      element("header", {}, [heading, close]),
      paragraph(page.researchOnly),
      ...sections(card, sha256, trust),
    );
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }
}

function sections(card, sha256, trust) {
  const parts = card.members ? partsOfEnsemble(card) : partsOfModel(card, sha256, trust);
  return parts.map(([title, ...content]) =>
    element("section", {}, [element("h3", { textContent: title }), ...content]),
  );
}

function partsOfEnsemble(card) {
  const networks = list(card.members.map(words.member));
  return [[words.networks, paragraph(words.together), networks], ...measured(card)];
}

function partsOfModel(card, sha256, trust) {
  return [
    [words.use, paragraph(card.intended_use)],
    [words.limits, list(card.limits)],
    ...measured(card),
    [words.trust, trust ? list(trust.verdict) : paragraph(words.noTrust)],
    [words.data, paragraph(card.training_data.description), films(card)],
    [words.network, facts(words.networkFacts, card)],
    [words.credits, card.credits.length ? list(card.credits) : paragraph(words.noCredits)],
    [words.origin, facts(words.originFacts, { ...card, sha256 })],
  ];
}

/** Returns the parts about how films are decided, and how well. */
function measured(card) {
  return [
    [
      words.decisions,
      paragraph(words.howDecided(card)),
      ...thresholds(card),
      facts(words.decisionFacts, card),
    ],
    [words.figures, ...figures(card)],
  ];
}

function thresholds(card) {
  const row = (name) => {
    const { value, sensitivity, specificity, criterion } = thresholdOf(card, name);
    return [className(name), ...[value, sensitivity, specificity].map(finePercent), criterion];
  };
  const { class_names: names, conformal_quantiles: limits } = card;
  const groups = card.groups.map(({ name }) => name);
  if (!limits) return [table(words.thresholdHeads, [...names, ...groups].map(row))];
  const limitRow = (quantile, index) => [className(names[index]), finePercent(1 - quantile)];
  const excluded = table(words.exclusionHeads, limits.map(limitRow));
  return groups.length ? [excluded, table(words.thresholdHeads, groups.map(row))] : [excluded];
}

function figures({ metrics }) {
  if (!metrics.length) return [paragraph(words.noFigures)];
  const row = ({ name, class_name: of, split, estimate, low, high }) => [
    words.figure(name),
    of ? className(of) : words.allClasses,
    words.splits[split],
    words.decimal(estimate),
    words.interval(low, high),
  ];
  return [paragraph(words.intervals), table(words.figureHeads, metrics.map(row))];
}

function films({ training_data: { films } }) {
  const row = ([split, count]) => [words.splits[split] ?? split, count];
  return table(words.filmHeads, Object.entries(films).map(row));
}

/** Returns a table; the first cell of each row is its heading. */
function table(heads, rows) {
  const cell = (tag, textContent, scope) => element(tag, { textContent, ...(scope && { scope }) });
  const head = element("tr", {}, heads.map((text) => cell("th", text, "col")));
  const body = rows.map(([first, ...others]) =>
    element("tr", {}, [cell("th", first, "row"), ...others.map((text) => cell("td", text))]),
  );
  return element("table", {}, [element("thead", {}, [head]), element("tbody", {}, body)]);
}

/** Returns the facts whose words, made of the card, are not null. */
function facts(entries, card) {
  const pairs = entries.map(([name, say]) => [name, say(card)]).filter(([, said]) => said !== null);
  return element("dl", {}, pairs.flatMap(([name, said]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: said }),
  ]));
}

function list(items) {
  return element("ul", {}, items.map((textContent) => element("li", { textContent })));
}

function paragraph(textContent) {
  return element("p", { textContent });
}
