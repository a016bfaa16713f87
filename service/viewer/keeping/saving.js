/** Saves files that are made in the page as downloads, and names them. */

import { ENSEMBLE } from "../page/api.js";

/** Saves a blob as a download of this name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  document.body.append(link); // Firefox takes no click on a link outside the page
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading it
}

/**
 * Returns the answers of all models that read a film as indented JSON: {models: [...]}, as the
 * server's comparison has them, with `ensemble` where that answered, `film_name` where one is given,
 * and `masked`: what a model said with a part masked, where it was asked.
 */
export function answerFile(answers, filmName = null, masked = null) {
  const name = filmName === null ? {} : { film_name: filmName };
  const ensemble = answers.find(({ model }) => model.name === ENSEMBLE);
  const models = answers.filter((answer) => answer !== ensemble);
  const kept = { ...name, models, ...(ensemble && { ensemble }), ...(masked && { masked }) };
  const text = JSON.stringify(kept, null, 2);
  return new Blob([`${text}\n`], { type: "application/json" });
}

/** Returns a name without the film's: `vgg16-pneumonia-2026-11-28T22-40-00.png`, local time. */
export function fileName(parts, date, extension) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join("-");
  const safe = parts.map((part) => part.replace(/[^A-Za-z0-9_.]+/g, "_"));
  return `${[...safe, `${day}T${time}`].join("-")}.${extension}`;
}
