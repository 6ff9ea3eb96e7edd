// The posterior made visible: ten draws of it, and where they differ.
import { unpackImages } from "../page/bytes.js";
import { latest } from "../page/calls.js";
import { outdate, renewed } from "../page/feedback.js";
import { paint, renderStrip } from "../page/pictures.js";
import { moved } from "../page/state.js";
import { t } from "../page/text.js";

/**
 * @param {import("../page/types").Widget} widget
 * @param {import("./pad").Pad} pad
 * @param {() => { model: string, ink: string, revision: number }} request about the drawing as it is
 * @param {(revision: number) => boolean} isCurrent
 */
export function makePosterior({ find, server }, pad, request, isCurrent) {
  const panel = find("#posterior-panel");
  const opener = find("[data-do=posterior]");
  /** @type {{ images: string, deviation: string } | null} */
  let sampled = null; // Python's answer; `render` leaves it out while the image on show is not the drawing's

  const ask = latest(({ model, ink }) => server.posterior({ model, ink }), (answer, { revision }) => {
    if (pad.empty) return;
    renewed(panel);
    sampled = answer.empty ? null : answer;
    if (!isCurrent(revision)) outdate(panel, drop);
    render();
  });
  // Ask for draws, if they are on show and the drawing is finished.
  function sample() {
    if (panel.hidden) return;
    if (pad.empty) return drop();
    if (sampled) outdate(panel, drop);
    if (!pad.inUse) ask(request);
  }
  function drop() {
    renewed(panel);
    sampled = null;
    render();
  }
  function render() {
    const shown = moved() ? null : sampled;
    const images = shown ? unpackImages(shown.images) : [];
    renderStrip(find("#posterior"), images, (i) => t("posterior.draw", { number: i + 1 }));
    paint(find("#deviation canvas", HTMLCanvasElement), shown && unpackImages(shown.deviation)[0]);
    find("[data-do=resample]", HTMLButtonElement).disabled = !shown;
    find(".hf-posterior-empty").hidden = shown !== null;
    find(".hf-posterior-empty").textContent = t(pad.empty ? "posterior.empty" : moved() ? "moved" : "waiting");
  }
  opener.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    opener.ariaExpanded = String(!panel.hidden);
    render();
    sample();
    if (!panel.hidden) panel.scrollIntoView({ block: "nearest" });
  });
  find("[data-do=resample]").addEventListener("click", sample);
  return { sample, drop, render };
}
