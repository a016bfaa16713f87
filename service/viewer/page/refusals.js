/** Tells why a film is refused, from the `refusals` of an answer. */

/** Returns whether a film is refused because no plausible lungs were found on it. */
export function lacksLungs({ refusals }) {
  return refusals.includes("lungs");
}

/** Returns why a film is refused. */
export function refused(answer) {
  return lacksLungs(answer) ? "No plausible lungs found" : "Unlike the films this model knows";
}
