/** Shows how unlike the training films a film is, and its acquisition, beside validation films. */

import { lacksLungs } from "../page/strings.js";
import { thresholdBar } from "../page/bars.js";
import { element } from "../page/elements.js";
import { distance as distanceWords, facts, novelty as noveltyWords } from "./strings.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 48;
const ARROW = 6; // half the width of the arrow that points at this film

/**
 * Fills a container with the film's distance: the validation films as a bar chart, with the limit
 * and this film marked, and the same as text. While the card is null, a plain bar stands there.
 */
export function showDistance(container, answer, card = null) {
  const { distance, distance_threshold: limit, refusals } = answer;
  const said = [refusals.includes("distance") ? facts.unlike(limit) : facts.like(limit)];
  if (lacksLungs(answer)) said.push(facts.noLungs);
  show(container, distance, limit, card?.distance_histogram, said, distanceWords);
}

/** Fills a container with the film's novelty in the same way; the model may have no limit for it. */
export function showNovelty(container, answer, card = null) {
  const { novelty, novelty_threshold: limit, refusals } = answer;
  if (typeof limit !== "number") {
    container.replaceChildren(facts.novelty[1](novelty), ` ${facts.unlimited}`);
    return;
  }
  const said = [refusals.includes("novelty") ? facts.novel(limit) : facts.known(limit)];
  show(container, novelty, limit, card?.novelty_histogram, said, noveltyWords);
}

function show(container, value, limit, histogram, said, words) {
  const place = histogram ? [words.place(shareBeyond(histogram, value))] : [];
  container.replaceChildren(
    facts.distance[1](value),
    ...(histogram ? [chart(histogram, value, limit, words), key(words)] : [plainBar(value, limit)]),
    element("span", { className: "decision", textContent: [...said, ...place].join(", ") }),
  );
}

/**
 * Returns the share, in [0, 1], of a histogram's films that lie beyond a distance.
 *
 * The films of a bin count as spread evenly over it.
 */
export function shareBeyond({ edges, counts }, distance) {
  const beyond = (count, index) => {
    const [low, high] = [edges[index], edges[index + 1]];
    return count * clamp((high - distance) / (high - low), 0, 1);
  };
  return sum(counts.map(beyond)) / sum(counts);
}

/** Returns a bar with the limit in its middle. */
function plainBar(distance, limit) {
  return thresholdBar(Math.min(1, distance / (2 * limit)), 0.5);
}

/** Returns the chart; a film beyond twice the limit is shown at its end. */
function chart({ edges, counts }, distance, limit, words) {
  const end = Math.max(edges.at(-1), limit, Math.min(distance, 2 * limit));
  const x = (value) => (clamp(value, 0, end) / end) * WIDTH;
  const tallest = Math.max(...counts);
  const bars = counts.map((count, index) => {
    const height = (count / tallest) * (HEIGHT - ARROW);
    const [left, right] = [x(edges[index]), x(edges[index + 1])];
    return svg("rect", { x: left, width: right - left, y: HEIGHT - height, height });
  });
  const drawing = svg("svg", { class: "distance-chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, [
    ...bars,
    limitMark(x(limit)),
    filmMark(x(distance)),
  ]);
  drawing.role = "img";
  drawing.ariaLabel = words.chart(distance, limit);
  return drawing;
}

/** Returns what the two marks of the chart are; its label says it to screen readers. */
function key(words) {
  const entry = (mark, name) => {
    const sample = svg("svg", { viewBox: `0 0 ${2 * ARROW} ${2 * ARROW}` }, [mark]);
    return element("span", {}, [sample, name]);
  };
  const made = element("span", { className: "distance-key" }, [
    entry(filmMark(ARROW), words.film),
    entry(limitMark(ARROW), words.limit),
    words.bars,
  ]);
  made.ariaHidden = "true";
  return made;
}

function limitMark(x) {
  return svg("line", { class: "limit", x1: x, x2: x, y1: 0, y2: HEIGHT });
}

function filmMark(x) {
  const arrow = `M${x - ARROW} 0h${2 * ARROW}L${x} ${1.5 * ARROW}z`;
  return svg("path", { class: "film", d: `${arrow}M${x} 0V${HEIGHT}` });
}

function svg(tag, attributes, children = []) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
