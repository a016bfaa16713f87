/** Adds the report's table: each class with its probability, threshold, decision and figures. */

import { questionsOf } from "../maps/questions.js";
import { className, finePercent, percent } from "../page/formats.js";
import { markOf } from "../answer/findings.js";
import { reportTable as words } from "./strings.js";

const INK = "#15191e";
const QUIET = "#56606b";
const GREYED = "#6d767f";
const CALLED = "#9a4d00";
const [RULE, CHOSEN, TRACK] = ["#c9d0d7", "#e9f1f9", "#dfe4e9"];

const ROW = 13;
const TEXT = { size: 8, lines: 1 };

/** More rows than these would leave no room for the pictures. */
const MOST_ROWS = 20;

/** Adds the table; returns the y under it. `x`, `y` and `width` say where it goes. */
export function tableOfFindings(page, { x, y, width }, { answer, finding, card }) {
  const questions = questionsOf(answer);
  const rows = chosenRows(questions, finding);
  headings(page, x, y, answer);
  page.line(x, y + ROW, x + width, y + ROW, { colour: RULE });
  rows.forEach((one, at) => {
    const top = y + ROW + 2 + ROW * at;
    if (one === finding) page.rectangle(x, top, width, ROW, CHOSEN);
    row(page, x, top, { finding: one, answer, card });
  });
  const under = y + ROW + 5 + ROW * rows.length;
  const note = words.note(answer, card, questions.length - rows.length);
  return page.paragraph(note, x, under, width, { size: 7.5, colour: QUIET, lines: 2 }) + 9;
}

/** Returns the findings in the model's order; of very many the most probable and the shown one. */
function chosenRows(findings, shown) {
  const others = findings.filter((finding) => finding !== shown);
  others.sort((one, other) => other.probability - one.probability);
  const kept = [shown, ...others].slice(0, MOST_ROWS);
  return findings.filter((finding) => kept.includes(finding));
}

function headings(page, x, y, answer) {
  const look = { size: 7.5, colour: QUIET };
  page.text(words.className, x + 4, y + 9, look);
  page.text(words.probability, x + 126, y + 9, look);
  page.text(words.limit(answer), x + 262, y + 9, { ...look, align: "right" });
  page.text(words.decision, x + 276, y + 9, look);
  page.text(words.sensitivity, x + 338, y + 9, look);
  page.text(words.auroc, x + 422, y + 9, look);
}

function row(page, x, y, { finding, answer, card }) {
  const refused = !answer.in_distribution;
  const bold = finding.decision === true;
  const colour = refused ? GREYED : bold ? CALLED : INK;
  const look = { ...TEXT, bold, colour };
  page.paragraph(className(finding.class_name), x + 4, y + 2.5, 118, look);
  page.text(percent(finding.probability), x + 158, y + 9, { ...look, align: "right" });
  bar(page, x + 166, y + 4, finding, colour);
  page.text(finePercent(markOf(finding)), x + 262, y + 9, { ...TEXT, align: "right" });
  page.text(words.decided(finding, answer), x + 276, y + 9, look);
  page.text(words.operatingPoint(card, finding), x + 338, y + 9, TEXT);
  page.text(words.aurocOf(card, finding), x + 422, y + 9, TEXT);
}

function bar(page, x, y, finding, colour) {
  page.rectangle(x, y, 48, 5, TRACK);
  page.rectangle(x, y, 48 * finding.probability, 5, colour);
  page.rectangle(x + 48 * markOf(finding) - 0.75, y - 1.5, 1.5, 8, INK);
}
