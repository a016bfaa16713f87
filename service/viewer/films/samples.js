/** Offers sample films to readers who have none at hand. */

import { element } from "../page/elements.js";
import { sampleName, samples } from "./strings.js";

/** Fills a list with the samples; `onSample` gets the file name of the one that was chosen. */
export function offerSamples(list, onSample) {
  list.replaceChildren(...Object.keys(samples).map((file) => sampleItem(file, onSample)));
}

function sampleItem(file, onSample) {
  const { label, credit } = samples[file];
  const picture = element("img", {
    src: `samples/small/${file.replace(/\w+$/, "jpg")}`,
    alt: "",
    width: 96,
    height: 96,
    draggable: false,
  });
  const button = element("button", { type: "button", title: `${sampleName(file)} (${credit})` }, [
    picture,
    element("span", { textContent: label }),
    element("small", { className: "only-empty", textContent: credit }),
  ]);
  button.dataset.sample = file;
  button.addEventListener("click", () => onSample(file));
  return element("li", {}, [button]);
}
