import assert from "node:assert/strict";
import test from "node:test";
import { base64, bytes, grey, unpackImages } from "../../hfvae/demo/page/bytes.js";
import { float16 } from "../../hfvae/demo/page/float16.js";
import { newSeed, normal } from "../../hfvae/demo/page/noise.js";
import { along, circle, line } from "../../hfvae/demo/sliders/paths.js";

/** @type {(actual: ArrayLike<number>, expected: number[]) => void} */
const close = (actual, expected) => {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => assert.ok(Math.abs(actual[i] - value) < 1e-6, `${actual} are not ${expected}`));
};

test("half precision: normal, subnormal, negative", () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x0400, 0x8000);
  close(float16(halves.buffer), [1, -2, 0.333251953125, 65504, 2 ** -24, 2 ** -14, 0]);
});

test("bytes as base64, more than a call takes at once", () => {
  const values = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256);
  assert.equal(base64(values), Buffer.from(values).toString("base64"));
  assert.deepEqual(bytes(base64(values)), values);
  const images = unpackImages(base64(values.subarray(0, 2 * 784)));
  assert.deepEqual(images.map((image) => image[1]), [7, (785 * 7) % 256]);
  assert.deepEqual(grey(Float32Array.of(0, 0.499, 1)), Uint8Array.of(0, 127, 255));
});

test("a seed's noise is always the same, and standard normal", () => {
  const values = normal(2 ** 47 + 5, 20_000);
  assert.deepEqual(normal(2 ** 47 + 5, 3), values.slice(0, 3));
  assert.notDeepEqual(normal(6, 3), values.slice(0, 3));
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.ok(Math.abs(mean) < 0.03 && Math.abs(variance - 1) < 0.05, `${mean}, ${variance}`);
  assert.ok(Number.isSafeInteger(newSeed()));
});

test("paths lead from end to end", () => {
  const [a, b] = [[3, 0], [0, 1]];
  for (const path of [line, circle, (a, b, t) => along([a, [9, 9], b], t)]) {
    close(path(a, b, 0), a);
    close(path(a, b, 1), b);
  }
  close(circle(a, b, 0.5), [2 * Math.SQRT1_2, 2 * Math.SQRT1_2]); // half the angle, the mean of the lengths
  close(circle([1, 0], [2, 0], 0.5), [1.5, 0]); // no circle leads along a ray
  close(circle([1, 0], [-1, 0], 0.25), [0.5, 0]); // nor through the origin
  close(along([[0], [1], [5]], 0.75), [3]);
});
