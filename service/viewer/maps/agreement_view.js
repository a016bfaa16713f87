/** Shows how similar the models' maps of one class are. */

import { element } from "../page/elements.js";
import { agreement as words } from "./strings.js";

/** Fills a section with the agreement of each two models about a class; without any it is hidden. */
export function showAgreement(section, agreement, className) {
  const rows = agreement.filter((one) => one.class_name === className).map(agreementRow);
  section.hidden = rows.length === 0;
  section.replaceChildren(
    element("h2", { id: "agreement-heading", textContent: words.heading }),
    element("table", { className: "figures" }, [
      element("thead", {}, [element("tr", {}, words.columns.map(columnHeading))]),
      element("tbody", {}, rows),
    ]),
    element("p", { className: "hint", textContent: words.hint }),
  );
}

function columnHeading(textContent) {
  return element("th", { scope: "col", textContent });
}

function agreementRow({ models, rank_correlation: correlation, top_tenth_overlap: overlap }) {
  return element("tr", {}, [
    element("th", { scope: "row", textContent: words.pair(models) }),
    element("td", { textContent: words.correlation(correlation) }),
    element("td", { textContent: words.overlap(overlap) }),
  ]);
}
