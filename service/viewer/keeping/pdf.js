/**
 * Writes a PDF 1.7 file of one A4 page: text, lines, rectangles and JPEG pictures.
 *
 * Positions are in points from the upper left corner; colours are "#rrggbb". A reader meets the
 * parts in the order in which they were added. Source: ISO 32000-1:2008, chapters 7 to 9.
 */

import { codes, textWidth } from "./helvetica.js";
import { textLines } from "./text_lines.js";

export const PAGE = { width: 595.28, height: 841.89 };

const FONTS = ["Helvetica", "Helvetica-Bold"];

export class PdfPage {
  #content = [];
  #pictures = [];

  /** Adds one line of text with its baseline at y; `align` says which end of it is at x. */
  text(words, x, y, { size, bold = false, colour = "#000000", align = "left" }) {
    const start = align === "right" ? x - textWidth(words, { size, bold }) : x;
    const place = `1 0 0 1 ${numbers(start, PAGE.height - y)} Tm`;
    const font = `/F${bold ? 1 : 0} ${numbers(size)} Tf`;
    this.#content.push(`BT ${font} ${numbers(...rgb(colour))} rg ${place} ${literal(words)} Tj ET`);
  }

  /**
   * Adds text wrapped to `width`, its first line's top at y; returns the y under the last line.
   * Of more than `lines` lines the last ends with an ellipsis.
   */
  paragraph(words, x, y, width, { size, leading = 1.3 * size, lines, ...look }) {
    const fits = (line) => textWidth(line, { size, bold: look.bold }) <= width;
    const all = textLines(words, fits, lines);
    all.forEach((line, at) => this.text(line, x, y + 0.8 * size + at * leading, { size, ...look }));
    return y + all.length * leading;
  }

  /** Adds a filled rectangle whose upper left corner is (x, y). */
  rectangle(x, y, width, height, colour) {
    const box = numbers(x, PAGE.height - y - height, width, height);
    this.#content.push(`${numbers(...rgb(colour))} rg ${box} re f`);
  }

  /** Adds a line from (x, y) to (toX, toY). */
  line(x, y, toX, toY, { colour, thickness = 0.5 }) {
    const path = `${numbers(x, PAGE.height - y)} m ${numbers(toX, PAGE.height - toY)} l S`;
    this.#content.push(`${numbers(...rgb(colour))} RG ${numbers(thickness)} w ${path}`);
  }

  /** Adds a colour JPEG {bytes: Uint8Array, columns, rows}, stretched to the given size. */
  picture(jpeg, x, y, width, height) {
    const matrix = numbers(width, 0, 0, height, x, PAGE.height - y - height);
    this.#content.push(`q ${matrix} cm /P${this.#pictures.push(jpeg) - 1} Do Q`);
  }

  /** Returns the file; `language` is a code such as "en-GB". */
  blob({ title, creator, date, language }) {
    const pictures = this.#pictures.map(pictureObject);
    const content = stream("", bytes(this.#content.join("\n")));
    const fonts = FONTS.map(fontObject);
    const firstPicture = 5 + fonts.length;
    const resources =
      `/Font << ${FONTS.map((_, at) => `/F${at} ${5 + at} 0 R`).join(" ")} >> ` +
      `/XObject << ${pictures.map((_, at) => `/P${at} ${firstPicture + at} 0 R`).join(" ")} >>`;
    const objects = [
      `<< /Type /Catalog /Pages 2 0 R /Lang (${language}) ` +
        "/ViewerPreferences << /DisplayDocTitle true >> >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${numbers(PAGE.width, PAGE.height)}] ` +
        `/Contents 4 0 R /Resources << ${resources} >> >>`,
      content,
      ...fonts,
      ...pictures,
      `<< /Title ${unicode(title)} /Creator ${unicode(creator)} /CreationDate (${when(date)}) >>`,
    ];
    return new Blob(file(objects), { type: "application/pdf" });
  }
}

/** Returns the file's parts: header, numbered objects, their places, trailer. */
function file(objects) {
  const parts = [bytes("%PDF-1.7\n"), new Uint8Array([37, 0xe2, 0xe3, 0xcf, 0xd3, 10])];
  const length = () => parts.reduce((sum, part) => sum + part.length, 0);
  const places = objects.map((body, at) => {
    const place = length();
    parts.push(bytes(`${at + 1} 0 obj\n`), ...[body].flat().map(bytes), bytes("\nendobj\n"));
    return `${String(place).padStart(10, "0")} 00000 n \n`;
  });
  const size = objects.length + 1;
  const start = length();
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${places.join("")}`;
  const trailer = `trailer\n<< /Size ${size} /Root 1 0 R /Info ${objects.length} 0 R >>\n`;
  return [...parts, bytes(`${table}${trailer}startxref\n${start}\n%%EOF\n`)];
}

function fontObject(name) {
  return `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
}

function pictureObject({ bytes: jpeg, columns, rows }) {
  const size = `/Width ${columns} /Height ${rows} /BitsPerComponent 8`;
  const entries = `/Type /XObject /Subtype /Image ${size} /ColorSpace /DeviceRGB`;
  return stream(`${entries} /Filter /DCTDecode `, jpeg);
}

function stream(entries, body) {
  return [`<< ${entries}/Length ${body.length} >>\nstream\n`, body, "\nendstream"];
}

/** Returns a text as the bytes of its codes; bytes stay as they are. */
function bytes(part) {
  return typeof part === "string" ? new TextEncoder().encode(part) : part;
}

/** Returns a string of the page's fonts, in ASCII. */
function literal(text) {
  const letters = codes(text).map((code) => {
    if (code > 126) return `\\${code.toString(8)}`;
    const letter = String.fromCharCode(code);
    return "()\\".includes(letter) ? `\\${letter}` : letter;
  });
  return `(${letters.join("")})`;
}

/** Returns a string of the file's own facts, which may hold any character. */
function unicode(text) {
  const units = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  return `<feff${units.map((unit) => unit.toString(16).padStart(4, "0")).join("")}>`;
}

function when(date) {
  return `D:${date.toISOString().slice(0, 19).replace(/[-T:]/g, "")}Z`;
}

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
}

function numbers(...values) {
  return values.map((value) => Number(value.toFixed(3))).join(" ");
}
