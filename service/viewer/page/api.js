/** Asks the server: films in, answers and pictures out, and every failure as an `ApiProblem`. */

import { authorization } from "./key.js";
import { problem as words } from "./strings.js";

/** The name of what the models answer together. It has no map: theirs lie side by side. */
export const ENSEMBLE = "ensemble";

const TIMEOUT_MILLISECONDS = 120_000;
const THUMBNAIL_SIDE = 128;

/** The problem that an error of this name means while an answer's body is read. */
const BROKEN_BODIES = { TypeError: words.unreachable, TimeoutError: words.slow };

/**
 * A request without an answer: `title` and `detail` are sentences, `status` is 0 without HTTP,
 * `retryAfter` is after how many seconds the server asked to be asked again, or null, and
 * `requestId` is what the server's log calls the request, or null.
 */
export class ApiProblem extends Error {
  constructor({ title, detail = "", status = 0, retryAfter = null, requestId = null }) {
    super(title);
    Object.assign(this, { title, detail, status, retryAfter, requestId });
  }
}

/**
 * Returns the answer of `POST /v1/explain` for a film (a Blob), by the model of that name, by all of
 * them ("all"), or by the server's default one. The ensemble's comes with those of all models.
 * `onProgress` gets the share that was sent.
 */
export async function explain(film, { model, force = false, signal, onProgress } = {}) {
  const name = model === ENSEMBLE ? "all" : model;
  const asked = new URLSearchParams({ ...(name && { model: name }), ...(force && { force }) });
  const response = await upload(`v1/explain${asked.size ? `?${asked}` : ""}`, film, {
    accept: "application/json",
    signal,
    onProgress,
  });
  const answer = await understood(() => response.json());
  if (model === ENSEMBLE && !answer.ensemble) {
    throw new ApiProblem({ ...words.noEnsemble, status: 404 });
  }
  return answer;
}

/** Tests a model's map of a class; returns `faithfulness` of the answer of `POST /v1/explain`. */
export async function testMap(film, { model, className, force, signal }) {
  const asked = new URLSearchParams({ model, class: className, force, faithfulness: true });
  const response = await upload(`v1/explain?${asked}`, film, { accept: "application/json", signal });
  return understood(async () => (await response.json()).faithfulness);
}

/** Returns a small picture of the film as a PNG Blob, 128 pixels along its longer side. */
export async function thumbnail(film, { signal } = {}) {
  const path = `v1/film?side=${THUMBNAIL_SIDE}`;
  const response = await upload(path, film, { accept: "image/png", signal });
  return understood(() => response.blob());
}

/** Returns all colour maps, the usual one first, as {name, kind, source, rgb}. */
export async function colourMaps({ signal } = {}) {
  const response = await request("v1/colour-maps", { signal });
  return understood(async () => (await response.json()).colour_maps);
}

/** Returns a sample film as a Blob. */
export async function sampleFilm(file, { signal } = {}) {
  try {
    return await (await request(`samples/${file}`, { signal })).blob();
  } catch (error) {
    throw error.status === 404 ? new ApiProblem({ ...words.noSample, status: 404 }) : error;
  }
}

/**
 * Posts a film (a Blob) and returns the Response. By XMLHttpRequest: fetch can't say how much of a
 * film was sent. `onProgress` gets the share in [0, 1]; `signal` aborts it.
 */
export async function upload(path, film, { accept, signal, onProgress }) {
  signal?.throwIfAborted();
  const sending = new XMLHttpRequest();
  sending.open("POST", path);
  sending.responseType = "blob";
  sending.timeout = TIMEOUT_MILLISECONDS;
  const headers = { Accept: accept, ...authorization() };
  Object.entries(headers).forEach((header) => sending.setRequestHeader(...header));
  sending.upload.onprogress = ({ loaded, total }) => onProgress?.(loaded / total);
  const abort = () => sending.abort();
  signal?.addEventListener("abort", abort);
  const answered = ended(sending, signal).finally(() => signal?.removeEventListener("abort", abort));
  sending.send(form(film));
  await answered;
  const response = responseOf(sending);
  if (!response.ok) throw await serverProblem(response);
  return response;
}

function form(film) {
  const body = new FormData();
  // The file's own name may hold a patient's.
  body.append("file", film, "film");
  return body;
}

/** Waits for an XMLHttpRequest's answer; rejects with an ApiProblem, or with what aborted it. */
function ended(sending, signal) {
  return new Promise((resolve, reject) => {
    sending.onload = resolve;
    sending.onabort = () => reject(signal.reason);
    sending.ontimeout = () => reject(new ApiProblem(words.slow));
    sending.onerror = () => reject(new ApiProblem(words.unreachable));
  });
}

function responseOf(sending) {
  const lines = sending.getAllResponseHeaders().trim().split("\r\n").filter(Boolean);
  const headers = lines.map((line) => line.match(/^(.*?): ?(.*)$/).slice(1));
  return new Response(sending.response, { status: sending.status, headers });
}

async function request(path, { signal } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
  const response = await fetch(path, { headers: authorization(), signal: either }).catch(() => {
    if (signal?.aborted) throw signal.reason;
    throw new ApiProblem(timeout.aborted ? words.slow : words.unreachable);
  });
  if (!response.ok) throw await serverProblem(response);
  return response;
}

async function serverProblem(response) {
  const body = await response.json().catch(() => words.garbled);
  const { title = words.garbled.title, detail, request_id: requestId } = body;
  const retryAfter = Number(response.headers.get("Retry-After")) || null; // null for a date, too
  const { status } = response;
  return new ApiProblem({ title, detail, status, retryAfter, requestId });
}

/** Returns the result of `read()`; a body that can't be read is an ApiProblem. */
async function understood(read) {
  try {
    return await read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiProblem(BROKEN_BODIES[error.name] ?? words.garbled);
  }
}

/** Returns the film's own pixels, before any window: `[about, raw]`, as FilmPixels takes them. */
export async function filmPixels(film, { signal } = {}) {
  const response = await upload("v1/film", film, { accept: "application/octet-stream", signal });
  return understood(async () => {
    const about = JSON.parse(response.headers.get("X-Film"));
    return [about, new Uint16Array(await response.arrayBuffer())];
  });
}

/** Returns a model's answer about a film with a rectangle [x0, y0, x1, y1] masked. */
export async function predictMasked(film, rectangle, { model, signal } = {}) {
  const asked = new URLSearchParams({ model, mask: rectangle.join() });
  const response = await upload(`v1/predict?${asked}`, film, { accept: "application/json", signal });
  return understood(() => response.json());
}

/**
 * Returns the models that can be asked: {name, version, is_default, is_loaded, ...} of each; last
 * their ensemble, if there is one: it has `members` and what else its file holds.
 */
export async function models({ signal } = {}) {
  const response = await request("v1/models", { signal });
  const { models, ensemble } = await understood(() => response.json());
  return ensemble ? [...models, ensemble] : models;
}

/** Returns {sha256, card, trust} of a model: see `models/card.py` and, or null, `xai/measures/trust.py`. */
export async function modelDescription(name, { signal } = {}) {
  const response = await request(`v1/models/${encodeURIComponent(name)}`, { signal });
  return understood(() => response.json());
}
