// Images on canvases, rows of them, and ways to take them away.
import { state } from "./state.js";
import { t } from "./text.js";

/** @typedef {import("./types").Image} Image */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function penOf(canvas, settings) {
  const pen = canvas.getContext("2d", settings);
  if (!pen) throw new Error("the browser has no more canvases");
  return pen;
}

/**
 * An empty canvas that is in no document.
 * @param {number} width
 * @param {number} height
 */
export const newCanvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

/**
 * A 28x28 image, white ink on black; null leaves the canvas empty.
 * @param {HTMLCanvasElement} canvas
 * @param {Image | null | undefined} pixels
 */
export function paint(canvas, pixels) {
  const context = penOf(canvas);
  canvas.classList.toggle("hf-blank", !pixels);
  if (!pixels) return context.clearRect(0, 0, 28, 28);
  const image = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) {
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = pixels[i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * A row of images, each a button if there is something to do on a `pick`.
 * @param {HTMLElement} container
 * @param {Image[]} images
 * @param {(i: number) => string} title
 * @param {(i: number) => void} [pick]
 */
export function renderStrip(container, images, title, pick) {
  while (container.children.length > images.length) container.lastChild?.remove();
  while (container.children.length < images.length) {
    const cell = document.createElement(pick ? "button" : "span");
    cell.className = "hf-cell";
    if (cell instanceof HTMLButtonElement) cell.type = "button";
    else cell.setAttribute("role", "img");
    cell.append(newCanvas(28, 28));
    container.append(cell);
  }
  images.forEach((image, i) => {
    const cell = /** @type {HTMLElement} */ (container.children[i]);
    cell.ariaLabel = cell.title = title(i);
    if (pick) cell.onclick = () => pick(i);
    paint(/** @type {HTMLCanvasElement} */ (cell.firstChild), image);
  });
}

/**
 * The position of an event on a canvas, in the canvas's own pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {MouseEvent} event
 * @returns {[number, number]}
 */
export function eventPosition(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
export function ring(context, x, y, radius) {
  for (const [width, colour] of /** @type {[number, string][]} */ ([[5, "black"], [2.5, "white"]])) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

/**
 * Two small buttons that save the picture in `frame`, which holds one canvas.
 * @param {HTMLElement} frame
 * @param {string} name
 */
export function offerSaving(frame, name) {
  const canvas = frame.querySelector("canvas");
  if (!canvas) throw new Error(`${frame.id} has no canvas`);
  const buttons = Object.assign(document.createElement("span"), { className: "hf-save" });
  for (const kind of ["png", "svg"]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: kind.toUpperCase() });
    button.title = button.ariaLabel = t("save", { kind: kind.toUpperCase() });
    button.addEventListener("click", () => savePicture(canvas, kind, fileName(name)));
    buttons.append(button);
  }
  frame.append(buttons);
}

/**
 * The name of a file about the current model, without its ending.
 * @param {string} what
 */
export const fileName = (what) => `${state.model.name.replaceAll("/", "-")}-${what}`;

/**
 * @param {BlobPart} content
 * @param {string} type
 * @param {string} name
 */
export function saveAs(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * A canvas as PNG, ten screen pixels a pixel for small images, or as SVG of one square a pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {string} kind
 * @param {string} name
 */
function savePicture(canvas, kind, name) {
  if (kind === "svg") return saveAs(toSVG(canvas), "image/svg+xml", `${name}.svg`);
  const factor = canvas.width > 100 ? 1 : 10;
  const large = newCanvas(factor * canvas.width, factor * canvas.height);
  const context = penOf(large);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  large.toBlob((blob) => blob && saveAs(blob, "image/png", `${name}.png`));
}

/**
 * Small canvases as one square a pixel; large ones, which are drawings or maps, as an embedded PNG.
 * @param {HTMLCanvasElement} canvas
 */
function toSVG(canvas) {
  const { width, height } = canvas;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" shape-rendering="crispEdges">`;
  if (width > 100) return `${open}<image width="${width}" height="${height}" href="${canvas.toDataURL()}"/></svg>`;
  const { data } = penOf(canvas).getImageData(0, 0, width, height);
  let squares = "";
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue, alpha] = data.subarray(4 * i, 4 * i + 4);
    if (!alpha) continue;
    const place = `x="${i % width}" y="${Math.floor(i / width)}" width="1" height="1"`;
    squares += `<rect ${place} fill="rgb(${red},${green},${blue})" fill-opacity="${(alpha / 255).toFixed(3)}"/>`;
  }
  return `${open}${squares}</svg>`;
}
