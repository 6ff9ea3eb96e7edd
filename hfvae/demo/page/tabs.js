// Gradio's tabs.
export const TABS = ["draw", "sliders", "map", "compare"];

/** The tab that is open, once the tabs are there. */
export function openedTab() {
  const tab = /** @type {HTMLElement | null} */ (document.querySelector("[role=tab][aria-selected=true]"));
  return tab?.dataset.tabId ?? null;
}

/**
 * Open a tab, which may be in the menu of those that did not fit; whether it was there.
 * @param {string} name
 */
export function openTab(name) {
  const shown = document.querySelectorAll("[role=tab]").length;
  /** @type {NodeListOf<HTMLElement>} */
  const more = document.querySelectorAll(".overflow-dropdown button");
  const button = document.getElementById(`${name}-tab-button`) ?? more[TABS.indexOf(name) - shown];
  button?.click();
  return Boolean(button);
}
