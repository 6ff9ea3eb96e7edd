// The Draw tab: what the model makes of the drawing.
import { atlasOf } from "../page/atlas.js";
import { unpackImages } from "../page/bytes.js";
import { latest } from "../page/calls.js";
import { outdate, renewed } from "../page/feedback.js";
import { offerSaving, paint, penOf, renderStrip, ring } from "../page/pictures.js";
import { setJudged } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, moved, state, verdict } from "../page/state.js";
import { t } from "../page/text.js";
import { makePad } from "./pad.js";
import { takePictures } from "./photo.js";
import { makePosterior } from "./posterior.js";
import { showVerdict } from "./verdict.js";

/** @typedef {import("../page/types").Image} Image */

const FULL_DIFFERENCE = 160; // the difference in grey levels that gets the full colour

export default widget((draw) => {
  const { find, server } = draw;
  const root = document.documentElement;
  const [seen, reconstruction, difference] = ["#seen", "#reconstruction", "#difference"].map((place) => find(`${place} canvas`, HTMLCanvasElement));
  const whereabouts = find("#whereabouts canvas", HTMLCanvasElement);
  const back = find("[data-do=back]");
  const followed = () => state.origin === null || state.origin === "draw";
  let drawn = 0; // counts the changes of the drawing
  let follows = followed(); // whether the latent point goes where the drawing's encoding is
  /** @type {ReturnType<typeof standing> | null} */
  let told = null; // what `judge` last told of
  /** @type {import("../page/atlas").Atlas | null} */
  let atlas = null;
  /** @type {HTMLCanvasElement | null} */
  let backdrop = null; // the test set behind the small map

  const ask = latest(({ model, ink }) => server.reconstruct({ model, ink }), (answer, { revision }) => {
    root.dataset.ready = "true";
    if (answer.empty || pad.empty) return;
    renewed(root);
    const [[seen], [reconstruction]] = [answer.seen, answer.reconstruction].map(unpackImages);
    setJudged({ ...answer, seen, reconstruction }, follows);
    if (revision !== drawn) outdate(root, forget);
  });
  const request = () => ({ model: state.model.name, ink: pad.ink(), revision: drawn });
  const pad = makePad(find, (byVisitor) => {
    if (byVisitor) follows = true;
    look();
  });
  const posterior = makePosterior(draw, pad, request, (revision) => revision === drawn);
  takePictures(find, pad);

  // Ask what the model makes of the drawing, which has changed; the answer about the earlier one goes soon.
  function look() {
    drawn += 1;
    if (pad.empty) forget();
    else if (state.judged) outdate(root, forget);
    else judge();
    ask(request);
    posterior.sample();
  }
  function forget() {
    renewed(root);
    setJudged(null);
  }

  // The image is that of the current latent point, which may be another one than the drawing's.
  function show() {
    const { image, exact, model, origin, judged } = state;
    const elsewhere = moved();
    const shown = judged || elsewhere ? image : null;
    paint(seen, judged?.seen);
    paint(reconstruction, shown);
    showDifference(verdict()?.seen, exact ? shown : null);
    find(".hf-source").textContent = !elsewhere
      ? t("source.draw", { count: model.latentDim })
      : t(origin === "draw" || origin === null ? "source.earlier" : `source.${origin}`);
    back.hidden = !elsewhere || pad.empty;
    showWhereabouts();
  }

  /**
   * @param {Image | undefined} seen
   * @param {Image | null} shown
   */
  function showDifference(seen, shown) {
    const context = penOf(difference);
    context.clearRect(0, 0, 28, 28);
    difference.classList.toggle("hf-blank", !seen || !shown);
    if (!seen || !shown) return;
    const image = context.createImageData(28, 28);
    for (let i = 0; i < 784; i++) {
      const missing = seen[i] - shown[i];
      image.data.set(missing > 0 ? [255, 90, 60] : [70, 150, 255], 4 * i);
      image.data[4 * i + 3] = Math.min(255, (255 * Math.abs(missing)) / FULL_DIFFERENCE);
    }
    context.putImageData(image, 0, 0);
  }

  // The answer that is about the image on show, else whether that is another image than the drawing's.
  const standing = () => verdict() ?? moved();
  // What the model makes of the drawing, as long as the image on show is its answer.
  function judge() {
    told = standing();
    showVerdict(find, state.model, verdict(), pad.empty ? null : moved() ? "moved" : "waiting");
  }

  function showWhereabouts() {
    const context = penOf(whereabouts);
    const side = whereabouts.width;
    context.clearRect(0, 0, side, side);
    find("#whereabouts").hidden = !state.model.hasMap;
    if (!atlas) return;
    const scale = (0.47 * side) / atlas.usual;
    backdrop ??= atlas.backdrop(side, scale, 1.5);
    context.drawImage(backdrop, 0, 0);
    if (!state.judged && !moved()) return;
    const [x, y] = atlas.place(state.z);
    ring(context, side / 2 + scale * x, side / 2 - scale * y, 5);
  }

  // Test images to start from

  const askExamples = latest(server.class_examples, (answer) => {
    const { model } = state;
    const names = { dataset: model.dataset, item: model.item };
    find(".hf-digits-note").textContent = t(answer.real ? "examples.real" : "examples.decoded", names);
    const images = unpackImages(answer.images);
    /** @param {number} i */
    const title = (i) => t("examples.load", { ...names, name: model.classes[answer.labels[i]] });
    renderStrip(find("#digits"), images, title, (i) => pad.load({ levels: images[i] }));
  });
  find("[data-do=digits]").addEventListener("click", () => askExamples({ model: state.model.name }));
  back.addEventListener("click", () => {
    follows = true;
    if (state.judged) setJudged(state.judged, true);
  });

  for (const [place, key] of [["seen", "seen.title"], ["reconstruction", "reconstruction.title"], ["difference", "difference.title"], ["deviation", "deviation.title"]]) {
    find(`#${place} canvas`, HTMLCanvasElement).ariaLabel = t(key);
    offerSaving(find(`#${place}`), place);
  }

  async function adopt() {
    const { model } = state;
    atlas = backdrop = null;
    follows = followed();
    find(".hf-hint").textContent = t("pad.hint", { item: model.item });
    pad.takeOver();
    posterior.drop();
    forget();
    look();
    find(".hf-examples").hidden = !model.hasMap;
    if (model.hasMap) askExamples({ model: model.name });
    const fetched = await atlasOf(model, server);
    if (model !== state.model) return;
    atlas = fetched;
    show();
  }
  listen((what) => {
    if (what === "model") return adopt();
    if (what === "z") follows = followed();
    if (what === "drawing") {
      pad.takeOver();
      look();
    }
    if (what === "image" || what === "judged") show();
    if (what === "judged" || (what === "z" && standing() !== told)) {
      judge();
      posterior.render();
    }
  });
  pad.start();
  adopt();
});
