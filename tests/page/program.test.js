import assert from "node:assert/strict";
import test from "node:test";
import { normal } from "../../hfvae/demo/page/noise.js";
import { makeDecoder } from "../../hfvae/demo/page/program.js";

const BLOCK = 8; // output channels of a block of weights
const LATENTS = 3;

/** The weights of a layer as Python packs them: by blocks of output channels, each its biases, then its columns. */
function pack(weights, biases) {
  const packed = [];
  for (let block = 0; block < biases.length; block += BLOCK) {
    packed.push(...biases.slice(block, block + BLOCK));
    for (let i = 0; i < weights[0].length; i++) for (let k = 0; k < BLOCK; k++) packed.push(weights[block + k][i]);
  }
  return packed;
}
const matrix = (seed, rows, columns) => Array.from({ length: rows }, (_, i) => normal(seed + i, columns));
const apply = (weights, biases, x) => weights.map((row, i) => row.reduce((sum, weight, j) => sum + weight * x[j], biases[i]));

/** A decoder with or without WebAssembly, which not every browser has. */
function make(simd, ...given) {
  const { WebAssembly } = globalThis;
  if (!simd) delete globalThis.WebAssembly;
  try {
    return makeDecoder(...given);
  } finally {
    globalThis.WebAssembly = WebAssembly;
  }
}

const hidden = { weights: matrix(1, 16, LATENTS), biases: normal(50, 16) };
const last = { weights: matrix(100, 784, 16), biases: normal(2000, 784) };
const PROGRAM = {
  steps: [
    { kind: "dense", inputs: LATENTS, outputs: 16 },
    { kind: "activate", function: "relu" },
    { kind: "dense", inputs: 16, outputs: 784 },
  ],
  precision: "float32", finish: "sigmoid", scale: 1, offset: 0, latents: LATENTS,
};
const WEIGHTS = Float32Array.from([...pack(hidden.weights, hidden.biases), ...pack(last.weights, last.biases)]).buffer;

for (const simd of [true, false]) {
  test(`a dense decoder computes its network, ${simd ? "with" : "without"} WebAssembly`, () => {
    const decode = make(simd, PROGRAM, WEIGHTS);
    for (const z of [[0, 0, 0], [0.5, -1, 2]]) {
      const activated = apply(hidden.weights, hidden.biases, z).map((value) => Math.max(0, value));
      const expected = apply(last.weights, last.biases, activated).map((value) => 1 / (1 + Math.exp(-value)));
      decode(z).forEach((level, i) => assert.ok(Math.abs(level - expected[i]) < 1e-5, `${i}: ${level}, ${expected[i]}`));
    }
  });

  test(`a convolution sees its neighbours, ${simd ? "with" : "without"} WebAssembly`, () => {
    const steps = [
      { kind: "dense", inputs: LATENTS, outputs: 8 * 49 },
      { kind: "unflatten", height: 7, width: 7, channels: 8 },
      { kind: "save" },
      { kind: "conv", inputs: 8, outputs: 8 },
      { kind: "add" },
      { kind: "resize", height: 28, width: 28 },
      { kind: "conv", inputs: 8, outputs: 8 },
    ];
    // every output channel of the first convolution is the sum of 3 x 3 pixels of channel 0; the last takes the middle one
    const ones = Array.from({ length: 8 }, () => Array.from({ length: 72 }, (_, i) => Number(i % 8 === 0)));
    const middle = Array.from({ length: 8 }, (_, k) => Array.from({ length: 72 }, (_, i) => Number(i === 4 * 8 && k === 0)));
    const spot = Array.from({ length: 392 }, (_, i) => [Number(i === 8 * (7 * 3 + 6)), 0, 0]); // a pixel at the right edge
    const zeros = (count) => Array(count).fill(0);
    const packed = [...pack(spot, zeros(392)), ...pack(ones, zeros(8)), ...pack(middle, zeros(8))];
    const program = { ...PROGRAM, steps, finish: "identity", scale: 0.25 };
    const image = make(simd, program, Float32Array.from(packed).buffer)([1, 0, 0]);
    const level = (row, column) => image[28 * 4 * row + 4 * column];
    assert.equal(level(3, 6), 0.5, "the pixel, and its sum with itself");
    assert.deepEqual([level(2, 5), level(4, 6), level(3, 5)], [0.25, 0.25, 0.25], "what is beside it");
    assert.deepEqual([level(3, 4), level(1, 6), level(3, 0)], [0, 0, 0], "and nothing else");
  });
}
