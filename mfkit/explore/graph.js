// A view graph as SVG whose arrows and views can be pressed. The page without a kernel and the
// notebook's widget both draw with this file. Names go through textContent and setAttribute only.

const SVG = ["svg", "path", "circle", "text", "rect", "line", "g", "marker", "defs", "title"];

function make(tag, attributes = {}, ...children) {
  const node = SVG.includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function pressable(label, pressed, act) {
  return { role: "button", tabindex: 0, "aria-label": label, "aria-pressed": String(pressed),
    onclick: act,
    onkeydown: (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation(); // a notebook would take it for itself
        act();
      }
    } };
}

// The first view stands in the middle if it is joined to all others or to none.
function places(count, edges) {
  const joined = edges.filter(([from, to]) => from === 0 || to === 0).length;
  const hub = Number(joined === 0 || joined === 2 * (count - 1));
  return Array.from({ length: count }, (_, view) => {
    if (view < hub) return [140, 117];
    const turn = (2 * Math.PI * (view - hub)) / Math.max(count - hub, 1);
    return [140 + 112 * Math.sin(turn), 117 - 92 * Math.cos(turn)];
  });
}

function arc([x, y], [u, v]) {
  const far = Math.hypot(u - x, v - y), [dx, dy] = [(u - x) / far, (v - y) / far];
  const through = far > 150; // past the view in the middle
  const bend = through ? 62 : 13, gap = 21, [nx, ny] = [-dy, dx];
  const side = through ? 8 : 5;
  const start = [x + gap * dx + side * nx, y + gap * dy + side * ny];
  const end = [u - gap * dx + side * nx, v - gap * dy + side * ny];
  const middle = [(x + u) / 2 + bend * nx, (y + v) / 2 + bend * ny];
  return `M${start}Q${middle} ${end}`;
}

let graphs = 0; // a marker is found by its name in the whole document

// shown: names and edges; whether an edge is `silent`; the view that is `chosen`; whether a view is
// `swapped` or `gone`; a `note` under each. acts: `mute` an edge, `choose` a view.
function drawGraph(svg, shown, acts) {
  const { names, edges } = shown, at = places(names.length, edges);
  svg.dataset.number ??= ++graphs;
  const tip = (kind) => make("marker", { id: `${kind}-${svg.dataset.number}`, class: kind,
    viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 9, markerHeight: 9,
    markerUnits: "userSpaceOnUse", orient: "auto" }, make("path", { d: "M0 0 8 4 0 8z" }));
  svg.setAttribute("aria-label", "Cameras, and the messages between them");
  const arrows = edges.map(([from, to]) => {
    const silent = shown.silent(from, to), curve = arc(at[from], at[to]);
    const press = pressable(`message from ${names[from]} to ${names[to]}`, silent,
      () => acts.mute(from, to));
    return make("g", { class: silent ? "silent" : "", "data-edge": `${from}-${to}`, ...press },
      make("title", {}, `${names[from]} tells ${names[to]}: click to mute`),
      make("path", { class: "hit", d: curve }),
      make("path", { class: "arrow", d: curve,
        "marker-end": `url(#${silent ? "no" : "tip"}-${svg.dataset.number})` }));
  });
  const views = names.map((name, view) => {
    const [x, y] = at[view], chosen = view === shown.chosen;
    const kind = [chosen && "chosen", shown.swapped(view) && "swapped", shown.gone(view) && "gone"];
    return make("g", { class: kind.filter(Boolean).join(" "), "data-view": view,
      ...pressable(`view ${name}`, chosen, () => acts.choose(view)) },
      make("circle", { cx: x, cy: y, r: 18 }),
      make("text", { class: "name", x, y }, name),
      make("text", { class: "moved", x, y: y + 27 }, shown.note(view)));
  });
  svg.replaceChildren(make("defs", {}, tip("tip"), tip("no")), ...arrows, ...views);
}
