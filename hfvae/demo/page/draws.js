// Draws from the prior: by the page where the prior is N(0, I), else by Python.
import { unpackImages } from "./bytes.js";
import { generator } from "./noise.js";
import { state } from "./state.js";

/**
 * @typedef {object} Drawn latent points and, from Python, their images; or the server's refusal
 * @property {number[][]} [points]
 * @property {import("./types").Image[]} [images]
 * @property {string} [error]
 * @property {boolean} [busy]
 */

/**
 * @param {import("./types").Call} call
 * @param {number} count
 * @param {number} seed names the base noise
 * @param {number} temperature scales it
 * @param {boolean} standard draws from N(0, I) instead of the model's prior
 * @returns {Promise<Drawn>}
 */
export async function draws(call, count, seed, temperature, standard = false) {
  const { model } = state;
  if (!model.drawsInBrowser && !standard) return askDraws(call, count, seed, temperature);
  const next = generator(seed);
  const point = () => Array.from({ length: model.latentDim }, () => temperature * next());
  return { points: Array.from({ length: count }, point) };
}

/**
 * The same by Python; `call` may ask for further properties of the draws.
 * @param {import("./types").Call} call
 * @param {number} count
 * @param {number} seed
 * @param {number} temperature
 * @returns {Promise<Drawn>}
 */
export async function askDraws(call, count, seed, temperature) {
  const { model } = state;
  const answer = await call({ model: model.name, count, seed, temperature: model.tempered ? temperature : 1 });
  return answer?.images !== undefined ? { points: answer.z, images: unpackImages(answer.images) } : answer;
}
