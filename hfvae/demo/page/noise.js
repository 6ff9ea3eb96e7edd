// Standard normal numbers that a seed determines: the mulberry32 generator and the Box-Muller transform.

/** @param {number} seed */
export function generator(seed) {
  let a = (seed ^ (seed / 2 ** 20)) >>> 0;
  const uniform = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/**
 * `count` of them.
 * @param {number} seed
 * @param {number} count
 */
export function normal(seed, count) {
  const next = generator(seed);
  return Array.from({ length: count }, next);
}

export const newSeed = () => Math.floor(Math.random() * 2 ** 48);
