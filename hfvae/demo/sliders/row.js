// A slider with its name, its value, and a picture of what each end leads to.
import { newCanvas } from "../page/pictures.js";
import { number } from "../page/text.js";

/**
 * @param {string} text
 * @param {number} reach the values are from -reach to reach
 * @param {(value: number) => void} move
 */
export function row(text, reach, move) {
  const label = document.createElement("label");
  label.className = "hf-slider";
  const range = { type: "range", min: String(-reach), max: String(reach), step: "any", value: "0" };
  const input = Object.assign(document.createElement("input"), range);
  const name = Object.assign(document.createElement("span"), { textContent: text });
  input.addEventListener("input", () => move(Number(input.value)));
  const thumbnail = () => Object.assign(newCanvas(28, 28), { className: "hf-thumbnail hf-blank", ariaHidden: "true" });
  label.append(name, thumbnail(), input, thumbnail(), document.createElement("output"));
  return label;
}

/**
 * The row of a slider.
 * @param {HTMLInputElement} input
 */
export const rowOf = (input) => /** @type {HTMLElement} */ (input.parentElement);

/**
 * @param {HTMLInputElement} input
 * @param {number} value
 */
export function set(input, value) {
  if (Math.abs(Number(input.value) - value) > 1e-6) input.value = String(value);
  const output = rowOf(input).querySelector("output");
  if (output) output.textContent = number(value, 2);
}
