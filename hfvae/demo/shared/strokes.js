// Drawings: strokes and pictures that a link can hold exactly, and their text. What is on the pad is kept in this form from
// the start, so that a drawing that was written and read again is the same to the pixel.
window.hfvae.strokes ??= (() => {
  const STEP = 5; // pad pixels between two points of a stroke
  const MARGIN = 60; // how far a stroke may leave the pad, in pad pixels
  const SIDE = 280; // of the pad, in pixels
  const DIGITS = 36 ** 2; // numbers that two base-36 characters tell apart; negative ones count down from it
  const PICTURE = "I"; // what the text of a picture begins with
  const STROKE = /^([0-9a-z]{2}){3,}$/;
  const LEVELS = /^I[A-Za-z0-9._]{1046}$/; // base64 of 784 bytes, with characters that an address leaves as they are

  const within = (value) => Math.max(-MARGIN, Math.min(SIDE + MARGIN, Math.round(value)));
  const pair = (value) => ((value + DIGITS) % DIGITS).toString(36).padStart(2, "0");
  const number = (text) => {
    const value = parseInt(text, 36);
    return value >= DIGITS - MARGIN ? value - DIGITS : value;
  };

  function writeMark({ levels, width, points }) {
    if (!levels) return [width, ...points.flat()].map(pair).join("");
    return PICTURE + window.hfvae.base64(levels).slice(0, 1046).replaceAll("+", ".").replaceAll("/", "_");
  }
  function readMark(text) {
    if (LEVELS.test(text)) {
      return picture(window.hfvae.bytes(text.slice(1).replaceAll(".", "+").replaceAll("_", "/") + "=="));
    }
    if (!STROKE.test(text)) return null;
    const [width, ...numbers] = text.match(/../g).map(number);
    const points = Array.from({ length: Math.floor(numbers.length / 2) }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
    return width >= 1 && width <= 60 ? { width, points } : null;
  }

  // A mark that fills the pad with 784 grey levels, white ink on black.
  function picture(levels) {
    const image = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
    window.hfvae.paint(image, levels);
    return { levels, image };
  }

  return {
    picture,
    begin: (width, [x, y]) => ({ width, points: [[within(x), within(y)]] }),
    // Lead a stroke to a point; its last one is replaced if it is closer than STEP to the one before.
    extend({ points }, [x, y]) {
      if (points.length > 1 && Math.hypot(points.at(-1)[0] - points.at(-2)[0], points.at(-1)[1] - points.at(-2)[1]) < STEP) points.pop();
      points.push([within(x), within(y)]);
    },
    // Marks as text; null if there are none. A picture hides all marks before it.
    write(marks) {
      const first = marks.findLastIndex(({ levels }) => levels);
      return marks.slice(Math.max(first, 0)).map(writeMark).join("-") || null;
    },
    // Text as marks, or null if it is not such a text.
    read(text) {
      const marks = (text ?? "").split("-").map(readMark);
      return marks.every(Boolean) ? marks : null;
    },
  };
})();
