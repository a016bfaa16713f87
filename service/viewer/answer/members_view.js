/** Shows what each network of an ensemble answers by itself, and how many agree with all together. */

import { element } from "../page/elements.js";
import { findingOf } from "./findings.js";
import { members as words } from "./strings.js";

/** Fills a section with the members' answers about a class; without any it is hidden. */
export function showMembers(section, together, answers, className) {
  section.hidden = answers.length === 0;
  section.replaceChildren(
    element("h2", { id: "members-heading", textContent: words.heading }),
    element("p", { textContent: words.agreeing(together, answers) }),
    element("table", { className: "figures" }, [
      element("thead", {}, [element("tr", {}, words.columns(className).map(columnHeading))]),
      element("tbody", {}, answers.map((answer) => memberRow(answer, findingOf(answer, className)))),
    ]),
  );
}

function columnHeading(textContent) {
  return element("th", { scope: "col", textContent });
}

function memberRow(answer, finding) {
  return element("tr", {}, [
    element("th", { scope: "row", textContent: answer.model.name }),
    element("td", { textContent: words.probability(finding) }),
    element("td", { textContent: words.verdict(answer) }),
  ]);
}
