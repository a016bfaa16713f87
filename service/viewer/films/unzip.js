/**
 * Opens zip files by slices, so that one of many gigabytes takes no more memory than one film.
 *
 * Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 (records), 4.4 (fields) and 4.5.3 (zip64).
 */

import { zip as words } from "./strings.js";

export const MOST_MEMBERS = 2000;
const MOST_BYTES = 64 * 2 ** 20;
const MOST_DIRECTORY_BYTES = 2 ** 24;

const SIGNATURE = { end: 0x06054b50, locator64: 0x07064b50, end64: 0x06064b50, entry: 0x02014b50, local: 0x04034b50 };
const BYTES = { end: 22, comment: 0xffff, locator64: 20, end64: 56, entry: 46, local: 30 };
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const IN_ZIP64 = 0xffffffff;

/** A file that can't be opened: `title` and `detail` are sentences. */
export class FileProblem extends Error {
  constructor({ title, detail = "" }) {
    super(title);
    Object.assign(this, { title, detail });
  }
}

/**
 * Returns the files in a zip (a Blob), in its own order: `{ path, load }`, where `load(signal)`
 * promises the unpacked Blob; or `{ path, problem }` of one that can't be unpacked.
 *
 * Rejects with a FileProblem where it is no zip, or has too many files. So does `load` where a file
 * is damaged, or larger than 64 MiB once unpacked (counted while it is unpacked).
 */
export async function zipMembers(zip) {
  const { offset, size } = await understood(() => directoryPlace(zip));
  if (size > MOST_DIRECTORY_BYTES) throw new FileProblem(words.tooMany(MOST_MEMBERS));
  const entries = await understood(async () => entriesOf(await viewOf(zip, offset, size)));
  return entries.filter(({ path }) => !path.endsWith("/")).map((entry) => member(zip, entry));
}

function member(zip, { path, ...entry }) {
  if (entry.flags & ENCRYPTED) return { path, problem: new FileProblem(words.encrypted) };
  if (![STORED, DEFLATED].includes(entry.method)) {
    return { path, problem: new FileProblem(words.unknownMethod) };
  }
  return { path, load: (signal) => understood(() => unpacked(zip, entry, signal)) };
}

/** Returns where the central directory lies. */
async function directoryPlace(zip) {
  const start = Math.max(0, zip.size - BYTES.end - BYTES.comment - BYTES.locator64);
  const tail = await viewOf(zip, start, zip.size - start);
  const at = lastEnd(tail);
  const locator = at - BYTES.locator64;
  if (locator >= 0 && tail.getUint32(locator, true) === SIGNATURE.locator64) {
    return directoryPlace64(await viewOf(zip, long(tail, locator + 8), BYTES.end64));
  }
  return { size: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) };
}

function lastEnd(tail) {
  let at = tail.byteLength - BYTES.end;
  while (at >= 0 && tail.getUint32(at, true) !== SIGNATURE.end) at -= 1;
  if (at < 0) throw new FileProblem(words.broken);
  return at;
}

function directoryPlace64(end) {
  check(end.getUint32(0, true) === SIGNATURE.end64);
  return { size: long(end, 40), offset: long(end, 48) };
}

function entriesOf(directory) {
  const entries = [];
  for (let at = 0; at < directory.byteLength; at = entries.at(-1).end) {
    if (entries.length === MOST_MEMBERS) throw new FileProblem(words.tooMany(MOST_MEMBERS));
    entries.push(entryAt(directory, at));
  }
  return entries;
}

function entryAt(directory, at) {
  check(directory.getUint32(at, true) === SIGNATURE.entry);
  const short = (offset) => directory.getUint16(at + offset, true);
  const word = (offset) => directory.getUint32(at + offset, true);
  const extra = at + BYTES.entry + short(28);
  const comment = extra + short(30);
  const name = new Uint8Array(directory.buffer, at + BYTES.entry, short(28));
  const sizes = inZip64(directory, extra, comment, [word(24), word(20), word(42)]);
  return {
    path: new TextDecoder().decode(name),
    flags: short(8),
    method: short(10),
    sum: word(16),
    size: sizes[0],
    packed: sizes[1],
    offset: sizes[2],
    end: comment + short(32),
  };
}

/** Returns sizes with those that 32 bits can't hold taken from the zip64 extra field. */
function inZip64(directory, start, end, sizes) {
  for (let at = start; at < end; at += 4 + directory.getUint16(at + 2, true)) {
    if (directory.getUint16(at, true) !== 1) continue;
    let next = at + 4 - 8;
    return sizes.map((size) => (size === IN_ZIP64 ? long(directory, (next += 8)) : size));
  }
  return sizes;
}

async function unpacked(zip, { offset, method, packed, size, sum }, signal) {
  const local = await viewOf(zip, offset, BYTES.local);
  check(local.getUint32(0, true) === SIGNATURE.local);
  const start = offset + BYTES.local + local.getUint16(26, true) + local.getUint16(28, true);
  const bytes = zip.slice(start, start + packed).stream();
  const chunks = await chunksOf(
    method === STORED ? bytes : bytes.pipeThrough(new DecompressionStream("deflate-raw")),
    signal,
  );
  const film = new Blob(chunks);
  check(film.size === size && checksum(chunks) === sum);
  return film;
}

/** Returns a stream's chunks, and gives up once they are too much. */
async function chunksOf(stream, signal) {
  const reader = stream.getReader();
  const chunks = [];
  for (let count = 0; ; ) {
    const { done, value } = await reader.read();
    signal?.throwIfAborted();
    if (done) return chunks;
    count += value.length;
    if (count > MOST_BYTES) {
      reader.cancel();
      throw new FileProblem(words.tooLarge(MOST_BYTES));
    }
    chunks.push(value);
  }
}

const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = (byte >>> 1) ^ (byte & 1 && 0xedb88320);
  return byte;
});

/** Returns the CRC-32 of the bytes in chunks. */
function checksum(chunks) {
  let sum = -1;
  for (const chunk of chunks) {
    for (const byte of chunk) sum = REMAINDERS[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}

async function viewOf(blob, start, size) {
  check(start + size <= blob.size);
  return new DataView(await blob.slice(start, start + size).arrayBuffer());
}

function long(view, at) {
  return Number(view.getBigUint64(at, true));
}

function check(sound) {
  if (!sound) throw new FileProblem(words.broken);
}

/** Returns the result of `read()`; bytes that end too early or can't be inflated are a FileProblem. */
async function understood(read) {
  try {
    return await read();
  } catch (error) {
    const broken = error instanceof RangeError || error instanceof TypeError;
    throw broken ? new FileProblem(words.broken) : error;
  }
}
