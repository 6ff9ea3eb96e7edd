// The link that carries model, latent point, tab and drawing; the browser's back and forward; undo and redo of moves.
(() => {
  const hf = window.hfvae;
  const { state } = hf;
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // Number() alone also takes "", "0x10" and "Infinity"
  const REACH = 4; // times the sliders' largest value: further out a link's point is a mistake
  const PAUSE = 300; // milliseconds, since browsers limit how often the address may change
  const MOVE_PAUSE = 500; // milliseconds between two moves that are undone one by one
  let due = null;

  hf.link = {
    problem: "", // what is wrong with the link that led here
    drawing: null, // the drawing in it, as text (strokes.js)
    tab: null,

    // Take over what the address says.
    read() {
      const query = new URLSearchParams(location.search);
      const named = query.get("model");
      const model = state.models.find((candidate) => candidate.name === named);
      if (model) state.model = model;
      else if (named) this.problem = hf.t("link.model", { name: named });
      this.tab = query.get("tab");
      state.z = state.anchor = hf.origin();
      if (named && !model) return;
      this.drawing = query.get("drawing");
      const z = point(query, state.model);
      if (z) Object.assign(state, { z, anchor: z, origin: "link" });
      else if (query.has("z")) {
        const { name, latentDim, span } = state.model;
        this.problem = hf.t("link.point", { name, count: latentDim, reach: REACH * span });
      }
    },
    address() {
      const url = new URL(location.href);
      const set = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
      set("model", state.model.name);
      set("z", state.z.map((value) => Number(value.toFixed(3))).join(","));
      set("tab", this.tab === "draw" ? null : this.tab);
      set("drawing", state.judged ? this.drawing : null);
      return url.href;
    },
    // The present address follows the point; an entry of the history with a pinned point stays as it is.
    write() {
      clearTimeout(due);
      due = setTimeout(() => record({}), PAUSE);
    },
    // Let the browser's back and forward lead to the present point.
    pin() {
      clearTimeout(due);
      record({ pinned: true });
    },
  };
  function record(entry) {
    history[history.state?.pinned ? "pushState" : "replaceState"](entry, "", hf.link.address());
  }

  // The latent point of an address, if there is one that fits the model.
  function point(query, { latentDim, span }) {
    const words = query.get("z")?.split(",");
    if (words?.length !== latentDim || !words.every((word) => NUMBER.test(word))) return null;
    const z = words.map(Number);
    return z.every((value) => Math.abs(value) <= REACH * span) ? z : null;
  }

  addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search);
    const model = state.models.find(({ name }) => name === query.get("model")) ?? state.model;
    const z = point(query, model);
    clearTimeout(due);
    if (z) hf.setModel(model.name, z, "link");
    clearTimeout(due); // the address is right already
  });

  // Moves of the latent point by anything but the pad, which undoes strokes.
  let past = [];
  let future = [];
  let last = 0;
  const here = () => ({ z: state.z, origin: state.origin });
  hf.moves = {
    note(origin) {
      const now = performance.now();
      future = [];
      if (origin === "draw") return;
      if (origin !== state.origin || now - last > MOVE_PAUSE) past.push(here());
      if (past.length > 200) past.shift();
      last = now;
    },
    clear: () => (past = future = []),
    undo: () => step(past, future),
    redo: () => step(future, past),
    get possible() {
      return { undo: past.length > 0, redo: future.length > 0 };
    },
  };
  function step(from, to) {
    const target = from.pop();
    if (!target) return;
    to.push(here());
    const kept = [past, future];
    [past, future] = [[], []]; // the step itself is not noted
    hf.setZ(target.z, target.origin);
    [past, future] = kept;
    last = 0;
    hf.notify("z");
  }

  // The keys for undo and redo: of strokes while the pad is on show, which sets `hf.strokeHistory`, else of moves.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, select");
    if (!(event.ctrlKey || event.metaKey) || typing) return;
    const steps = (document.querySelector("#pad")?.offsetParent && hf.strokeHistory) || hf.moves;
    const key = event.key.toLowerCase();
    if (key === "z") event.shiftKey ? steps.redo() : steps.undo();
    else if (key === "y") steps.redo();
    else return;
    event.preventDefault();
  });
})();
