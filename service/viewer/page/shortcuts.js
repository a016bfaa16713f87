/** Calls the action of a key that is pressed, and shows the table of keys in a dialog. */

import { element } from "./elements.js";
import { page, shortcuts as words } from "./strings.js";

const WRITING = "input:not([type=range], [type=radio], [type=checkbox], [type=file]), textarea, select";
/** The entry of the local storage that switches single keys off (WCAG 2.1.4: for speech input). */
const OFF = "keys-off";

/**
 * Calls the action of a key that was pressed.
 *
 * `actions` maps a key's name (`event.key`, letters small, arrows with "Shift" before them where it
 * is held) to a function. Keys with Ctrl, Alt or Meta are the browser's.
 */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (isTaken(event) || (event.key.length === 1 && localStorage.getItem(OFF))) return;
    const action = actions[nameOf(event)];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function nameOf({ key, shiftKey }) {
  if (key.startsWith("Arrow")) return shiftKey ? `Shift${key}` : key;
  return key.length === 1 ? key.toLowerCase() : key;
}

/** Returns whether what has the focus takes a key itself: fields all, sliders arrows, buttons Space. */
function isTaken({ target, key, shiftKey }) {
  if (target.matches(WRITING)) return true;
  if (key === " ") return target.matches("button, a, input:not([type=radio]:checked, [type=range])");
  return key.startsWith("Arrow") && target.closest(shiftKey ? "input" : "input, ol") !== null;
}

/** Shows the table of shortcuts in a dialog. */
export function showHelp(dialog) {
  const rows = Object.entries(words.keys).map(([keys, meaning]) =>
    element("tr", {}, [
      element("th", { scope: "row" }, keysOf(keys)),
      element("td", { textContent: meaning }),
    ]),
  );
  const close = element("button", { type: "button", autofocus: true, textContent: words.close });
  close.addEventListener("click", () => dialog.close());
  const on = element("input", { type: "checkbox", checked: !localStorage.getItem(OFF) });
  on.addEventListener("change", () => localStorage.setItem(OFF, on.checked ? "" : OFF));
  dialog.replaceChildren(
    element("h2", { id: "help-heading", textContent: words.heading }),
    element("table", {}, [element("tbody", {}, rows)]),
    ...words.mouse.map((sentence) => element("p", { className: "hint", textContent: sentence })),
    element("p", {}, [element("label", {}, [on, " ", words.on])]),
    element("p", { className: "hint", textContent: page.researchOnly }),
    close,
  );
  dialog.showModal();
  dialog.scrollTop = 0;
}

function keysOf(keys) {
  return keys.split(" ").flatMap((key) => [element("kbd", { textContent: key }), " "]);
}
