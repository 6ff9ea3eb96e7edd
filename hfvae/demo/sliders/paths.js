// Paths between two latent points.

/** @param {number[]} z */
const norm = (z) => Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));

/**
 * A share t of the way along the straight line.
 * @param {number[]} a
 * @param {number[]} b
 * @param {number} t
 */
export const line = (a, b, t) => a.map((value, i) => value + t * (b[i] - value));

/**
 * As hfvae.inference.slerp: on the circle where there is one, else on the line.
 * @param {number[]} a
 * @param {number[]} b
 * @param {number} t
 */
export function circle(a, b, t) {
  const [lengthA, lengthB] = [norm(a), norm(b)];
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (lengthA * lengthB);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  if (!(Math.sin(angle) > 1e-4)) return line(a, b, t);
  const length = lengthA + t * (lengthB - lengthA);
  const [shareA, shareB] = [(1 - t) * angle, t * angle].map((part) => (length * Math.sin(part)) / Math.sin(angle));
  return a.map((value, i) => (shareA * value) / lengthA + (shareB * b[i]) / lengthB);
}

/**
 * Along a path of evenly spaced points.
 * @param {number[][]} path
 * @param {number} t
 */
export function along(path, t) {
  const reached = t * (path.length - 1);
  const before = Math.min(Math.floor(reached), path.length - 2);
  return line(path[before], path[before + 1], reached - before);
}
