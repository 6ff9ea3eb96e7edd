// A first drawing that draws itself, to its end or until the visitor draws. It is encoded when it is finished.

/** @typedef {import("../page/types").Stroke} Stroke */

const SECONDS = 2.2;
/** @type {Stroke} */
export const EXAMPLE = {
  width: 22,
  points: [[84, 92], [100, 66], [134, 54], [168, 66], [180, 94], [168, 122], [132, 138], [170, 150], [188, 180], [174, 214], [136, 230], [98, 218], [80, 192]],
};

/**
 * @param {(part: Stroke) => void} show what is drawn so far
 * @param {() => void} finish
 * @returns {() => void} ends it
 */
export function demonstrate(show, finish) {
  const { width, points } = EXAMPLE;
  let ended = false;
  /** @type {number | undefined} */
  let began;
  const frame = (/** @type {number} */ now) => {
    if (ended) return;
    began ??= now;
    const reached = Math.min(1, (now - began) / 1000 / SECONDS) * (points.length - 1);
    const [whole, part] = [Math.floor(reached), reached % 1];
    if (whole === points.length - 1) return finish();
    const [[x, y], [nextX, nextY]] = [points[whole], points[whole + 1]];
    show({ width, points: [...points.slice(0, whole + 1), [x + part * (nextX - x), y + part * (nextY - y)]] });
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  return () => {
    ended = true;
  };
}
