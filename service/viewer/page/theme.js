/** Switches the page between a theme for a dark reading room and one for a light room. */

const KEY = "theme";
const THEMES = ["dark", "light"];

/** Sets a theme: by default the one that was chosen last, or dark if none was. */
export function takeUpTheme(theme = localStorage.getItem(KEY)) {
  document.documentElement.dataset.theme = THEMES.includes(theme) ? theme : THEMES[0];
}

/** Changes to the other theme. */
export function switchTheme() {
  const { theme } = document.documentElement.dataset;
  const other = THEMES.find((one) => one !== theme);
  localStorage.setItem(KEY, other);
  takeUpTheme(other);
}
