// The timeline in a browser. `paint` draws by a pen, of which there are two: one for the canvas and one that writes SVG.
// Everything is drawn from columns (see timeline_model.columns): 10,000 tasks are rectangles on one canvas, not elements.

const COLOURS = { success: "#0072b2", running: "#009e73", failed: "#d55e00", cancelled: "#cc79a7" };
// Waiting at the service, at the endpoint, on the node; running has the colour of its end; on the way back.
const PHASES = [["at the service", "#b9c2ca"], ["at the endpoint", "#96a1ac"], ["on the node", "#6f7c89"], ["run", null], ["transfer", "#e69f00"]];
const TOP = 6, BOTTOM = 22, RIGHT = 8, HEIGHT = 340, RUN = 3;
const colourOf = (state) => COLOURS[state] ?? COLOURS.running;
const seconds = (ms) => (ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`);

const NUMBER = 30; // Room for the number of a worker.

function canvasPen(context) {
  return {
    rect(x, y, w, h, colour) { context.fillStyle = colour; context.fillRect(x, y, w, h); },
    text(x, y, text, colour, end = false) { context.fillStyle = colour; context.textAlign = end ? "right" : "left"; context.fillText(text, x, y); },
  };
}

function svgPen(parts) {
  const safe = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const round = (number) => Math.round(number * 10) / 10;
  return {
    rect(x, y, w, h, colour) { parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${colour}"/>`); },
    text(x, y, text, colour, end = false) { parts.push(`<text x="${round(x)}" y="${round(y)}" fill="${colour}"${end ? ' text-anchor="end"' : ""}>${safe(text)}</text>`); },
  };
}

function ticks(span, most) {
  const raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  return step;
}

const ruler = document.createElement("canvas").getContext("2d");

// Cuts a text to fit into so many pixels, and says that it did.
function fitted(text, width) {
  if (ruler.measureText(text).width <= width) return text;
  const letters = Array.from(text);
  let least = 0, most = letters.length;
  while (least < most) {
    const middle = (least + most + 1) >> 1;
    if (ruler.measureText(`${letters.slice(0, middle).join("")}…`).width <= width) least = middle; else most = middle - 1;
  }
  return `${letters.slice(0, least).join("")}…`;
}

// What is in sight: milliseconds `from` to `to`, rows from `row`, each `size` pixels high. Names have the room left of `left`.
class Sight {
  constructor() { this.byTask = false; this.isFitted = true; this.row = 0; this.zoom = 1; this.from = 0; this.to = 1; this.left = 130; }
  makeRoom(data, width) {
    const names = this.byTask ? [] : data.groups.map(([name]) => ruler.measureText(name).width + NUMBER + 14);
    this.left = Math.round(Math.min(Math.max(this.byTask ? 150 : 80, ...names), 280, width * 0.35));
  }
  extent(data) { return data.edges.reduce((most, edges) => Math.max(most, edges[edges.length - 1]), 1); }
  fit(data) { this.from = 0; this.to = this.extent(data) * 1.01; this.row = 0; this.zoom = 1; this.isFitted = true; }
  rows(data) { return this.byTask ? data.ids.length : data.rows.length; }
  size(data, height) { return Math.min(22, Math.max(height / Math.max(1, this.rows(data)), this.byTask ? 0.01 : 3)) * this.zoom; }
  zoomTime(factor, centre) {
    const span = Math.min(Math.max((this.to - this.from) * factor, 0.01), 1e12);
    const share = (centre - this.from) / (this.to - this.from);
    this.from = centre - span * share; this.to = this.from + span; this.isFitted = false;
  }
  panTime(share) { const by = (this.to - this.from) * share; this.from += by; this.to += by; this.isFitted = false; }
  panRows(by, data, height) {
    const most = Math.max(0, this.rows(data) - height / this.size(data, height));
    this.row = Math.min(most, Math.max(0, this.row + by));
  }
}

function paint(pen, data, sight, width, height, text, line) {
  const left = sight.left, inner = width - left - RIGHT, tall = height - TOP - BOTTOM, size = sight.size(data, tall);
  const scale = inner / (sight.to - sight.from);
  const x = (ms) => left + (ms - sight.from) * scale;
  const step = ticks(sight.to - sight.from, Math.max(2, inner / 90));
  for (let tick = Math.ceil(sight.from / step) * step; tick <= sight.to; tick += step) {
    pen.rect(x(tick), TOP, 1, tall, line);
    if (x(tick) < left + inner - 36) pen.text(x(tick) + 2, height - 7, `${+(tick / 1000).toPrecision(6)} s`, text);
  }
  const gap = size > 6 ? 2 : size > 3 ? 1 : 0;
  const drawnTo = new Map();
  const part = (row, y, from, to, colour, share) => {
    const begin = Math.max(left, x(from)), end = Math.min(left + inner, Math.max(x(to), x(from) + 0.7));
    if (end <= left || begin >= left + inner) return;
    const key = `${Math.round(y)} ${colour}`;
    if (end - begin < 1 && end <= (drawnTo.get(key) ?? -1)) return; // Nothing would be seen of it.
    drawnTo.set(key, Math.max(end, begin + 1));
    const thick = Math.max(1, (size - gap) * share);
    pen.rect(begin, y + (size - gap - thick) / 2, Math.max(1, end - begin), thick, colour);
  };
  data.edges.forEach((edges, number) => {
    const row = sight.byTask ? number : data.row[number];
    const y = TOP + (row - sight.row) * size;
    if (row < 0 || y + size < TOP || y + size > TOP + tall + 1) return;
    for (let phase = sight.byTask ? 0 : RUN; phase < edges.length - 1; phase++) {
      const end = sight.byTask ? edges[phase + 1] : Math.min(edges[phase + 1], data.until[number]);
      part(row, y, edges[phase], end, PHASES[phase][1] ?? colourOf(data.states[number]), phase === RUN ? 1 : 0.5);
    }
  });
  const bottom = TOP + tall + 1;
  if (!sight.byTask) {
    for (const [name, first, count] of data.groups) { // At its first row in sight, if there is room for it.
      const from = TOP + (first - sight.row) * size, to = Math.min(bottom, from + count * size), y = Math.max(TOP, from);
      if (to <= TOP || from >= bottom) continue;
      if (from > TOP) pen.rect(4, from - 1, width - 4 - RIGHT, 1, line);
      if (to - y >= 10) pen.text(4, y + Math.max(size / 2 + 4, 10), fitted(name, left - NUMBER - 10), text);
    }
  }
  if (size < 9) return;
  for (let row = Math.ceil(sight.row); row < sight.rows(data); row++) {
    const y = TOP + (row - sight.row) * size;
    if (y + size > bottom) break;
    if (sight.byTask) pen.text(4, y + size / 2 + 4, fitted(`${data.ids[row]} ${data.titles[row]}`, left - 8), text);
    else pen.text(left - 6, y + size / 2 + 4, data.labels[row], text, true);
  }
}

function found(data, sight, height, width, px, py) {
  const tall = height - TOP - BOTTOM, size = sight.size(data, tall);
  const row = Math.floor((py - TOP) / size + sight.row), per = (sight.to - sight.from) / (width - sight.left - RIGHT);
  const at = sight.from + (px - sight.left) * per;
  if (px < sight.left) return -1;
  if (sight.byTask) return row >= 0 && row < data.ids.length ? row : -1;
  let best = -1, least = 4 * per;
  data.edges.forEach((edges, number) => {
    if (data.row[number] !== row) return;
    const from = edges[RUN], to = data.until[number];
    const away = at < from ? from - at : at > to ? at - to : 0;
    if (away < least || (away === 0 && best < 0)) { best = number; least = Math.max(away, 1e-9); }
  });
  return best;
}

function describe(data, number) {
  const edges = data.edges[number];
  const parts = edges.slice(1).map((edge, phase) => `${PHASES[phase][0]} ${seconds(edge - edges[phase])}`);
  const began = new Date(data.begin + edges[0]).toLocaleTimeString();
  const where = data.rows[data.row[number]] ?? data.endpoints[number];
  return `${data.ids[number]} · ${data.titles[number]} · ${where} · ${data.states[number]} · accepted ${began}\n${parts.join(" · ")}`;
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function render({ model, el }) {
  const sight = new Sight();
  let data = model.get("data"), chosen = -1, drag = null, frame = 0;
  el.classList.add("funcx-timeline");
  const make = (tag, parent, set = {}) => { const made = Object.assign(document.createElement(tag), set); parent.append(made); return made; };
  const bar = make("div", el, { className: "bar" });
  const about = make("span", bar, { className: "about" });
  const canvas = make("canvas", el, { tabIndex: 0 });
  canvas.setAttribute("role", "img");
  const details = make("div", el, { className: "details" });
  details.setAttribute("aria-live", "polite");
  const legend = make("div", el, { className: "legend" });
  const key = [...PHASES.filter(([, colour]) => colour), ...Object.entries(COLOURS)];
  for (const [name, colour] of key) {
    const item = make("span", legend);
    make("i", item).style.background = colour;
    item.append(name);
  }
  const button = (label, title, act) => { const made = make("button", bar, { type: "button", textContent: label, title }); made.onclick = act; return made; };
  const workers = button("By worker", "A row for each worker", () => mode(false));
  const tasks = button("By task", "A row for each task, with what it waited for", () => mode(true));
  button("+", "Zoom in (+)", () => zoom(0.6));
  button("−", "Zoom out (-)", () => zoom(1 / 0.6));
  button("Fit", "Show all (0)", () => { sight.fit(data); soon(); });
  button("SVG", "Save what is in sight as SVG", () => save("timeline.svg", new Blob([svg()], { type: "image/svg+xml" })));
  button("PNG", "Save what is in sight as PNG", () => canvas.toBlob((blob) => save("timeline.png", blob)));

  const width = () => canvas.clientWidth || 800;
  const middle = () => (sight.from + sight.to) / 2;
  const height = () => (sight.byTask ? HEIGHT : Math.min(HEIGHT, TOP + BOTTOM + Math.max(3, data.rows.length) * 22));
  const tall = () => height() - TOP - BOTTOM;
  const soon = () => { if (!frame) frame = requestAnimationFrame(draw); };
  const zoom = (factor, centre = middle()) => { sight.zoomTime(factor, centre); soon(); };
  const mode = (byTask) => { sight.byTask = byTask; sight.row = 0; sight.zoom = 1; choose(-1); soon(); };
  const choose = (number) => {
    chosen = number;
    details.textContent = number < 0 ? "Drag or arrow keys to move, + and - or the wheel (click first) to zoom, 0 for all." : describe(data, number);
  };
  const point = (x, y) => { // At the names: which worker it is.
    const row = Math.floor((y - TOP) / sight.size(data, tall()) + sight.row);
    if (sight.byTask || x >= sight.left || !data.rows[row]) return choose(found(data, sight, height(), width(), x, y));
    const count = data.row.filter((each) => each === row).length;
    details.textContent = `${data.rows[row]}: ${count === 1 ? "1 task" : `${count} tasks`}`;
  };
  const colours = () => { const style = getComputedStyle(el); return [style.color, style.getPropertyValue("--tl-line").trim() || "#888"]; };

  function draw() {
    frame = 0;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width() * ratio;
    canvas.height = height() * ratio;
    canvas.style.height = `${height()}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(el);
    context.fillStyle = style.backgroundColor;
    context.fillRect(0, 0, width(), height());
    ruler.font = context.font = `11px ${style.fontFamily}`;
    sight.makeRoom(data, width());
    const [text, line] = colours();
    paint(canvasPen(context), data, sight, width(), height(), text, resolved(line));
    workers.setAttribute("aria-pressed", String(!sight.byTask));
    tasks.setAttribute("aria-pressed", String(sight.byTask));
  }
  function resolved(colour) { // A canvas knows no light-dark().
    legend.style.borderColor = colour;
    return getComputedStyle(legend).borderTopColor;
  }
  function svg() {
    const parts = [], style = getComputedStyle(el), [text, line] = colours();
    paint(svgPen(parts), data, sight, width(), height(), text, resolved(line));
    const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width()}" height="${height()}" font-family="sans-serif" font-size="11">`;
    return `${head}<rect width="100%" height="100%" fill="${style.backgroundColor}"/>${parts.join("")}</svg>`;
  }
  function take() {
    data = model.get("data");
    about.textContent = data.about;
    canvas.setAttribute("aria-label", `Timeline. ${data.about}`);
    if (sight.isFitted) sight.fit(data);
    choose(chosen < data.ids.length ? chosen : -1);
    soon();
  }

  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && el.getRootNode().activeElement !== canvas) return; // The page scrolls on.
    event.preventDefault();
    const factor = event.deltaY > 0 ? 1.2 : 1 / 1.2;
    if (event.shiftKey) { sight.zoom = Math.max(1, sight.zoom / factor); sight.panRows(0, data, tall()); return soon(); }
    zoom(factor, sight.from + ((event.offsetX - sight.left) / (width() - sight.left - RIGHT)) * (sight.to - sight.from));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("moving");
    drag = [event.offsetX, event.offsetY];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return point(event.offsetX, event.offsetY);
    sight.panTime((drag[0] - event.offsetX) / (width() - sight.left - RIGHT));
    sight.panRows((drag[1] - event.offsetY) / sight.size(data, tall()), data, tall());
    drag = [event.offsetX, event.offsetY];
    soon();
  });
  const drop = () => { drag = null; canvas.classList.remove("moving"); };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("dblclick", () => { sight.fit(data); soon(); });
  canvas.addEventListener("keydown", (event) => {
    const page = tall() / sight.size(data, tall());
    const moves = {
      ArrowLeft: () => sight.panTime(-0.1), ArrowRight: () => sight.panTime(0.1),
      ArrowUp: () => sight.panRows(-Math.max(1, page / 10), data, tall()), ArrowDown: () => sight.panRows(Math.max(1, page / 10), data, tall()),
      PageUp: () => sight.panRows(-page, data, tall()), PageDown: () => sight.panRows(page, data, tall()),
      "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: () => sight.fit(data), Home: () => sight.fit(data),
      "]": () => { sight.zoom *= 1.5; }, "[": () => { sight.zoom = Math.max(1, sight.zoom / 1.5); sight.panRows(0, data, tall()); },
      n: () => choose(Math.min(data.ids.length - 1, chosen + 1)), p: () => choose(Math.max(0, chosen - 1)),
    };
    const move = event.ctrlKey || event.metaKey || event.altKey ? undefined : moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    move();
    soon();
  });
  const resized = new ResizeObserver(soon);
  resized.observe(canvas);
  const themed = new MutationObserver(soon);
  themed.observe(document.body, { attributes: true });
  model.on("change:data", take);
  take();
  return () => { resized.disconnect(); themed.disconnect(); model.off("change:data", take); };
}

export default { render };
