// A first drawing that draws itself, to its end or until the visitor draws. It is encoded when it is finished.
const EXAMPLE = [[84, 92], [100, 66], [134, 54], [168, 66], [180, 94], [168, 122], [132, 138], [170, 150], [188, 180], [174, 214], [136, 230], [98, 218], [80, 192]];
const SECONDS = 2.2;
const example = { width: 22, points: EXAMPLE };
let unfinished = null; // the part of it that is drawn so far

function demonstrate() {
  let began = null;
  const frame = (now) => {
    if (began !== null && !unfinished) return; // the visitor has changed the drawing
    began ??= now;
    const reached = Math.min(1, (now - began) / 1000 / SECONDS) * (EXAMPLE.length - 1);
    const [whole, part] = [Math.floor(reached), reached % 1];
    if (whole === EXAMPLE.length - 1) return finish();
    const [[x, y], [nextX, nextY]] = [EXAMPLE[whole], EXAMPLE[whole + 1]];
    unfinished = { ...example, points: [...EXAMPLE.slice(0, whole + 1), [x + part * (nextX - x), y + part * (nextY - y)]] };
    redraw();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
// The point follows, unless the visitor has moved it meanwhile.
function finish() {
  unfinished = null;
  marks = [example];
  redraw();
  remember();
  look();
}
