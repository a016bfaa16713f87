/** Writes probabilities, other numbers, class names and file formats as text. */

const percentFormat = new Intl.NumberFormat("en-GB", { style: "percent", maximumFractionDigits: 0 });
const finePercentFormat = new Intl.NumberFormat("en-GB", {
  style: "percent",
  maximumFractionDigits: 1,
});

/** Returns a probability in [0, 1] as whole per cent, never rounded to a certainty. */
export function percent(probability) {
  if (probability > 0 && probability < 0.005) return "< 1 %";
  if (probability < 1 && probability > 0.995) return "> 99 %";
  return wholePercent(probability);
}

/** Returns a share as whole per cent; it may be above 1. */
export function wholePercent(share) {
  return spaced(percentFormat.format(share));
}

/** Returns a threshold in [0, 1] as per cent with one decimal where it has one. */
export function finePercent(probability) {
  return spaced(finePercentFormat.format(probability));
}

function spaced(text) {
  return text.replace("%", "\u202f%");
}

/** Returns a number with three significant digits. */
export function figure(number) {
  return Number(number.toPrecision(3)).toString();
}

/** Returns a figure of a model with three decimals; two would round some to a certainty. */
export const decimal = (number) => number.toFixed(3);
export const interval = (low, high) => `${decimal(low)} to ${decimal(high)}`;

/** Returns a class name of a model as words: `viral_pneumonia` is "Viral pneumonia". */
export function className(name) {
  const words = (CLASS_NAMES[name] ?? name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Returns the unit of evidence found by a method. */
export const unitOf = (method) => `logits per ${method === "legrad" ? "attention" : "position"}`;

const CLASS_NAMES = { covid19: "COVID-19" };

export const FORMATS = { png: "PNG", jpeg: "JPEG", tiff: "TIFF", dicom: "DICOM" };
