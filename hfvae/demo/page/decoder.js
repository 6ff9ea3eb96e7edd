// The decoders that run in this page, each in a worker of its own so that the page never stutters (worker.js). A fast one
// decodes urgent points in the page itself: a worker's answer comes only after the next frame.
import { retry } from "./calls.js";
import { makeDecoder } from "./program.js";

/**
 * @typedef {import("./types").Decode} Decode
 * @typedef {import("./types").Model} Model
 */

const PORTION = 2; // latent points that the worker decodes between two looks for a more urgent job
const FAST = 8; // milliseconds that a decode may hold up the page, half a frame
/** @type {Map<string, Promise<Decode | null>>} model name -> its decoder */
const known = new Map();

/**
 * A model's decoder; null where Python must decode.
 * @param {Model} model
 * @param {string | null} root the address of the app, if it has the weights
 */
export function decoderOf(model, root) {
  const decoder = known.get(model.name) ?? make(model, root);
  known.set(model.name, decoder);
  return decoder;
}

/**
 * @param {Model} model
 * @param {string | null} root
 * @returns {Promise<Decode | null>}
 */
async function make({ name, decoder, latentDim }, root) {
  if (!decoder || root === null) return null;
  const { answer } = await retry(() => fetchWeights(new URL(decoder.address, root)), () => decoder);
  if (!answer.weights) return null;
  const worker = startWorker();
  const failed = new Promise((_, reject) => (worker.onerror = () => reject(new Error("the worker failed"))));
  failed.catch(() => known.set(name, Promise.resolve(null)));
  const answered = () => new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
  /** @type {import("./types").Call} */
  const call = (message) => {
    const answer = Promise.race([answered(), failed]);
    worker.postMessage(message);
    return answer;
  };
  const program = { ...decoder, latents: latentDim };
  const started = await call({ program, weights: answer.weights }).catch(() => null);
  if (!started) return null;
  const decodeLater = queue(call);
  if (started.took > FAST) return decodeLater;
  const decodeNow = makeDecoder(program, answer.weights);
  return async (points, urgent) => (urgent ? points.map(decodeNow) : decodeLater(points));
}

/** @param {URL} address */
async function fetchWeights(address) {
  const response = await fetch(address);
  return response.ok ? { weights: await response.arrayBuffer() } : {}; // the app was started with other models
}

/** A worker of the page's own origin, wherever this module comes from: a page may be embedded in another's. */
function startWorker() {
  const source = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
  return new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
}

/**
 * One portion is in work at a time.
 * @param {import("./types").Call} call
 * @returns {Decode}
 */
function queue(call) {
  /** @typedef {{ points: number[][], resolve: (images: Float32Array[]) => void, reject: (reason: any) => void }} Job */
  /** @type {{ urgent: Job[], patient: Job[] }} */
  const jobs = { urgent: [], patient: [] };
  let working = false;
  async function work() {
    if (working) return;
    working = true;
    for (let job; (job = jobs.urgent.shift() ?? jobs.patient.shift()); ) {
      const { points, resolve, reject } = job;
      await call({ points }).then(({ images }) => resolve(images), reject);
    }
    working = false;
  }
  /** @type {(list: Job[], points: number[][]) => Promise<Float32Array[]>} */
  const add = (list, points) => new Promise((resolve, reject) => list.push({ points, resolve, reject }));
  return async (points, urgent = false) => {
    const parts = [];
    for (let i = 0; i < points.length; i += PORTION) {
      parts.push(add(urgent ? jobs.urgent : jobs.patient, points.slice(i, i + PORTION)));
    }
    work();
    return (await Promise.all(parts)).flat();
  };
}
