/** Saves what is in view on the desk: as picture, answer, report or link. */

import { FITTED } from "../desk/geometry.js";
import { KeepingView } from "./keeping_view.js";
import { captionedPicture, newCanvas } from "./picture_export.js";
import { report } from "./report.js";
import { answerFile, fileName } from "./saving.js";

/** Longest side of the report's pictures of a film. */
const REPORT_PIXELS = 1040;

/** Fills a container with buttons that keep what is on a desk; `card(name)` is a promise. */
export function keepFrom(container, { desk, card }) {
  const named = (withName) => (withName ? desk.state.name : null);
  const file = (extension) => {
    const { model, className } = desk.state;
    return fileName([model, className], new Date(), extension);
  };
  return new KeepingView(container, {
    onPicture: async (withName) => ({
      blob: await captionedPicture(await snapshot(desk, card, named(withName), viewsSideBySide)),
      name: file("png"),
    }),
    onReport: async (withName) => ({
      blob: await report(await snapshot(desk, card, named(withName), wholeFilm)),
      name: file("pdf"),
    }),
    onAnswer: async (withName) => ({
      blob: answerFile([...desk.state.reading.answers.values()], named(withName), desk.state.masked),
      name: file("json"),
    }),
    onLink: () => desk.state.address,
  });
}

/** Returns a snapshot (see picture_export.js); `picture(desk, change)` draws its pictures. */
async function snapshot(desk, card, filmName, picture) {
  const { state, viewControl } = desk;
  const { answer, finding } = state;
  const description = await card(answer.model.name).catch(() => ({}));
  const isOfAnswer = description.sha256 === answer.model.sha256;
  return {
    plain: picture(desk, { map: null, outline: null, lungs: null }),
    mapped: picture(desk, {}),
    ...{ answer, finding, filmName, card: isOfAnswer ? description.card : null },
    look: { ...state.look, colours: state.colours, mapShown: state.isMapShown, ...lungsOf(state) },
    window: state.window,
    compared: state.mode === "compare" ? viewControl.panels : [],
    mask: state.mask && { rectangle: state.mask, masked: state.masked },
    date: new Date(),
  };
}

/** Returns what a look says of the lungs: whether the map ends at them, and their outline is seen. */
function lungsOf({ answer: { lung_outline: outline }, look, mapHidden }) {
  return { cut: Boolean(outline), lungs: look.lungs && !mapHidden && outline?.length > 0 };
}

/** Returns the panels as they are on the page, on one canvas. */
function viewsSideBySide({ viewControl }, change) {
  const pictures = viewControl.views.map((view) => view.picture(view.canvas, change));
  const height = Math.max(...pictures.map((picture) => picture.height));
  const canvas = newCanvas(pictures.reduce((sum, { width }) => sum + width, 0), height);
  const context = canvas.getContext("2d");
  pictures.reduce((left, picture) => {
    context.drawImage(picture, left, 0);
    return left + picture.width;
  }, 0);
  return canvas;
}

/** Returns the whole film, upright as it was turned, with the map of the model in view. */
function wholeFilm({ state, viewControl }, change) {
  const shown = viewControl.panels.findIndex(({ answer }) => answer === state.answer);
  const view = viewControl.views[shown];
  const { film, view: seen } = view.scene;
  const sides = seen.turns % 2 ? [film.rows, film.columns] : [film.columns, film.rows];
  const [width, height] = sides.map((side) => Math.round((side * REPORT_PIXELS) / Math.max(...sides)));
  return view.picture({ width, height }, { view: { ...FITTED, turns: seen.turns }, ...change });
}
