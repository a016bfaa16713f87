/**
 * The view's state in the address: `#model=vgg16&class=pneumonia&zoom=2`. Nothing of the film.
 *
 * A field at its default is left out, so a fresh page has no hash. What is unknown, malformed or
 * out of range is ignored, when reading and when writing.
 */

const name = { read: (text) => (/^[A-Za-z0-9_.-]+$/.test(text) ? text : undefined), write: String };
const flag = oneOf(false, true);
const share = number(0, 1);

/** Every field: name in the hash and in the state, its default, how it is read and written. */
const FIELDS = [
  ["model", "model", null, name],
  ["class", "className", null, name],
  ["mode", "mode", "one", oneOf("one", "beside", "compare")],
  ["zoom", "zoom", null, number(0.01, 100)], // null fits the film into the view
  ["centre", "viewCentre", null, pair({ x: share, y: share })], // shares of the film's size
  ["rotation", "rotation", 0, oneOf(0, 90, 180, 270)], // degrees, clockwise
  ["invert", "invert", false, flag],
  ["window", "window", null, pair({ centre: number(-1e6, 1e6), width: number(1e-6, 1e7) })],
  ["opacity", "opacity", 0.5, share],
  ["threshold", "threshold", 0, share], // share of full colour, and so is the outline
  ["colours", "colourMap", "inferno", name],
  ["signed", "signed", false, flag],
  ["raw", "raw", false, flag],
  ["outline", "outline", null, share],
  ["lungs", "lungs", false, flag],
];

/** The state of a fresh page. */
export const DEFAULTS = Object.freeze(
  Object.fromEntries(FIELDS.map(([, field, usual]) => [field, usual])),
);

/** Returns the fields of the state that a hash tells, each valid. */
export function stateFromHash(hash) {
  const texts = new URLSearchParams(hash.replace(/^#/, ""));
  const told = FIELDS.map(([key, field, , { read }]) => [field, read(texts.get(key) ?? "")]);
  return Object.fromEntries(told.filter(([, value]) => value !== undefined));
}

/** Returns the hash of a state, "" where every field is at its default. */
export function hashOf(state) {
  const texts = FIELDS.flatMap(([key, field, usual, { read, write }]) => {
    const value = state[field] ?? null;
    const text = value === null ? "" : write(value);
    const told = read(text) !== undefined && (usual === null || text !== write(usual));
    return told ? [[key, text]] : [];
  });
  return texts.length ? `#${new URLSearchParams(texts)}` : "";
}

function oneOf(...values) {
  return { read: (text) => values.find((value) => String(value) === text), write: String };
}

function number(low, high) {
  const read = (text) => {
    const value = /^-?\d+(\.\d+)?(e-?\d+)?$/.test(text) ? Number(text) : NaN;
    return value >= low && value <= high ? value : undefined;
  };
  return { read, write: (value) => String(Number(Number(value).toPrecision(6))) };
}

/** Two numbers of an object, as `x_y`. */
function pair(fields) {
  const keys = Object.keys(fields);
  const read = (text) => {
    const texts = text.split("_");
    const values = keys.map((key, at) => fields[key].read(texts[at] ?? ""));
    const valid = texts.length === keys.length && !values.includes(undefined);
    return valid ? Object.fromEntries(keys.map((key, at) => [key, values[at]])) : undefined;
  };
  return { read, write: (value) => keys.map((key) => fields[key].write(value[key])).join("_") };
}
