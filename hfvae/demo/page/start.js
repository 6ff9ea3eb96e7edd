// How a widget starts. Its module's default export is `widget(function)`, which hfvae/demo/widget.py calls.
import { listenToKeys } from "./keys.js";
import { followHistory, link } from "./link.js";
import { keep, restore, setZ, startPoint } from "./point.js";
import { state } from "./state.js";
import { openTab } from "./tabs.js";
import { loadTexts, translate } from "./text.js";

/**
 * @typedef {import("./types").Props} Props
 * @typedef {import("./types").Server} Server
 */

/** @type {Promise<void> | undefined} */
let started;

/**
 * The page as a whole starts with its first widget.
 * @param {Props} props
 * @param {Server} server
 * @param {string} root
 */
async function start({ models, languages, routed }, server, root) {
  await loadTexts(languages);
  startPoint(models, server, routed ? root : null);
  followHistory(restore);
  listenToKeys();
  Object.assign(window, { hfvae: { state, setZ, link, openTab } }); // for tests and consoles; modules import what they need
}

/**
 * @param {(widget: import("./types").Widget) => void} run fills the widget with life, once the page has its texts and its state
 */
export function widget(run) {
  /**
   * @param {HTMLElement} element the widget's own
   * @param {Props} props
   * @param {Server} server its Python functions
   * @param {string} root the address of the app
   */
  return async (element, props, server, root) => {
    await (started ??= start(props, server, root));
    translate(element);
    element.addEventListener("click", (event) => {
      const button = /** @type {Element} */ (event.target).closest("[data-keep], [data-open]");
      if (!(button instanceof HTMLElement)) return;
      const { keep: end, open } = button.dataset;
      if (end === "a" || end === "b" || end === "c") keep(end, button);
      if (open) openTab(open);
    });
    element.dataset.started = "true";
    run({ element, find: finder(element), props, server });
  };
}

/**
 * @param {HTMLElement} element
 * @returns {import("./types").Find}
 */
function finder(element) {
  /**
   * @template {Element} T
   * @param {string} selector
   * @param {new () => T} [kind]
   */
  return (selector, kind) => {
    const found = element.querySelector(selector);
    if (!(found instanceof (kind ?? HTMLElement))) throw new Error(`${element.id || "the widget"} has no ${selector}`);
    return /** @type {any} */ (found);
  };
}
