/** Offers to save what is on the page: as a picture, a report, the answer, or a link. */

import { element } from "../page/elements.js";
import { save } from "./saving.js";
import { keeping as words } from "./strings.js";

export class KeepingView {
  #withName = element("input", { type: "checkbox" });
  #status = element("p", { className: "hint", role: "status" });
  #link = element("input", { type: "text", readOnly: true, ariaLabel: words.linkField });
  #callbacks;
  #busy = false;

  /**
   * Fills a container. `onPicture`, `onAnswer` and `onReport` get whether the reader wants the
   * file's name in it, and promise {blob, name} to save; `onLink` returns the view's address.
   */
  constructor(container, callbacks) {
    this.#callbacks = callbacks;
    container.classList.add("keeping");
    container.append(
      element("h2", { textContent: words.heading }),
      element("div", { className: "keeping-buttons" }, [
        this.#saving("picture", "onPicture"),
        this.#saving("answer", "onAnswer"),
        this.#saving("report", "onReport"),
        button(words.link, () => this.#copyLink()),
      ]),
      element("label", {}, [this.#withName, ` ${words.withName}`]),
      element("p", { className: "hint", textContent: words.nameHint }),
      this.#status,
      this.#link,
    );
    this.show();
  }

  /** Begins with a new film: nothing is kept yet, and its name is not asked for. */
  show() {
    this.#withName.checked = false;
    this.#say("");
  }

  #saving(what, callback) {
    return button(words[what].button, () => this.#save(words[what], callback));
  }

  async #save({ name: what }, callback) {
    if (this.#busy) return;
    this.#busy = true;
    this.#say(words.making(what));
    try {
      const { blob, name } = await this.#callbacks[callback](this.#withName.checked);
      save(blob, name);
      this.#say(words.saved(name));
    } catch (error) {
      console.error(error);
      this.#say(words.failed(what));
    } finally {
      this.#busy = false;
    }
  }

  /** Copies the link; where the browser forbids that, offers it to be copied by hand. */
  async #copyLink() {
    const link = this.#callbacks.onLink();
    try {
      await navigator.clipboard.writeText(link);
      this.#say(words.copied);
    } catch {
      this.#say(words.copyByHand);
      this.#link.hidden = false;
      this.#link.value = link;
      this.#link.select();
    }
  }

  #say(text) {
    this.#status.textContent = text;
    this.#link.hidden = true;
  }
}

function button(text, onClick) {
  const made = element("button", { type: "button", textContent: text });
  made.addEventListener("click", onClick);
  return made;
}
