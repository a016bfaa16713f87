/** Asks the server: films in, answers and pictures out, and every failure as an `ApiProblem`. */

import { authorization } from "./key.js";
import { problem as words } from "./strings.js";

const TIMEOUT_MILLISECONDS = 120_000;

/** What it means when reading an answer's body ends with an error of this name. */
const BROKEN_BODIES = { TypeError: words.unreachable, TimeoutError: words.slow };

/** A request without an answer: `title` and `detail` are sentences, `status` is 0 without HTTP. */
export class ApiProblem extends Error {
  constructor({ title, detail = "", status = 0 }) {
    super(title);
    Object.assign(this, { title, detail, status });
  }
}

/** Returns the answer of `POST /v1/explain` for a film (a Blob). */
export async function explain(film, { force = false, signal } = {}) {
  const response = await request(`v1/explain${force ? "?force=true" : ""}`, {
    ...upload(film, "application/json"),
    signal,
  });
  return understood(() => response.json());
}

/** Returns the film's own pixels as the server decoded them, as an ImageBitmap. */
export async function filmPicture(film, { signal } = {}) {
  const response = await request("v1/film", { ...upload(film, "image/png"), signal });
  return understood(async () => createImageBitmap(await response.blob()));
}

/** Returns the 256 RGB triples of the colour map, coldest first. */
export async function colourTable() {
  const response = await request("v1/colour-map");
  return understood(async () => (await response.json()).rgb);
}

/** Returns all colour maps, the usual one first, as {name, kind, source, rgb}. */
export async function colourMaps() {
  const response = await request("v1/colour-maps");
  return understood(async () => (await response.json()).colour_maps);
}

/** Returns a sample film as a Blob. */
export async function sampleFilm(key, { signal } = {}) {
  try {
    return await (await request(`samples/${key}.png`, { signal })).blob();
  } catch (error) {
    throw error.status === 404 ? new ApiProblem({ ...words.noSample, status: 404 }) : error;
  }
}

function upload(film, accept) {
  const body = new FormData();
  // The file's own name may hold a patient's.
  body.append("file", film, "film");
  return { method: "POST", body, headers: { Accept: accept } };
}

async function request(path, { signal, headers, ...options } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
  const asked = { ...options, headers: { ...headers, ...authorization() }, signal: either };
  const response = await fetch(path, asked).catch(() => {
    if (signal?.aborted) throw signal.reason;
    throw new ApiProblem(timeout.aborted ? words.slow : words.unreachable);
  });
  if (!response.ok) throw await serverProblem(response);
  return response;
}

async function serverProblem(response) {
  const { title, detail } = await response.json().catch(() => words.garbled);
  return new ApiProblem({ title: title ?? words.garbled.title, detail, status: response.status });
}

/** Returns what `read` makes of a response; a body that can't be read is a problem too. */
async function understood(read) {
  try {
    return await read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiProblem(BROKEN_BODIES[error.name] ?? words.garbled);
  }
}
