/** Wires the page: a film comes in, the server answers, the views show it. */

import { ApiProblem, colourTable, explain, filmPicture, sampleFilm } from "./api.js";
import { ExplanationView } from "./explanation_view.js";
import { showFacts } from "./facts_view.js";
import { FilmView } from "./film_view.js";
import { offerSamples, takeFiles } from "./film_picker.js";
import { foremostClass, showFindings } from "./findings_view.js";
import { KeyDialog } from "./key.js";
import { showProblem } from "./problem_view.js";
import { Progress } from "./progress.js";
import * as strings from "./strings.js";

const at = (id) => document.getElementById(id);

const original = new FilmView(at("original"));
const overlay = new FilmView(at("overlay"));
const progress = new Progress(
  { box: at("progress"), words: at("progress-words"), cancel: at("cancel") },
  { onCancel: cancel },
);
const keyDialog = new KeyDialog({ dialog: at("key-dialog"), words: at("key-words"), input: at("key") });

/** What is on the page: how to get the film, what it is called and is, what the server said. */
const state = {
  load: null,
  name: "",
  drawing: false,
  film: null,
  answer: null,
  abort: new AbortController(),
};

let explanationView = null;
let preparation = null;

function start() {
  fillTexts();
  takeFiles({ input: at("pick"), dropHere: at("drop-here"), onFiles: openFiles });
  offerSamples(at("samples"), openSample);
  at("retry").addEventListener("click", () => read());
  at("opacity").addEventListener("input", showOpacity);
  showOpacity();
}

function fillTexts() {
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = strings.page[element.dataset.text];
  }
}

function openFiles([file, ...others]) {
  const note = others.length ? ` \u2013 ${strings.oneFilm(others.length + 1)}` : "";
  return open(async () => file, file.name + note);
}

function openSample(key) {
  const load = (signal) => sampleFilm(key, { signal });
  return open(load, strings.sampleName(key), { drawing: true });
}

function open(load, name, { drawing = false } = {}) {
  Object.assign(state, { load, name, drawing });
  return read();
}

/** Reads the film of the state from the beginning: film, answer, views; or a problem. */
async function read({ force = false } = {}) {
  state.abort.abort();
  state.abort = new AbortController();
  const { signal } = state.abort;
  enter("waiting");
  progress.start();
  try {
    await prepare();
    const film = await state.load(signal);
    const [picture, answer] = await Promise.all([
      filmPicture(film, { signal }),
      explain(film, { force, signal }),
    ]);
    showAnswer(picture, answer, { force });
  } catch (error) {
    // If it was aborted, another film was opened, or the reader cancelled.
    if (!signal.aborted) await recover(error, { force, signal });
  } finally {
    if (!signal.aborted) progress.stop();
  }
}

/** Reads again once there is a key, where that was all that was missing; else says the problem. */
async function recover(error, { force, signal }) {
  if (error.status !== 401) return fail(error);
  progress.stop();
  const given = await keyDialog.ask();
  if (signal.aborted) return;
  if (given) await read({ force });
  else fail(new ApiProblem({ ...strings.problem.noKey, status: 401 }));
}

/** Makes the view that needs the colour table, once; it is tried again after a problem. */
function prepare() {
  preparation ??= makeExplanationView().catch((error) => {
    preparation = null;
    throw error;
  });
  return preparation;
}

async function makeExplanationView() {
  explanationView = new ExplanationView(
    {
      box: at("explanation"),
      heading: at("explanation-heading"),
      sentence: at("explanation-words"),
      button: at("explanation-button"),
      opacity: at("opacity"),
      mapName: at("map-name"),
      legend: at("legend"),
      legendFull: at("legend-full"),
      legendWords: at("legend-words"),
    },
    { view: overlay, colourTable: await colourTable(), onForce: () => read({ force: true }) },
  );
}

function showAnswer(picture, answer, { force }) {
  state.answer = answer;
  enter("answer");
  at("film-name").textContent = state.name;
  at("film-detail").textContent = strings.detail.film(answer.film);
  at("map-detail").textContent = strings.detail.map(answer.model);
  original.canvas.ariaLabel = strings.canvas.original(state.name);
  state.film?.close();
  state.film = picture;
  original.showFilm(picture);
  overlay.showFilm(picture);
  showFacts(at("facts"), answer);
  at("findings-hint").textContent = strings.findingsHint(answer);
  const selected = foremostClass(answer);
  showFindings(at("findings"), answer, { selected, onSelect: select });
  explanationView.reset({ forced: force, drawing: state.drawing });
  select(selected);
  at("summary").textContent = strings.summary(answer);
}

function select(className) {
  const finding = state.answer.findings.find((one) => one.class_name === className);
  explanationView.show(state.answer, finding);
}

function showOpacity() {
  const opacity = at("opacity").valueAsNumber / 100;
  overlay.opacity = opacity;
  at("opacity-words").textContent = strings.percent(opacity);
}

function cancel() {
  state.abort.abort();
  progress.stop();
  enter("empty");
  at("summary").textContent = strings.waiting.cancelled;
}

function fail(error) {
  enter("problem");
  showProblem(
    {
      box: at("problem"),
      title: at("problem-title"),
      detail: at("problem-detail"),
      wayOut: at("problem-way-out"),
      retry: at("retry"),
    },
    error instanceof ApiProblem ? error : { ...strings.problem.garbled, status: 0 },
  );
  if (!(error instanceof ApiProblem)) console.error(error);
}

/** Puts the page into a state (empty, waiting, answer, problem); CSS shows what belongs to it. */
function enter(name) {
  document.body.dataset.state = name;
  at("problem").hidden = true;
  at("summary").textContent = "";
}

start();
