/** Takes films in: from the file dialogue, dropped anywhere on the page, or a drawn sample. */

import { element } from "./bars.js";
import { sampleName, samples } from "./strings.js";

/** Calls `onFiles` with a non-empty array of Files that were picked or dropped. */
export function takeFiles({ input, dropHere, onFiles }) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same film can be picked again
    if (files.length) onFiles(files);
  });
  takeDrops({ dropHere, onFiles });
}

/** Fills a list with the drawn samples; `onSample` gets the key of the one that was chosen. */
export function offerSamples(list, onSample) {
  list.replaceChildren(...Object.keys(samples).map((key) => sampleItem(key, onSample)));
}

function takeDrops({ dropHere, onFiles }) {
  let depth = 0; // dragenter and dragleave fire for every element on the way
  const count = (step) => {
    depth = Math.max(0, step === 0 ? 0 : depth + step);
    dropHere.hidden = depth === 0;
  };
  addEventListener("dragenter", () => count(1));
  addEventListener("dragleave", () => count(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault(); // or the browser would open the file itself
    count(0);
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(files);
  });
}

function sampleItem(key, onSample) {
  const picture = element("img", {
    src: `samples/${key}.png`,
    alt: "",
    width: 96,
    height: 96,
    draggable: false,
  });
  const button = element("button", { type: "button", title: sampleName(key) }, [
    picture,
    element("span", { textContent: samples[key] }),
  ]);
  button.dataset.sample = key;
  button.addEventListener("click", () => onSample(key));
  return element("li", {}, [button]);
}
