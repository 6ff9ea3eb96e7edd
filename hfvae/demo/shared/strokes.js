// Drawings as text, for links: strokes of few points, two base-36 characters a number.
window.hfvae.strokes ??= (() => {
  const STEP = 5; // pad pixels between two points that are kept
  const MOST = 900; // characters; longer drawings travel as their latent point only
  const pair = (value) => Math.max(0, Math.min(1295, Math.round(value))).toString(36).padStart(2, "0");

  function thin(points) {
    const kept = [points[0]];
    for (const point of points.slice(1, -1)) {
      const [x, y] = kept.at(-1);
      if (Math.hypot(point[0] - x, point[1] - y) >= STEP) kept.push(point);
    }
    return points.length > 1 ? [...kept, points.at(-1)] : kept;
  }

  return {
    // Marks as text, or null if they are too many or hold images.
    write(marks) {
      if (!marks.length || marks.some(({ image }) => image)) return null;
      const text = marks.map(({ width, points }) => [width, ...thin(points).flat()].map(pair).join("")).join("-");
      return text.length <= MOST ? text : null;
    },
    // Text as marks, or null if it is none of ours.
    read(text) {
      if (!text || text.length > MOST || !/^([0-9a-z]{2})+(-([0-9a-z]{2})+)*$/.test(text)) return null;
      const marks = text.split("-").map((stroke) => {
        const [width, ...numbers] = stroke.match(/../g).map((text) => parseInt(text, 36));
        const points = Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
        return { width, points };
      });
      return marks.every(({ width, points }) => points.length && width >= 1 && width <= 60) ? marks : null;
    },
  };
})();
