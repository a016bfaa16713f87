/**
 * Measures and encodes text in Helvetica, which every PDF reader has: nothing is embedded.
 *
 * Sizes are in points. Source of the widths: Adobe's Core 14 AFM files, codes 32 to 255 of
 * WinAnsiEncoding, in thousandths of the size.
 */

const HELVETICA =
  "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 " +
  "556 556 556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 " +
  "556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 " +
  "556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 " +
  "500 500 500 334 260 334 584 350 556 350 222 556 333 1000 556 556 333 1000 667 333 1000 " +
  "350 611 350 350 222 222 333 333 350 556 1000 333 1000 500 333 944 350 500 667 278 333 " +
  "556 556 556 556 260 556 333 737 370 556 584 333 737 333 400 584 333 333 333 556 537 278 " +
  "333 333 365 556 834 834 834 611 667 667 667 667 667 667 1000 722 667 667 667 667 278 278 " +
  "278 278 722 722 778 778 778 778 778 584 778 722 722 722 722 667 667 611 556 556 556 556 " +
  "556 556 889 500 556 556 556 556 278 278 278 278 556 556 556 556 556 556 556 584 611 556 " +
  "556 556 556 500 556 500";
const HELVETICA_BOLD =
  "278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 " +
  "556 556 556 556 333 333 584 584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 " +
  "611 833 722 778 667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556 333 556 " +
  "611 556 611 556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 333 611 556 778 " +
  "556 556 500 389 280 389 584 350 556 350 278 556 500 1000 556 556 333 1000 667 333 1000 " +
  "350 611 350 350 278 278 500 500 350 556 1000 333 1000 556 333 944 350 500 667 278 333 " +
  "556 556 556 556 280 556 333 737 370 556 584 333 737 333 400 584 333 333 333 611 556 278 " +
  "333 333 365 556 834 834 834 611 722 722 722 722 722 722 1000 722 667 667 667 667 278 278 " +
  "278 278 722 722 778 778 778 778 778 584 778 722 722 722 722 667 667 611 556 556 556 556 " +
  "556 556 889 556 556 556 556 556 278 278 278 278 611 611 611 611 611 611 611 584 611 611 " +
  "611 611 611 556 611 556";

const [REGULAR, BOLD] = [HELVETICA, HELVETICA_BOLD].map((text) => text.split(" ").map(Number));

/** The characters of WinAnsiEncoding from 0x80 to 0x9f; a space stands where it has none. */
const FROM_0X80 = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";

/** Characters that WinAnsiEncoding lacks, and those that replace them. */
const REPLACED = { "\u202f": "\u00a0", "\u2009": " ", "\u2212": "-", "≥": ">=", "≤": "<=" };

/** Returns the codes of a text in WinAnsiEncoding; a character that it lacks is a "?". */
export function codes(text) {
  const plain = text.normalize("NFC").replace(/./gsu, (letter) => REPLACED[letter] ?? letter);
  return Array.from(plain, code);
}

function code(letter) {
  const point = letter.codePointAt(0);
  if ((point >= 32 && point < 127) || (point >= 160 && point < 256)) return point;
  const at = FROM_0X80.indexOf(letter);
  return at < 0 ? 63 : 128 + at;
}

/** Returns the width of a line of text. */
export function textWidth(text, { size, bold = false }) {
  const widths = bold ? BOLD : REGULAR;
  return (codes(text).reduce((sum, at) => sum + widths[at - 32], 0) * size) / 1000;
}
