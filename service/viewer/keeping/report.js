/** Makes a report of one page, as PDF, from a snapshot (see picture_export.js). */

import { hottestCell } from "../maps/heat.js";
import { fullColour, questionsOf } from "../maps/questions.js";
import { legendEnds } from "../maps/strings.js";
import { PAGE, PdfPage } from "./pdf.js";
import { newCanvas, scaleOfColours } from "./picture_export.js";
import { tableOfFindings } from "./report_table.js";
import { report as words } from "./strings.js";

const INK = "#15191e";
const QUIET = "#56606b";
const RULE = "#c9d0d7";
const NOTICE = { ground: "#fdf1da", ink: "#6b4300" };
const REFUSAL = { ground: "#fbe3e0", ink: "#8a1c10" };

const LEFT = 42;
const WIDTH = PAGE.width - 2 * LEFT;
const GAP = 16;
const HALF = (WIDTH - GAP) / 2;
const RIGHT = LEFT + HALF + GAP;
const FOOTER = PAGE.height - 56;
const TITLE_HEIGHT = 22;
const BODY = { size: 8.5, leading: 11, colour: INK };
const SMALL = { size: 7.5, leading: 10, colour: QUIET };

/** Longest side of a picture in the file: 300 dots per inch over half of the page. */
const PICTURE_PIXELS = 1040;

/** Returns the report as a PDF blob: one page, whatever the snapshot holds. */
export async function report(snapshot) {
  const page = new PdfPage();
  const jpegs = await jpegsOf(snapshot);
  let y = heading(page, snapshot);
  y = refusal(page, y, snapshot);
  y = pictures(page, y, jpegs, snapshot);
  y = tableOfFindings(page, { x: LEFT, y, width: WIDTH }, snapshot);
  y = Math.max(explanation(page, y, jpegs.scale, snapshot), facts(page, y, snapshot));
  model(page, y, snapshot);
  footer(page, snapshot);
  const { title, creator, language } = words;
  return page.blob({ title, creator, language, date: snapshot.date });
}

function heading(page, { answer, date }) {
  page.text(words.title, LEFT, 52, { size: 17, bold: true, colour: INK });
  const right = { size: 8.5, colour: QUIET, align: "right" };
  page.text(words.made(date), LEFT + WIDTH, 42, right);
  page.text(words.model(answer.model), LEFT + WIDTH, 53, right);
  return banner(page, 64, [[words.researchOnly, { bold: true, size: 9.5 }]], NOTICE);
}

/** Adds a box above everything else that says that there is no decision, where that is so. */
function refusal(page, y, { answer }) {
  const said = words.undecided(answer);
  if (!said) return y;
  const lines = [[said.heading, { bold: true, size: 10.5 }], [said.sentence, {}]];
  return banner(page, y, lines, REFUSAL);
}

/** Adds a box with one line for each [text, look]; returns the y under it. */
function banner(page, y, lines, { ground, ink }) {
  const height = 8 + 13 * lines.length;
  page.rectangle(LEFT, y, WIDTH, height, ground);
  page.rectangle(LEFT, y, 3, height, ink);
  lines.forEach(([text, look], at) => {
    page.text(text, LEFT + 11, y + 13.5 + 13 * at, { ...BODY, colour: ink, ...look });
  });
  return y + height + 8;
}

/** Adds film and view side by side, the lower the more classes the table has. */
function pictures(page, y, { plain, mapped }, { answer, finding, look }) {
  const tallest = Math.max(110, 290 - 9 * questionsOf(answer).length);
  const height = Math.max(...[plain, mapped].map((jpeg) => fitted(jpeg, HALF, tallest).height));
  const film = { jpeg: plain, x: LEFT, caption: words.film(answer.film) };
  const view = { jpeg: mapped, x: RIGHT, caption: words.view(finding, look) };
  for (const { jpeg, x, caption } of [film, view]) {
    const size = fitted(jpeg, HALF, height);
    const [left, top] = [x + (HALF - size.width) / 2, y + (height - size.height) / 2];
    page.rectangle(x, y, HALF, height, "#000000");
    page.picture(jpeg, left, top, size.width, size.height);
    page.paragraph(caption, x, y + height + 4, HALF, { ...SMALL, lines: 1 });
  }
  return y + height + 22;
}

/** Returns the largest {width, height} with a picture's aspect within a box. */
function fitted({ columns, rows }, width, height) {
  const scale = Math.min(width / columns, height / rows);
  return { width: columns * scale, height: rows * scale };
}

/** Adds the description of the shown class's map, under the scale of its colours. */
function explanation(page, y, scale, { answer, finding, look }) {
  let under = title(page, words.mapHeading(finding), LEFT, y, HALF);
  if (look.mapShown) under = legend(page, under, scale, fullColour(answer, finding), look.signed);
  const strongest = look.mapShown ? strongestPlace(answer, finding) : null;
  for (const text of words.explanation({ answer, finding, look, strongest })) {
    under = page.paragraph(text, LEFT, under, HALF, { ...BODY, lines: 5 }) + 3;
  }
  return under;
}

function legend(page, y, scale, full, signed) {
  const [low, high] = legendEnds(full, signed);
  page.picture(scale, LEFT, y, HALF, 8);
  const under = y + 16;
  page.text(low, LEFT, under, SMALL);
  if (signed) page.text("0", LEFT + HALF / 2 - 2, under, SMALL);
  page.text(high, LEFT + HALF, under, { ...SMALL, align: "right" });
  return under + 7;
}

/** Returns the strongest position: {x, y} as shares of the film's size, {share} of full colour. */
function strongestPlace(answer, finding) {
  const { film } = answer;
  const { evidence, affine: [a, b, c, d, e, f] } = finding.explanation;
  if (!evidence) return null;
  const { heat: strength, row, column } = hottestCell(evidence);
  const [across, down] = [column + 0.5, row + 0.5];
  return {
    x: (a * across + b * down + c) / film.columns,
    y: (d * across + e * down + f) / film.rows,
    share: Math.min(1, strength / fullColour(answer, finding)),
  };
}

/** Lists the facts of the answer, beside the description of the map. */
function facts(page, y, snapshot) {
  let under = title(page, words.factsHeading, RIGHT, y, HALF);
  for (const [name, value] of words.facts(snapshot)) {
    page.text(name, RIGHT, under + 6.8, { ...BODY, colour: QUIET });
    under = page.paragraph(value, RIGHT + 78, under, HALF - 78, { ...BODY, lines: 2 }) + 2;
  }
  return under;
}

function title(page, text, x, y, width) {
  page.line(x, y, x + width, y, { colour: RULE });
  page.paragraph(text, x, y + 6, width, { size: 10, bold: true, colour: INK, lines: 1 });
  return y + TITLE_HEIGHT;
}

/** Adds the card's intended use and limits, sharing what room there is above the footer. */
function model(page, y, { card }) {
  let under = y + 4;
  words.card(card).forEach(([heading, text], at, parts) => {
    const room = (FOOTER - 6 - under) / (parts.length - at) - TITLE_HEIGHT;
    const lines = Math.floor(room / BODY.leading);
    if (lines < 1) return;
    under = title(page, heading, LEFT, under, WIDTH);
    under = page.paragraph(text, LEFT, under, WIDTH, { ...BODY, lines }) + 5;
  });
}

function footer(page, { answer, finding }) {
  page.line(LEFT, FOOTER, LEFT + WIDTH, FOOTER, { colour: RULE });
  page.paragraph(words.producer(answer, finding), LEFT, FOOTER + 5, WIDTH, { ...SMALL, lines: 2 });
}

async function jpegsOf({ plain, mapped, look }) {
  const [film, view, scale] = await Promise.all(
    [plain, mapped, scaleOfColours(look.colours)].map(jpegOf),
  );
  return { plain: film, mapped: view, scale };
}

/** Returns a canvas as a JPEG {bytes, columns, rows} no finer than a page can show. */
async function jpegOf(canvas) {
  const scale = Math.min(1, PICTURE_PIXELS / Math.max(canvas.width, canvas.height));
  const columns = Math.max(1, Math.round(canvas.width * scale));
  const rows = Math.max(1, Math.round(canvas.height * scale));
  const small = newCanvas(columns, rows);
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, columns, rows);
  const blob = await new Promise((done) => small.toBlob(done, "image/jpeg", 0.92));
  return { bytes: new Uint8Array(await blob.arrayBuffer()), columns, rows };
}
