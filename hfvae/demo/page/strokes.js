// Drawings: strokes and pictures that a link can hold exactly, and their text. What is on the pad is kept in this form from
// the start, so that a drawing that was written and read again is the same to the pixel.
import { base64, bytes } from "./bytes.js";

/**
 * @typedef {import("./types").Mark} Mark
 * @typedef {import("./types").Stroke} Stroke
 */

const STEP = 5; // pad pixels between two points of a stroke
const MARGIN = 60; // how far a stroke may leave the pad, in pad pixels
export const SIDE = 280; // of the pad, in pixels
const DIGITS = 36 ** 2; // numbers that two base-36 characters tell apart; negative ones count down from it
const PICTURE = "I"; // what the text of a picture begins with
const STROKE = /^([0-9a-z]{2}){3,}$/;
const LEVELS = /^I[A-Za-z0-9._]{1046}$/; // base64 of 784 bytes, with characters that an address leaves as they are

/** @param {number} value */
const within = (value) => Math.max(-MARGIN, Math.min(SIDE + MARGIN, Math.round(value)));
/** @param {number} value */
const pair = (value) => ((value + DIGITS) % DIGITS).toString(36).padStart(2, "0");
/** @param {string} text */
const number = (text) => {
  const value = parseInt(text, 36);
  return value >= DIGITS - MARGIN ? value - DIGITS : value;
};

/**
 * @param {number} width
 * @param {[number, number]} place
 * @returns {Stroke}
 */
export const beginStroke = (width, [x, y]) => ({ width, points: [[within(x), within(y)]] });

/**
 * Lead a stroke to a point; its last one is replaced if it is closer than STEP to the one before.
 * @param {Stroke} stroke
 * @param {[number, number]} place
 */
export function extendStroke({ points }, [x, y]) {
  const [before, last] = points.slice(-2);
  if (last && Math.hypot(last[0] - before[0], last[1] - before[1]) < STEP) points.pop();
  points.push([within(x), within(y)]);
}

/**
 * Marks as text; null if there are none. A picture hides all marks before it.
 * @param {Mark[]} marks
 */
export function writeMarks(marks) {
  const first = marks.findLastIndex((mark) => "levels" in mark);
  return marks.slice(Math.max(first, 0)).map(writeMark).join("-") || null;
}

/**
 * Text as marks, or null if it is not such a text.
 * @param {string | null} text
 */
export function readMarks(text) {
  const marks = (text ?? "").split("-").map(readMark);
  return marks.every((mark) => mark !== null) ? marks : null;
}

/** @param {Mark} mark */
function writeMark(mark) {
  if (!("levels" in mark)) return [mark.width, ...mark.points.flat()].map(pair).join("");
  return PICTURE + base64(mark.levels).slice(0, 1046).replaceAll("+", ".").replaceAll("/", "_");
}

/**
 * @param {string} text
 * @returns {Mark | null}
 */
function readMark(text) {
  if (LEVELS.test(text)) return { levels: bytes(text.slice(1).replaceAll(".", "+").replaceAll("_", "/") + "==") };
  if (!STROKE.test(text)) return null;
  const [width, ...numbers] = (text.match(/../g) ?? []).map(number);
  /** @type {[number, number][]} */
  const points = Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
  return width >= 1 && width <= 60 ? { width, points } : null;
}
