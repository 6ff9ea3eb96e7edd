// What the page says besides its content: a message, a word on a button, a dimmed answer.
import { t } from "./text.js";

const OUTDATED = 1500; // milliseconds that the answer about a drawing may stay, dimmed, when the drawing has changed

/**
 * Show a message at the foot of the window, or take it away.
 * @param {string} [text]
 */
export function say(text = "") {
  const toast = document.querySelector("#toast");
  if (toast && toast.textContent !== text) toast.textContent = text;
}

/**
 * For screen readers.
 * @param {string} text
 */
export function announce(text) {
  const region = document.querySelector("#announcements");
  if (region) region.textContent = text;
}

/**
 * Say on a button, for a moment, that it has done something.
 * @param {HTMLElement | null} button
 * @param {string} text
 */
export function confirm(button, text) {
  if (!button || button.dataset.label) return;
  const label = button.querySelector("span") ?? button;
  const before = label.textContent ?? "";
  button.dataset.label = before;
  label.textContent = text;
  announce(text);
  setTimeout(() => {
    label.textContent = before;
    delete button.dataset.label;
  }, 1500);
}

/**
 * Copy a text, and say so on the button.
 * @param {string} text
 * @param {HTMLElement} button
 */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    confirm(button, t("copied"));
  } catch {
    say(t("copy.refused", { text })); // an insecure origin, or no permission
  }
}

/** @type {Map<HTMLElement, number>} element -> timer */
const outdated = new Map();

/**
 * What an element says is about something that has changed: dim it (style.css), and `clear` it if it is not `renewed` soon.
 * @param {HTMLElement} element
 * @param {() => void} clear
 */
export function outdate(element, clear) {
  if (outdated.has(element)) return;
  element.dataset.outdated = "true";
  const timer = setTimeout(() => {
    renewed(element);
    clear();
  }, OUTDATED);
  outdated.set(element, timer);
}

/** @param {HTMLElement} element */
export function renewed(element) {
  clearTimeout(outdated.get(element));
  outdated.delete(element);
  delete element.dataset.outdated;
}
