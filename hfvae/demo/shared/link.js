// The link that carries model, latent point, tab and drawing; the browser's back and forward; undo and redo of moves.
(() => {
  const hf = window.hfvae;
  const { state } = hf;
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // Number() alone also takes "", "0x10" and "Infinity"
  const PLACES = 5; // of a point's numbers: with 3, images were up to 5 grey levels off
  const REACH = 4; // times the sliders' largest value: further out a link's point is a mistake
  const LONGEST = 2400; // characters of a drawing in a link; some programs cut addresses of 4,000
  const ORIGINS = ["draw", "sliders", "map", "morph", "prior", "arithmetic"];
  const PAUSE = 300; // milliseconds, since browsers limit how often the address may change
  const MOVE_PAUSE = 500; // milliseconds between two moves that are undone one by one
  let due = null;

  hf.link = {
    problem: "", // what is wrong with the link that led here
    tab: null,

    // Take over what the address says, before any widget shows the state.
    arrive() {
      const query = new URLSearchParams(location.search);
      const { problem, model, z, origin, drawing } = parse(query, history.state?.drawing);
      this.problem = problem ?? "";
      this.tab = query.get("tab");
      if (model) state.model = model;
      state.z = state.anchor = z ?? hf.origin();
      Object.assign(state, { origin, drawing });
    },
    address() {
      const url = new URL(location.href);
      const set = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
      const placed = state.origin !== null;
      set("model", state.model.name);
      set("z", placed && state.z.map((value) => Number(value.toFixed(PLACES))).join(","));
      set("by", placed && state.origin);
      set("tab", this.tab === "draw" ? null : this.tab);
      set("drawing", this.holdsDrawing() && state.drawing);
      return url.href;
    },
    // Whether the address has room for what is on the pad.
    holdsDrawing: () => (state.drawing?.length ?? 0) <= LONGEST,
    // The present address follows the point; an entry of the history with a pinned point stays as it is.
    write() {
      clearTimeout(due);
      due = setTimeout(record, PAUSE, false);
    },
    // Let the browser's back and forward lead to the present point.
    pin() {
      record(true);
    },
  };
  // The history's entry has the whole drawing, for reloads and for back and forward.
  function record(pinned) {
    clearTimeout(due);
    due = null;
    const address = hf.link.address();
    const leaves = history.state?.pinned && !(atHere(address) && history.state.drawing === state.drawing);
    const entry = { pinned: pinned || (history.state?.pinned && !leaves), drawing: state.drawing };
    history[leaves ? "pushState" : "replaceState"](entry, "", address);
  }
  // Whether an address differs from the present one in nothing but the tab.
  function atHere(address) {
    const [one, other] = [address, location.href].map((href) => new URL(href));
    for (const url of [one, other]) url.searchParams.delete("tab");
    return one.href === other.href;
  }
  addEventListener("pagehide", () => due !== null && record(false));

  // What an address says, {model, z, origin, drawing}, and what is wrong with it; `kept` is the history's drawing. A point
  // is the drawing's own, origin "draw", only beside that drawing.
  function parse(query, kept) {
    const named = query.get("model");
    const model = named === null ? state.model : state.models.find(({ name }) => name === named);
    if (!model) return { problem: hf.t("link.model", { name: named }), origin: null, drawing: null };
    const text = kept ?? query.get("drawing");
    const drawing = hf.strokes.read(text) && text;
    const z = point(query, model);
    const by = query.get("by");
    const origin = z && (ORIGINS.includes(by) && (by !== "draw" || drawing) ? by : "link");
    const { name, latentDim, span } = model;
    const problems = [
      query.has("z") && !z && hf.t("link.point", { name, count: latentDim, reach: REACH * span }),
      text && !drawing && hf.t("link.drawing"),
    ];
    return { model, z, origin, drawing, problem: problems.filter(Boolean).join("\n") };
  }

  // The latent point of an address, if there is one that fits the model.
  function point(query, { latentDim, span }) {
    const words = query.get("z")?.split(",");
    if (words?.length !== latentDim || !words.every((word) => NUMBER.test(word))) return null;
    const z = words.map(Number);
    return z.every((value) => Math.abs(value) <= REACH * span) ? z : null;
  }

  addEventListener("popstate", (event) => {
    if (!event.state) return; // a link to a place in this page
    const { model, z, origin, drawing } = parse(new URLSearchParams(location.search), event.state.drawing);
    if (model) hf.restore(model, z, origin, drawing);
    clearTimeout(due); // the address is right already
    due = null;
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
