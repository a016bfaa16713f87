/** Finds the page's elements by their id, and makes new ones. */

/** Returns the element with this id. */
export const at = (id) => document.getElementById(id);

/** Returns a new element with these properties and children. */
export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
