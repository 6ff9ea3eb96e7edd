// From one kept point to another, and arithmetic with three of them.
import { bytes } from "../page/bytes.js";
import { latest } from "../page/calls.js";
import { fileName, paint, renderStrip, saveAs } from "../page/pictures.js";
import { decodeAll, setZ } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, state } from "../page/state.js";
import { t } from "../page/text.js";
import { along, circle, line } from "./paths.js";

/** @typedef {import("../page/types").End} End */

const STEPS = 9; // pictures of the film
const PATH_STEPS = 25; // points of a path that Python computes
const SECONDS = 3; // from A to B and back

export default widget(({ find, server }) => {
  const scrubber = find("#scrubber", HTMLInputElement);
  const film = find("#film");
  const play = find("[data-do=play]", HTMLButtonElement);
  const kind = find("[data-do=path]", HTMLSelectElement);
  const gif = find("[data-do=gif]", HTMLButtonElement);
  const arithmetic = find("[data-do=arithmetic]", HTMLButtonElement);
  let playing = false;
  /** @type {number[][] | null} */
  let basePath = null; // points of the path through the prior's base space

  /**
   * The point a share t of the way from A to B.
   * @param {End} a
   * @param {End} b
   * @param {number} t
   */
  function at({ z: a }, { z: b }, t) {
    if (kind.value === "circle") return circle(a, b, t);
    return kind.value === "base" && basePath ? along(basePath, t) : line(a, b, t);
  }

  const askPath = latest(
    (request) => server.base_path(request),
    ({ z }, { a }) => {
      if (a !== state.ends.a?.z) return; // another A meanwhile
      basePath = z;
      show();
    },
  );
  const renderFilm = latest(
    ({ points }) => decodeAll(points),
    ({ images }) => {
      if (!images || !state.ends.b) return;
      /** @param {number} i */
      const title = (i) => t("morph.step", { share: Math.round((100 * i) / (STEPS - 1)) });
      renderStrip(film, images, title, (i) => go(i / (STEPS - 1)));
    },
  );

  /** @param {number} share */
  function go(share) {
    const { a, b } = state.ends;
    if (!a || !b) return;
    scrubber.value = String(share);
    setZ(at(a, b, share), "morph");
  }
  function stop() {
    playing = false;
    play.textContent = t("morph.play");
  }
  function show() {
    const { a, b, c } = state.ends;
    stop();
    for (const [end, kept] of Object.entries(state.ends)) paint(find(`[data-keep=${end}] canvas`, HTMLCanvasElement), kept?.image);
    for (const control of [scrubber, play, kind, gif]) control.disabled = !a || !b;
    arithmetic.disabled = !a || !b || !c;
    find(".hf-hint-morph").textContent = t(a && b ? "morph.hint" : a ? "morph.hint.b" : b ? "morph.hint.a" : "morph.hint.both");
    if (!a || !b) return film.replaceChildren();
    renderFilm({ model: state.model.name, points: Array.from({ length: STEPS }, (_, i) => at(a, b, i / (STEPS - 1))) });
  }
  // The ends have changed, or the kind of path.
  function renew() {
    const { a, b } = state.ends;
    basePath = null;
    show();
    if (a && b && kind.value === "base") askPath({ model: state.model.name, a: a.z, b: b.z, steps: PATH_STEPS });
  }
  function adopt() {
    const { basePath: hasBase, drawsInBrowser: isStandardNormal } = state.model;
    find("[data-do=path] [value=base]").hidden = !hasBase;
    kind.value = hasBase && !isStandardNormal ? "base" : "line"; // a line leaves what a learned prior makes likely
    scrubber.value = "0";
    renew();
  }

  scrubber.addEventListener("input", () => {
    stop();
    go(Number(scrubber.value));
  });
  kind.addEventListener("change", renew);
  play.addEventListener("click", () => {
    if (playing) return stop();
    playing = true;
    play.textContent = t("morph.pause");
    const began = performance.now() - Number(scrubber.value) * 500 * SECONDS;
    const frame = (/** @type {number} */ now) => {
      if (!playing) return;
      const phase = ((now - began) / (500 * SECONDS)) % 2;
      go(phase > 1 ? 2 - phase : Math.max(0, phase));
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const download = latest(server.animation, ({ gif }) => saveAs(bytes(gif), "image/gif", `${fileName("morph")}.gif`));
  gif.addEventListener("click", () => {
    const { a, b } = state.ends;
    if (!a || !b) return;
    const points = Array.from({ length: PATH_STEPS }, (_, i) => at(a, b, i / (PATH_STEPS - 1)));
    download({ model: state.model.name, z: points });
  });
  arithmetic.addEventListener("click", () => {
    const { a, b, c } = state.ends;
    if (a && b && c) setZ(a.z.map((value, i) => value - b.z[i] + c.z[i]), "arithmetic");
  });
  listen((what) => {
    if (what === "ends") renew();
    else if (what === "model") adopt();
    else if (what === "z" && state.origin !== "morph") stop();
  });
  adopt();
});
