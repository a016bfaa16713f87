/** Draws bars: a value against the threshold that decides about it, and the progress of an upload. */

import { element } from "./elements.js";

/** Returns a bar whose length is `value` and whose tick is `threshold`, both in [0, 1]. */
export function thresholdBar(value, threshold) {
  const bar = element("span", { className: "threshold-bar" });
  bar.ariaHidden = "true"; // the words beside it say the same
  bar.style.setProperty("--value", value);
  bar.style.setProperty("--threshold", threshold);
  bar.append(element("span", { className: "length" }), element("span", { className: "tick" }));
  return bar;
}

/** Shows on a progress element which share of a film was sent; while it is read, it only moves. */
export function showShare(bar, sent) {
  if (sent === null || sent === 1) bar.removeAttribute("value");
  else bar.value = sent;
}
