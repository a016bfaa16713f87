/** The light of the page: a dark reading room, or a light one. */

const KEY = "theme";
const THEMES = ["dark", "light"];

/** Takes up a theme, the one that was chosen last; dark if none was. */
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
