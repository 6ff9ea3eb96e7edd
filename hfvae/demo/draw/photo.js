// Images from elsewhere on the pad: a file or photograph, dropped, pasted or chosen. It stays in this page.
import { say } from "../page/feedback.js";
import { newCanvas, penOf } from "../page/pictures.js";
import { notify, state } from "../page/state.js";
import { SIDE } from "../page/strokes.js";
import { t } from "../page/text.js";

/**
 * Let the pad take pictures.
 * @param {import("../page/types").Find} find
 * @param {import("./pad").Pad} pad
 */
export function takePictures(find, pad) {
  /** @param {File | null | undefined} file */
  async function open(file) {
    const image = file?.type.startsWith("image/") ? await createImageBitmap(file).catch(() => null) : null;
    if (!image) return say(t("pad.open.none"));
    const ink = inkOf(image);
    if (!ink) return say(t("pad.open.blank"));
    say();
    pad.add({ levels: framed(ink, state.model.box) });
    notify("drawn");
  }
  const chooser = find("[data-do=open]", HTMLInputElement);
  chooser.addEventListener("change", () => {
    open(chooser.files?.[0]);
    chooser.value = "";
  });
  find(".hf-pad").addEventListener("dragover", (event) => event.preventDefault());
  find(".hf-pad").addEventListener("drop", (event) => {
    event.preventDefault();
    open(event.dataTransfer?.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file || !pad.onShow) return;
    event.preventDefault();
    open(file);
  });
}

/**
 * The grey levels (0 to 255) of a picture's RGBA, with transparency as hfvae.images.composite has it.
 * @param {Uint8ClampedArray} data
 * @param {number} wide
 * @param {number} high
 */
export function composite(data, wide, high) {
  const alpha = Float32Array.from({ length: wide * high }, (_, i) => data[4 * i + 3] / 255);
  const grey = alpha.map((_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  if (alpha.every((value) => value === 1)) return grey;
  /** @type {(value: number) => boolean} */
  const visible = alpha.some((value) => value >= 0.5) ? (value) => value >= 0.5 : (value) => value > 0;
  /** @param {Float32Array} values */
  const median = (values) => values.sort()[(values.length - 1) >> 1];
  const solid = grey.filter((_, i) => visible(alpha[i]));
  const level = median(solid); // solid is sorted now
  const edge = alpha.filter((_, i) => i < wide || i >= wide * (high - 1) || i % wide === 0 || i % wide === wide - 1);
  const ownGround = median(edge) >= 0.5 && solid[solid.length - 1] - solid[0] >= 16;
  if (ownGround) return grey.map((value, i) => value * alpha[i] + level * (1 - alpha[i]));
  return grey.map((value, i) => alpha[i] * (level > 127.5 ? value : 255 - value));
}

/**
 * The ink of an image, {ink: its share of the strongest ink in [0, 1], width}, at most SIDE pixels a side: grey levels from
 * the ground's to the ink's side, as hfvae.sketch takes them: the border is mostly ground. Null if there is none.
 * @param {ImageBitmap} image
 */
function inkOf(image) {
  const scale = Math.min(SIDE / image.width, SIDE / image.height);
  const [wide, high] = [scale * image.width, scale * image.height].map((side) => Math.max(1, Math.round(side)));
  const context = penOf(newCanvas(wide, high));
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, wide, high);
  const { data } = context.getImageData(0, 0, wide, high);
  const grey = composite(data, wide, high);
  const border = grey.filter((_, i) => i < wide || i >= wide * (high - 1) || i % wide === 0 || i % wide === wide - 1).sort();
  const ground = border[border.length >> 1];
  const range = grey.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [255, 0]);
  if (range[1] - range[0] < 16) return null; // nothing but ground
  const light = ground > (range[0] + range[1]) / 2;
  const reach = light ? ground - range[0] : range[1] - ground;
  // paper is uneven: a fifth of the range counts as ground still
  const ink = grey.map((value) => Math.max(0, Math.min(1, ((light ? ground - value : value - ground) / reach - 0.2) / 0.6)));
  return { ink, width: wide };
}

/**
 * Ink as 784 grey levels: cropped, its longer side `box` pixels long, in the middle; each pixel is the mean of what it covers.
 * @param {{ ink: Float32Array, width: number }} picture
 * @param {number} box
 */
export function framed({ ink, width }, box) {
  const inked = [...ink.keys()].filter((i) => ink[i] > 0.05);
  /** @param {number[]} values */
  const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, 0]);
  const [left, right] = ends(inked.map((i) => i % width));
  const [top, bottom] = ends(inked.map((i) => Math.floor(i / width)));
  const [wide, high] = [right - left + 1, bottom - top + 1];
  const scale = Math.max(wide, high) / box;
  const [x0, y0] = [wide, high].map((side) => Math.floor((28 - side / scale) / 2)); // whole pixels, as the data set's frame has
  const means = new Float32Array(784);
  /** @type {(pixel: number, place: number, offset: number) => number} how much of a cropped pixel lies in one of the 28 */
  const share = (pixel, place, offset) => {
    const [begin, end] = [(place - offset) * scale, (place + 1 - offset) * scale];
    return Math.max(0, Math.min(end, pixel + 1) - Math.max(begin, pixel)) / scale;
  };
  for (const i of inked) {
    const [x, y] = [(i % width) - left, Math.floor(i / width) - top];
    for (let row = Math.floor(y / scale) + y0; row <= Math.floor((y + 1) / scale) + y0 && row < 28; row++) {
      for (let column = Math.floor(x / scale) + x0; column <= Math.floor((x + 1) / scale) + x0 && column < 28; column++) {
        means[28 * row + column] += ink[i] * share(x, column, x0) * share(y, row, y0);
      }
    }
  }
  const peak = Math.max(...means);
  return Uint8Array.from(means, (mean) => Math.round((255 * mean) / peak));
}
