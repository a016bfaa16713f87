/** Breaks text into lines, by a function that measures it. */

/**
 * Returns a text as lines of which `fits(line)` holds, broken at line ends and spaces, or inside a
 * word that is too long for a line. Of more than `most` lines the last ends with an ellipsis.
 */
export function textLines(text, fits, most = Infinity) {
  const all = text.split("\n").flatMap((part) => broken(part, fits));
  return all.length > most ? [...all.slice(0, most - 1), cut(all[most - 1], fits)] : all;
}

function broken(text, fits) {
  const lines = [""];
  for (const word of text.split(/[ \t\r]+/).flatMap((one) => pieces(one, fits))) {
    const longer = `${lines.at(-1)} ${word}`.trimStart();
    if (fits(longer)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function pieces(word, fits) {
  if (fits(word)) return [word];
  let end = 1;
  while (end < word.length && fits(word.slice(0, end + 1))) end++;
  return end < word.length ? [word.slice(0, end), ...pieces(word.slice(end), fits)] : [word];
}

function cut(line, fits) {
  let kept = line;
  while (kept && !fits(`${kept}\u2026`)) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}\u2026`;
}
