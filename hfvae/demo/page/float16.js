/**
 * IEEE 754 binary16 numbers as Float32Array.
 * @param {ArrayBuffer} buffer
 */
export function float16(buffer) {
  return Float32Array.from(new Uint16Array(buffer), (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return half >> 15 ? -size : size;
  });
}
