// The page's texts: one file of them a language (strings/), by the browser's language, English where it has none.

let language = "en";
/** @type {Record<string, string>} */
let texts = {};

/**
 * Fetch the texts, before any is used.
 * @param {string[]} languages those that there are
 */
export async function loadTexts(languages) {
  const spoken = navigator.language; // as Gradio, which writes the names of tabs, has it
  language = [spoken, spoken.split("-")[0]].find((name) => languages.includes(name)) ?? "en";
  const answer = await fetch(new URL(`strings/${language}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url} was answered with ${answer.status}`);
  texts = await answer.json();
  document.documentElement.lang = language;
}

/**
 * The text of a key; {name} in it is replaced by values.name.
 * @param {string} key
 * @param {Record<string, any>} values
 * @returns {string}
 */
export const t = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** @type {Map<number, Intl.NumberFormat>} places -> format: making one takes longer than using it */
const formats = new Map();

/** A number as the language writes it. */
export function number(/** @type {number} */ value, places = 0) {
  let format = formats.get(places);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: places, maximumFractionDigits: places });
    formats.set(places, format);
  }
  return format.format(value);
}

/**
 * Fill in the texts of a widget's markup: data-t for the content, data-t-label and data-t-title for attributes.
 * @param {HTMLElement} element
 */
export function translate(element) {
  /** @type {(name: string) => NodeListOf<HTMLElement>} */
  const marked = (name) => element.querySelectorAll(`[${name}]`);
  for (const it of marked("data-t")) it.textContent = t(it.dataset.t ?? "");
  for (const it of marked("data-t-label")) it.ariaLabel = t(it.dataset.tLabel ?? "");
  for (const it of marked("data-t-title")) it.title = t(it.dataset.tTitle ?? "");
}
