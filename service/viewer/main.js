/** Wires the page: films come into the work list, and the open one lies on the desk. */

import { Reading } from "./desk/reading.js";
import { takeFilms } from "./films/film_files.js";
import { offerSamples } from "./films/samples.js";
import { files, sampleName } from "./films/strings.js";
import { BUSY, WorkList } from "./films/work_list.js";
import { WorkListView } from "./films/work_list_view.js";
import * as api from "./page/api.js";
import { at } from "./page/elements.js";
import { KeyDialog } from "./page/key.js";
import { stateFromHash } from "./page/permalink.js";
import { showProblem } from "./page/problem_view.js";
import { Progress } from "./page/progress.js";
import { listen, showHelp } from "./page/shortcuts.js";
import { problem as problems } from "./page/strings.js";
import { switchTheme, takeUpTheme } from "./page/theme.js";
import { fillTexts } from "./page/toolbar.js";

/** The modules that an open film needs; loaded apart, so that the empty page is shown at once. */
const deskModules = Promise.all([
  import("./desk/desk.js"),
  import("./keeping/keeping.js"),
  import("./answer/card_view.js"),
]);

/** Number of films whose pixels are kept: the open one's and its neighbours'. */
const KEPT_READINGS = 3;
/** Time that a film must be open before the other models are asked about it. */
const DWELL_MILLISECONDS = 700;
const LINK_MILLISECONDS = 300;
/** Share of the view by which a key moves the film. */
const PAN_SHARE = 0.1;

const keyDialog = new KeyDialog({ dialog: at("key-dialog"), words: at("key-words"), input: at("key") });
const progress = new Progress(
  {
    box: at("progress"),
    words: at("progress-words"),
    bar: at("progress-bar"),
    cancel: at("cancel"),
  },
  { onCancel: () => workList.remove(workList.current.id) },
);
const workList = new WorkList({ read });
const readings = new Map(); // entry -> Reading; the one that was opened last stands at the end
const cards = new Map(); // model name -> promise of its description

let desk = null;
let keeping = null;
let preparation = null;
let link = stateFromHash(location.hash); // until a film was opened by it
let opening = new AbortController();
let dwelling = 0;
let linking = 0;

function start() {
  takeUpTheme();
  fillTexts();
  takeFilms({ input: at("pick"), folder: at("pick-folder"), dropHere: at("drop-here"), onFilms: add });
  offerSamples(at("samples"), addSample);
  new WorkListView(at("work-list"), { list: workList });
  workList.addEventListener("open", openCurrent);
  workList.addEventListener("change", ({ detail }) => followCurrent(detail.entries));
  at("retry").addEventListener("click", retry);
  at("theme").addEventListener("click", switchTheme);
  at("help").addEventListener("click", () => showHelp(at("help-dialog")));
  addEventListener("hashchange", followLink);
  listen({ ...pageKeys, ...withFilm(filmKeys) });
  enter("empty");
}

function add(films, refused) {
  const found = [...films, ...refused];
  const [first] = workList.add(found.length ? found : [files.none]);
  workList.open(first.id);
}

function addSample(file) {
  const load = (signal) => api.sampleFilm(file, { signal });
  const [entry] = workList.add([{ name: sampleName(file), load }]);
  workList.open(entry.id);
}

/** Reads a film of the work list: the answer of the model in view, and a thumbnail. */
async function read(entry, { signal, onProgress }) {
  await prepare();
  const film = await entry.load(signal);
  const answer = await withKey(() => api.explain(film, { model: desk.state.wanted, signal, onProgress }));
  const thumbnail = patiently(() => api.thumbnail(film, { signal }), signal);
  return { answer, thumbnail: await thumbnail.catch(() => null) }; // the answer is not lost for it
}

/** Shows the open film of the work list as soon as its pixels and its answer are there. */
async function openCurrent() {
  opening.abort();
  opening = new AbortController();
  clearTimeout(dwelling);
  desk?.state.leave();
  const entry = workList.current;
  if (!entry) return enter("empty");
  const { signal } = opening;
  enter("waiting");
  progress.start(entry);
  try {
    await show(entry, signal);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

/** Shows the progress of the open film; opens it again when it is read after a problem. */
function followCurrent(changed) {
  const { current } = workList;
  progress.show();
  const failed = document.body.dataset.state === "problem";
  if (failed && changed.includes(current) && current.state === "reading") openCurrent();
}

async function show(entry, signal) {
  if (entry.state === "refused") throw entry.problem; // perhaps before it could be loaded
  const reading = readingOf(entry, await entry.load(signal));
  const pixels = patiently(() => withKey(() => reading.fetchPixels({ signal })), signal);
  pixels.catch(() => {}); // the answer's problem is said first
  const answer = await answerOf(entry, signal);
  await pixels;
  if (signal.aborted) return;
  reading.take(answer);
  enter("answer");
  document.body.dataset.film = entry.id;
  const { name } = entry;
  desk.open({ name, reading, model: (answer.ensemble ?? answer).model.name }, link);
  link = null;
  keeping.show();
  dwelling = setTimeout(() => desk.askOthers(), DWELL_MILLISECONDS);
}

/** Repeats a request while the server is busy, each time after the wait that it asks for. */
async function patiently(work, signal) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!BUSY.has(error.status)) throw error;
      await new Promise((next) => setTimeout(next, 1000 * (error.retryAfter ?? 1)));
      signal.throwIfAborted();
    }
  }
}

/** Returns a promise of an entry's answer in the work list; its problem rejects it. */
function answerOf(entry, signal) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (entry.state === "done") resolve(entry.answer);
      else if (entry.state === "refused") reject(entry.problem);
      else if (workList.pause && entry.state === "queued") {
        reject(workList.pause.problem ?? problems.stopped);
      }
    };
    workList.addEventListener("change", look, { signal });
    look();
  });
}

function readingOf(entry, film) {
  const reading = readings.get(entry) ?? new Reading(film);
  readings.delete(entry);
  readings.set(entry, reading);
  if (readings.size > KEPT_READINGS) readings.delete(readings.keys().next().value);
  return reading;
}

function retry() {
  const { current, pause } = workList;
  if (pause) workList.goOn();
  if (current.state === "refused") workList.retry(current.id);
  openCurrent();
}

/** Makes the desk, once; after a problem the next call tries again. */
function prepare() {
  preparation ??= makeDesk().catch((error) => {
    preparation = null;
    throw error;
  });
  return preparation;
}

async function makeDesk() {
  // Asked for at once: not after the reader may have refused a key for the same film.
  const descriptions = withKey(() => Promise.all([api.models(), api.colourMaps()]));
  const [[{ Desk }, { keepFrom }, { CardDialog }], [models, colourMaps]] = await Promise.all([
    deskModules,
    descriptions,
  ]);
  const ensemble = models.find(({ name }) => name === api.ENSEMBLE);
  if (ensemble) cards.set(api.ENSEMBLE, Promise.resolve({ sha256: ensemble.sha256, card: ensemble }));
  const cardDialog = new CardDialog(document.body);
  const onCard = async () => cardDialog.show(await card(desk.state.model));
  desk = new Desk({ models, colourMaps, card, onCard, withKey });
  const known = models.some(({ name }) => name === link?.model);
  desk.state.wanted = known ? link.model : models.find((model) => model.is_default).name;
  desk.state.addEventListener("change", keepLink);
  keeping = keepFrom(at("keeping"), { desk, card });
}

/** Returns a promise of a model's description, which is asked for once. */
function card(name) {
  if (!cards.has(name)) {
    const asked = withKey(() => api.modelDescription(name));
    asked.catch(() => cards.delete(name));
    cards.set(name, asked);
  }
  return cards.get(name);
}

/** Does what asks the server; where the server wants a key, asks the reader and tries again. */
async function withKey(work) {
  const { answers } = keyDialog;
  try {
    return await work();
  } catch (error) {
    if (error.status !== 401) throw error;
    if (!(await keyDialog.ask(answers))) throw new api.ApiProblem({ ...problems.noKey, status: 401 });
    return withKey(work);
  }
}

/** Shows the view that the page's address describes; with no film in view, once there is one. */
function followLink() {
  const told = stateFromHash(location.hash);
  if (document.body.dataset.state === "answer") desk.follow(told);
  else link = told;
}

/** Puts what is in view into the page's address: never anything of the film. */
function keepLink() {
  clearTimeout(linking);
  linking = setTimeout(() => {
    history.replaceState(null, "", desk.state.address);
  }, LINK_MILLISECONDS);
}

function fail(error) {
  opening.abort();
  enter("problem");
  showProblem(
    {
      box: at("problem"),
      title: at("problem-title"),
      detail: at("problem-detail"),
      wayOut: at("problem-way-out"),
      request: at("problem-request"),
      retry: at("retry"),
    },
    error.title ? error : { ...problems.garbled, status: 0 },
  );
  if (!error.title) console.error(error);
}

/** Puts the page into a state (empty, waiting, answer, problem); CSS shows what belongs to it. */
function enter(name) {
  document.body.dataset.state = name;
  if (name !== "waiting") progress.stop();
  at("problem").hidden = true;
  at("summary").textContent = "";
}

/** Actions by key that need no open film. */
const pageKeys = {
  "?": () => showHelp(at("help-dialog")),
  o: () => at("pick").click(),
  j: () => workList.next(),
  k: () => workList.previous(),
  ArrowDown: () => workList.next(),
  ArrowUp: () => workList.previous(),
  t: switchTheme,
};

/** Actions by key on an open film. */
const filmKeys = {
  ShiftArrowLeft: () => desk.viewControl.pan(-PAN_SHARE, 0),
  ShiftArrowRight: () => desk.viewControl.pan(PAN_SHARE, 0),
  ShiftArrowUp: () => desk.viewControl.pan(0, -PAN_SHARE),
  ShiftArrowDown: () => desk.viewControl.pan(0, PAN_SHARE),
  "+": () => desk.viewControl.zoomIn(),
  "=": () => desk.viewControl.zoomIn(),
  "-": () => desk.viewControl.zoomOut(),
  0: () => desk.viewControl.zoom(null),
  1: () => desk.viewControl.zoomToPixels(),
  r: () => desk.viewControl.turn(),
  i: () => desk.viewControl.invert(),
  Escape: () => desk.viewControl.reset(),
  p: () => desk.viewControl.chooseTool("pan"),
  w: () => desk.viewControl.chooseTool("window"),
  m: () => desk.viewControl.chooseTool("mask"),
  "[": () => desk.viewControl.stepWindow(-1),
  "]": () => desk.viewControl.stepWindow(1),
  ",": () => desk.stepClass(-1),
  ".": () => desk.stepClass(1),
  " ": () => desk.viewControl.hideMaps(),
  b: () => desk.nextMode(),
  x: () => desk.masking.mask(null),
};

/** Returns actions that do nothing while no film is open. */
function withFilm(actions) {
  const guarded = ([key, act]) => [key, () => document.body.dataset.state === "answer" && act()];
  return Object.fromEntries(Object.entries(actions).map(guarded));
}

start();
