// A decoder in the page: latent point -> 784 grey levels in [0, 1], as Python's to 1e-3. `browser_decoder.py` writes the
// program and puts the weights in order; kernel.wat is the source of KERNEL and says what a layer computes.
import { float16 } from "./float16.js";

/**
 * @typedef {{ height: number, width: number, channels: number }} Size
 * @typedef {import("./types").Step & Record<"inputs" | "outputs", number> & { function: string }} Step
 * @typedef {Step & { start: number, before: Size, after: Size }} Planned `start` counts the weights before its own
 * @typedef {(...places: number[]) => void} Layer kernel.wat names its arguments
 */

const KERNEL =
  "AGFzbQEAAAABEAFgDH9/f39/f39/f39/fwACEAEEcGFnZQZtZW1vcnkCAAEDAgEABwkBBWxheWVyAAAKhAQBgQQCCn8LewNAQQAhDANAQQAh" +
  "DQNAIAH9AAQAIRkgAf0ABBAhGiAZIRsgGiEcIBkhHSAaIR4gGSEfIBohICABQSBqIRBBACEOA0AgACAMIA5qIAVsIA0gCGxqaiERIBEgCGoh" +
  "EiASIAhqIRMgEyAIaiEUIAshDwNAIBD9AAQAIRYgEP0ABBAhFyAR/QkCACEYIBkgGCAW/eYB/eQBIRkgGiAYIBf95gH95AEhGiAS/QkCACEY" +
  "IBsgGCAW/eYB/eQBIRsgHCAYIBf95gH95AEhHCAT/QkCACEYIB0gGCAW/eYB/eQBIR0gHiAYIBf95gH95AEhHiAU/QkCACEYIB8gGCAW/eYB" +
  "/eQBIR8gICAYIBf95gH95AEhICARQQRqIREgEkEEaiESIBNBBGohEyAUQQRqIRQgEEEgaiEQIA9BAWsiDw0ACyAOQQFqIg4gCkkNAAsgAiAM" +
  "IAZsIA0gCWxqaiEVIBUgGf0LBAAgFSAa/QsEECAVIAlqIRUgFSAb/QsEACAVIBz9CwQQIBUgCWohFSAVIB39CwQAIBUgHv0LBBAgFSAJaiEV" +
  "IBUgH/0LBAAgFSAg/QsEECANQQRqIQ0gDSAHQQRrSwRAIA0gB0kEQCAHQQRrIQ0LCyANIAdJDQALIAxBAWoiDCAESQ0ACyAQIQEgAkEgaiEC" +
  "IANBAWsiAw0ACwsAgAIEbmFtZQK5AQEAIQACaW4BB3dlaWdodHMCA291dAMGYmxvY2tzBAVsaW5lcwUHaW5fbGluZQYIb3V0X2xpbmUHBnBp" +
  "eGVscwgIaW5fcGl4ZWwJCW91dF9waXhlbAoEcm93cwsGbGVuZ3RoDARsaW5lDQVwaXhlbA4Dcm93DwFpEAF3EQJ4MBICeDETAngyFAJ4MxUC" +
  "dG8WAncwFwJ3MRgBeBkCYTAaAmExGwJiMBwCYjEdAmMwHgJjMR8CZDAgAmQxAz0BAAUACm5leHRfYmxvY2sBCW5leHRfbGluZQILbmV4dF9w" +
  "aXhlbHMDCG5leHRfcm93BApuZXh0X2lucHV0";
const BLOCK = 8; // output channels that the kernel computes at once
const BYTES = 4; // of a number

/** @type {Record<string, (x: number) => number>} */
const FUNCTIONS = {
  relu: (x) => (x > 0 ? x : 0),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  silu: (x) => x / (1 + exp(-x)),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + exp(-x)),
  identity: (x) => x,
};

// e^x with a relative error below 4e-6; Math.exp took a quarter of a convolutional decoder's time. 2^n comes from the
// bits of a float32, 2^f for f in [-0.5, 0.5] from its Taylor series.
const bits = new Int32Array(1);
const power = new Float32Array(bits.buffer);
/** @param {number} x */
function exp(x) {
  const t = Math.max(-126, Math.min(127, x * Math.LOG2E));
  const n = Math.floor(t + 0.5);
  const f = (t - n) * Math.LN2;
  bits[0] = (n + 127) << 23;
  return power[0] * (1 + f * (1 + f * (1 / 2 + f * (1 / 6 + f * (1 / 24 + f / 120)))));
}

/**
 * The kernel in plain JavaScript, where there is no WebAssembly SIMD; pointers and strides are in bytes, as there.
 * @param {Float32Array} m
 * @returns {Layer}
 */
function plainKernel(m) {
  return (input, weights, output, blocks, lines, inLine, outLine, pixels, inPixel, outPixel, rows, length) => {
    if (outPixel === 0) pixels = 1; // a dense layer: the same pixel again and again
    for (let block = 0; block < blocks; block++) {
      const b = weights / BYTES + block * BLOCK * (1 + rows * length);
      for (let line = 0; line < lines; line++) {
        for (let pixel = 0; pixel < pixels; pixel++) {
          let [s0, s1, s2, s3, s4, s5, s6, s7] = m.subarray(b, b + BLOCK);
          for (let row = 0, w = b + BLOCK; row < rows; row++) {
            const start = (input + (line + row) * inLine + pixel * inPixel) / BYTES;
            for (let i = start; i < start + length; i++, w += BLOCK) {
              const x = m[i];
              s0 += x * m[w];
              s1 += x * m[w + 1];
              s2 += x * m[w + 2];
              s3 += x * m[w + 3];
              s4 += x * m[w + 4];
              s5 += x * m[w + 5];
              s6 += x * m[w + 6];
              s7 += x * m[w + 7];
            }
          }
          m.set([s0, s1, s2, s3, s4, s5, s6, s7], (output + line * outLine + pixel * outPixel) / BYTES + block * BLOCK);
        }
      }
    }
  };
}

/**
 * Numbers in one memory, and the kernel that works on it.
 * @param {number} count
 * @returns {{ memory: Float32Array, run: Layer }}
 */
function makeKernel(count) {
  const bytes = Uint8Array.from(atob(KERNEL), (character) => character.charCodeAt(0));
  if (globalThis.WebAssembly?.validate(bytes)) { // without SIMD it is not valid
    const memory = new WebAssembly.Memory({ initial: Math.ceil((BYTES * count) / 65536) });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { page: { memory } });
    return { memory: new Float32Array(memory.buffer), run: /** @type {Layer} */ (exports.layer) };
  }
  const memory = new Float32Array(count);
  return { memory, run: plainKernel(memory) };
}

/**
 * The sizes that each step leads to, for the places of inputs and outputs in memory, and where its weights are.
 * @param {Step[]} steps
 * @param {number} latents
 * @returns {Planned[]}
 */
function plan(steps, latents) {
  let now = { height: 1, width: 1, channels: latents };
  let used = 0; // weights, by the layers so far
  return steps.map((step) => {
    const [before, start] = [now, used];
    if (step.kind === "dense" || step.kind === "conv") used += step.outputs * (1 + (step.kind === "conv" ? 9 : 1) * step.inputs);
    if (step.kind === "dense" || step.kind === "conv") now = { ...now, channels: step.outputs };
    else if (step.kind === "unflatten" || step.kind === "resize") now = { ...now, ...step };
    return { ...step, start, before, after: { height: now.height, width: now.width, channels: now.channels } };
  });
}
/** @param {Size} size */
const size = ({ height, width, channels }) => height * width * channels;

/**
 * @param {Omit<import("./types").Program, "steps"> & { steps: any[], latents: number }} program
 * @param {ArrayBuffer} buffer its weights
 * @returns {(z: ArrayLike<number>) => Float32Array}
 */
export function makeDecoder({ steps, precision, finish, scale, offset, latents }, buffer) {
  const weights = precision === "float16" ? float16(buffer) : new Float32Array(buffer);
  const planned = plan(steps, latents);
  /** @param {Size} size */
  const padded = ({ height, width, channels }) => (height + 2) * (width + 2) * channels;
  const inputs = Math.max(...planned.map(({ before }) => padded(before)));
  const outputs = Math.max(...planned.map(({ after }) => size(after)));
  const [inputStart, outputStart] = [weights.length, weights.length + inputs];
  const kernel = makeKernel(outputStart + outputs + BLOCK);
  kernel.memory.set(weights);
  /** @param {number} x */
  const grey = (x) => Math.min(1, Math.max(0, scale * FUNCTIONS[finish](x) + offset));

  /** @type {Record<string, (values: Float32Array, step: Planned) => void>} */
  const layers = {
    dense(values, { start, inputs, outputs }) {
      kernel.memory.set(values.subarray(0, inputs), inputStart);
      const bytes = [inputStart, start, outputStart].map((place) => BYTES * place);
      kernel.run(...bytes, outputs / BLOCK, 1, 0, 0, 4, 0, 0, 1, inputs); // four times the same pixel
    },
    conv(values, { start, inputs, outputs, before: { height, width } }) {
      const line = (width + 2) * inputs;
      kernel.memory.fill(0, inputStart, inputStart + (height + 2) * line);
      for (let y = 0; y < height; y++) {
        const row = values.subarray(y * width * inputs, (y + 1) * width * inputs);
        kernel.memory.set(row, inputStart + (y + 1) * line + inputs);
      }
      const bytes = [inputStart, start, outputStart].map((place) => BYTES * place);
      const pixels = [width, BYTES * inputs, BYTES * outputs];
      kernel.run(...bytes, outputs / BLOCK, height, BYTES * line, BYTES * width * outputs, ...pixels, 3, 3 * inputs);
    },
  };
  /** @type {Record<string, (values: Float32Array, step: Planned) => Float32Array>} */
  const others = {
    activate(values, { function: name }) {
      const of = FUNCTIONS[name];
      const activated = new Float32Array(values.length); // a loop: `map` takes three times as long
      for (let i = 0; i < values.length; i++) activated[i] = of(values[i]);
      return activated;
    },
    unflatten: (values) => values,
    resize(values, { before, after }) {
      const resized = new Float32Array(size(after));
      for (let i = 0; i < after.height * after.width; i++) {
        const y = Math.floor((Math.floor(i / after.width) * before.height) / after.height);
        const x = Math.floor(((i % after.width) * before.width) / after.width);
        const from = (y * before.width + x) * after.channels;
        resized.set(values.subarray(from, from + after.channels), i * after.channels);
      }
      return resized;
    },
  };

  return (z) => {
    /** @type {Float32Array} */
    let values = Float32Array.from(z);
    /** @type {Float32Array[]} */
    const saved = [];
    for (const step of planned) {
      if (step.kind === "save") saved.push(values);
      else if (step.kind === "add") {
        const other = /** @type {Float32Array} */ (saved.pop());
        values = values.slice();
        for (let i = 0; i < values.length; i++) values[i] += other[i];
      } else if (others[step.kind]) values = others[step.kind](values, step);
      else {
        layers[step.kind](values, step);
        values = kernel.memory.slice(outputStart, outputStart + size(step.after));
      }
    }
    const channels = planned[planned.length - 1].kind === "conv" ? BLOCK : 1; // of which the first is the image's
    return Float32Array.from({ length: 784 }, (_, i) => grey(values[channels * i]));
  };
}
