// Bytes as base64, as Python sends and takes them.

/** @param {Uint8Array} values */
export function base64(values) {
  let text = "";
  for (let i = 0; i < values.length; i += 0x8000) text += String.fromCharCode(...values.subarray(i, i + 0x8000));
  return btoa(text);
}

/** @param {string} base64 */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * Images, 784 bytes each.
 * @param {string} base64
 */
export function unpackImages(base64) {
  const all = bytes(base64);
  return Array.from({ length: all.length / 784 }, (_, i) => all.subarray(784 * i, 784 * (i + 1)));
}

/**
 * Grey levels in [0, 1] as bytes.
 * @param {Float32Array} floats
 */
export const grey = (floats) => Uint8Array.from(floats, (value) => Math.round(255 * value));
