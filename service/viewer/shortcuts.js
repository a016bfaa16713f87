/** Everything that a key does, in one table; the help dialog is made from it. */

import { element } from "./bars.js";
import { shortcuts as words } from "./strings.js";

/** Keys that move in lists and sliders, where those have the focus. */
const MOVING = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", " ", "Enter"]);
const WRITING = "input:not([type=range], [type=radio], [type=checkbox], [type=file]), textarea, select";

/**
 * Calls the action of a key that was pressed.
 *
 * `actions` maps a key's name (`event.key`, letters small) to a function. Keys with Ctrl, Alt or
 * Meta are the browser's; keys in a text field are the field's.
 */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches?.(WRITING)) return;
    if (MOVING.has(event.key) && !isIdle(event)) return;
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Returns whether what has the focus does nothing with a key: sliders, chosen radio buttons. */
function isIdle({ target, key }) {
  const without = "[type=radio]:checked, [type=range]";
  return target === document.body || (key === " " && target.matches(without));
}

/** Shows the table of shortcuts in a dialog. */
export function showHelp(dialog) {
  const rows = Object.entries(words.keys).map(([keys, meaning]) =>
    element("tr", {}, [
      element("th", { scope: "row" }, keysOf(keys)),
      element("td", { textContent: meaning }),
    ]),
  );
  const close = element("button", { type: "button", textContent: words.close });
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("h2", { id: "help-heading", textContent: words.heading }),
    element("table", {}, [element("tbody", {}, rows)]),
    ...words.mouse.map((sentence) => element("p", { className: "hint", textContent: sentence })),
    close,
  );
  dialog.showModal();
}

function keysOf(keys) {
  return keys.split(" ").flatMap((key) => [element("kbd", { textContent: key }), " "]);
}
