// The page's address follows its state; the browser's back and forward lead to pinned points.
import { readAddress, writeAddress } from "./address.js";
import { state } from "./state.js";
import { t } from "./text.js";

const LONGEST = 2400; // characters of a drawing in a link; some programs cut addresses of 4,000
const PAUSE = 300; // milliseconds, since browsers limit how often the address may change
/** @type {number | undefined} */
let due; // the timer of the next record

export const link = {
  /** What is wrong with the link that led here. */
  problem: "",
  /** The tab that the address names. @type {string | null} */
  tab: null,

  /** Take over what the address says, before any widget shows the state. */
  arrive() {
    const query = new URLSearchParams(location.search);
    const { problems, model, z, origin, drawing } = here(history.state?.drawing);
    this.problem = problems.map(([key, values]) => t(key, values)).join("\n");
    this.tab = query.get("tab");
    if (model) state.model = model;
    state.z = state.anchor = z ?? Array.from(state.model.origin);
    Object.assign(state, { origin, drawing });
  },
  address() {
    const { model, z, origin, drawing } = state;
    return writeAddress(location.href, {
      model: model.name,
      z: origin && z,
      by: origin,
      tab: this.tab === "draw" ? null : this.tab,
      drawing: this.holdsDrawing() ? drawing : null,
    });
  },
  /** Whether the address has room for what is on the pad. */
  holdsDrawing: () => (state.drawing?.length ?? 0) <= LONGEST,
  /** The present address follows the point; an entry of the history with a pinned point stays as it is. */
  write() {
    clearTimeout(due);
    due = setTimeout(record, PAUSE, false);
  },
  /** Let the browser's back and forward lead to the present point. */
  pin: () => record(true),
};

/** @param {string | null | undefined} kept */
const here = (kept) => readAddress(new URLSearchParams(location.search), kept, state.models, state.model);

/**
 * The history's entry has the whole drawing, for reloads and for back and forward.
 * @param {boolean} pinned
 */
function record(pinned) {
  clearTimeout(due);
  due = undefined;
  const address = link.address();
  const leaves = history.state?.pinned && !(atHere(address) && history.state.drawing === state.drawing);
  const entry = { pinned: pinned || (history.state?.pinned && !leaves), drawing: state.drawing };
  history[leaves ? "pushState" : "replaceState"](entry, "", address);
}

/**
 * Whether an address differs from the present one in nothing but the tab.
 * @param {string} address
 */
function atHere(address) {
  const [one, other] = [address, location.href].map((href) => new URL(href));
  for (const url of [one, other]) url.searchParams.delete("tab");
  return one.href === other.href;
}

/**
 * Follow the browser's back and forward.
 * @param {(model: import("./types").Model, z: number[] | null, origin: import("./types").Origin | null,
 *   drawing: string | null) => void} restore
 */
export function followHistory(restore) {
  addEventListener("pagehide", () => due !== undefined && record(false));
  addEventListener("popstate", (event) => {
    if (!event.state) return; // a link to a place in this page
    const { model, z, origin, drawing } = here(event.state.drawing);
    if (model) restore(model, z, origin, drawing);
    clearTimeout(due); // the address is right already
    due = undefined;
  });
}
