// Keys that work on several tabs.
import { moves } from "./point.js";

/** @type {Record<string, [number, number]>} to the right and upwards */
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** @typedef {{ undo: () => void, redo: () => void }} History */
/** @type {History | null} */
let strokes = null;

/**
 * Let the keys undo strokes while the pad is on show.
 * @param {History} history
 */
export const undoStrokes = (history) => (strokes = history);

/** Ctrl-Z, Ctrl-Shift-Z and Ctrl-Y undo and redo moves of the latent point, or strokes. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    const typing = target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, select");
    if (!(event.ctrlKey || event.metaKey) || typing) return;
    const pad = /** @type {HTMLElement | null} */ (document.querySelector("#pad"));
    const steps = (pad?.offsetParent && strokes) || moves;
    const key = event.key.toLowerCase();
    if (key === "z") event.shiftKey ? steps.redo() : steps.undo();
    else if (key === "y") steps.redo();
    else return;
    event.preventDefault();
  });
}
