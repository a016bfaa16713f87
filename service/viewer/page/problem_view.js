/** Shows a problem: what went wrong, and what the reader can do about it. */

import { problem as words } from "./strings.js";

/** HTTP statuses (0: no answer at all) after which the same film may well succeed. */
export const WORTH_A_RETRY = new Set([0, 401, 408, 429, 500, 502, 503, 504]);

/** Shows a problem (an `ApiProblem`). */
export function showProblem(elements, { title, detail, status, requestId }) {
  elements.title.textContent = title;
  elements.detail.textContent = detail;
  elements.wayOut.textContent = words.wayOut[status] ?? words.wayOutElse;
  elements.request.textContent = requestId ? words.request(requestId) : "";
  elements.retry.textContent = words.retry;
  elements.retry.hidden = !WORTH_A_RETRY.has(status);
  elements.box.hidden = false;
}
