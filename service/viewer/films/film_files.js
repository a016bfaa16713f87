/** Takes films in: from file and folder dialogues, dropped anywhere on the page, or pasted. */

import { files as words } from "./strings.js";
import { FileProblem, zipMembers } from "./unzip.js";

const ZIP = /\.zip$/i;
/** Files that are put beside films: hidden ones, Apple's forks, the index of a DICOM folder. */
const NO_FILM = /(^|\/)(\.|__MACOSX\/|DICOMDIR$|Thumbs\.db$|desktop\.ini$)/i;

const naturally = new Intl.Collator("en", { numeric: true });

/**
 * Takes what two file inputs (`folder` has `webkitdirectory`), drops and the clipboard bring.
 *
 * `onFilms(films, refused)` gets films, `{ name, load }` where `load(signal)` promises a Blob, and
 * what can't be opened, `{ name, problem }`; both by name in natural order, and both may be empty.
 * Names are paths in folders and zips. `dropHere` is shown while something is dragged over the page.
 */
export function takeFilms({ input, folder, dropHere, onFilms }) {
  const take = async (found) => {
    const { films, refused } = await filmsOf(await found);
    onFilms(films, refused);
  };
  for (const dialogue of [input, folder]) {
    dialogue.addEventListener("change", () => {
      const picked = [...dialogue.files].map(filePart);
      dialogue.value = ""; // so that the same film can be picked again
      if (picked.length) take(picked);
    });
  }
  takeDrops(dropHere, take);
  addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])].map(filePart);
    if (!pasted.length) return; // text, for a field
    event.preventDefault();
    take(pasted);
  });
}

/** Returns the films in parts (`{ path, file }`, or `{ path, problem }`), zips unpacked. */
export async function filmsOf(parts) {
  const found = [];
  for (const part of parts.filter(({ path }) => !NO_FILM.test(path))) {
    found.push(...(await filmsOfPart(part)));
  }
  found.sort((one, other) => naturally.compare(one.name, other.name));
  return {
    films: found.filter(({ problem }) => !problem),
    refused: found.filter(({ problem }) => problem),
  };
}

/** Returns every file below a FileSystemEntry of a drop: `{ path, file }` or `{ path, problem }`. */
export async function partsBelow(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) return [{ path, file: await promised(entry, "file") }];
    const parts = [];
    for (const child of await childrenOf(entry)) parts.push(...(await partsBelow(child)));
    return parts;
  } catch {
    return [{ path, problem: new FileProblem(words.unreadable) }];
  }
}

/** Returns what is in a folder; browsers hand it out a hundred at a time. */
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const batch = await promised(reader, "readEntries");
    if (!batch.length) return children;
    children.push(...batch);
  }
}

function promised(object, method) {
  return new Promise((resolve, reject) => object[method](resolve, reject));
}

async function filmsOfPart({ path: name, file, problem }) {
  if (problem) return [{ name, problem }];
  if (!ZIP.test(name)) return [{ name, load: readable(opener(file)) }];
  try {
    const members = await readable(() => zipMembers(file))();
    return members
      .filter(({ path }) => !NO_FILM.test(path))
      .map(({ path, load, ...rest }) => ({
        ...rest,
        name: `${name}/${path}`,
        ...(load && { load: readable(load) }),
      }));
  } catch (error) {
    return [{ name, problem: error }];
  }
}

/**
 * Returns a function that promises the file once a byte of it was read: sending a file that is gone
 * would look like a dead connection.
 */
function opener(file) {
  void file.size; // Chromium finds a file that is gone empty, unless its size was asked before
  return async () => {
    await file.slice(0, 1).arrayBuffer();
    return file;
  };
}

/** Returns `load` with a sentence for a file that was moved, changed or deleted meanwhile. */
function readable(load) {
  return (signal) =>
    load(signal).catch((error) => {
      const gone = error.name === "NotFoundError" || error.name === "NotReadableError";
      throw gone ? new FileProblem(words.unreadable) : error;
    });
}

function takeDrops(dropHere, take) {
  let depth = 0; // dragenter and dragleave fire for every element on the way
  const count = (step) => {
    depth = Math.max(0, step === 0 ? 0 : depth + step);
    dropHere.hidden = depth === 0;
  };
  const onFiles = (type, react) =>
    addEventListener(type, (event) => {
      if (event.dataTransfer?.types.includes("Files")) react(event);
    });
  onFiles("dragenter", () => count(1));
  onFiles("dragleave", () => count(-1));
  onFiles("dragover", (event) => event.preventDefault());
  onFiles("drop", (event) => {
    event.preventDefault(); // or the browser would open the file itself
    count(0);
    take(droppedParts(event.dataTransfer));
  });
}

/** Returns a promise of what was dropped; asked for at once, because it is gone after the event. */
async function droppedParts({ items }) {
  const parts = [...items]
    .filter(({ kind }) => kind === "file")
    .map((item) => {
      const entry = item.webkitGetAsEntry?.();
      return entry ? partsBelow(entry) : [filePart(item.getAsFile())];
    });
  return (await Promise.all(parts)).flat();
}

function filePart(file) {
  return { path: file.webkitRelativePath || file.name, file };
}
