/** Offers the drawn samples to readers who have no film at hand. */

import { element } from "../page/elements.js";
import { sampleName, samples } from "./strings.js";

/** Fills a list with the drawn samples; `onSample` gets the key of the one that was chosen. */
export function offerSamples(list, onSample) {
  list.replaceChildren(...Object.keys(samples).map((key) => sampleItem(key, onSample)));
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
