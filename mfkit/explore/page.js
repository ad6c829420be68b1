"use strict";
// Draws the state. Names, codes and titles go through textContent and setAttribute only.

const find = (id) => document.getElementById(id);

// ---- the graph

function drawOwnGraph() {
  const { what, which } = parsed(state.change);
  const gone = (view) => source(state.part, state.change, view) === null;
  drawGraph(find("graph"), {
    names,
    edges: talking < 0 ? [] : flows[talking].edges,
    chosen: state.view,
    silent: (from, to) => what === "silent" || gone(from) || gone(to) ||
      state.change === `mute-${names[from]}-${names[to]}`,
    swapped: (view) => what === "swap" && which[0] === names[view],
    gone,
    note: moved,
  }, {
    mute: (from, to) => toggle(`mute-${names[from]}-${names[to]}`),
    choose: (view) => set({ view }),
  });
  find("graph-note").textContent = talking < 0 ? "no flow here has messages"
    : state.change ? `image scores have moved so much in ${flows[talking].name}`
      : `messages in ${flows[talking].name}: click an arrow to mute it`;
}

// How the image score of a view has moved, in the flow whose arrows are drawn.
function moved(view) {
  if (!state.change) return "";
  const [before, now] = ["", state.change].map((change) =>
    answer(state.part, Math.max(talking, 0), change).views[view]);
  if (!before || !now) return "";
  return signed(now.image - before.image);
}

// ---- the maps

function tile(part, view, said, label, kind, before) {
  const seen = said?.views[view];
  if (said && !seen) {
    return make("button", { class: "tile", "aria-label": `${label}: no picture`,
      onclick: () => set({ view }) }, make("span", { class: "nothing" }, "camera missing"));
  }
  const from = seen ? seen.from : source(part, state.change, view);
  if (from === null) return tile(part, view, { views: [] }, label, kind);
  const edge = parts[from].outlines[view], { pixels } = data;
  const box = { x: (state.column * pixels) / width, y: (state.row * pixels) / height,
    width: pixels / width, height: pixels / height };
  const values = !seen || kind === null ? null : kind !== "change" ? seen[kind]
    : seen.score.map((value, at) => before?.views[view] ? value - before.views[view].score[at] : 0);
  return make("button", { class: "tile", "aria-label": label, "data-view": view,
    onclick: (event) => set({ view, ...(event.detail ? clicked(event) : {}) }),
    onkeydown: (event) => walk(event, view) },
    make("img", { src: parts[from].pictures[view], draggable: "false",
      alt: `${names[view]} of ${parts[from].title}` }),
    values ? painted(values, kind) : null,
    make("svg", { viewBox: `0 0 ${pixels} ${pixels}`, "aria-hidden": "true" },
      state.outline && edge ? make("path", { class: "edge", d: edge }) : null,
      view === state.view ? make("rect", { class: "mark", ...box }) : null,
      view === state.view ? make("rect", { class: "mark", ...box }) : null),
    from !== part ? make("span", { class: "from" }, parts[from].title) : null);
}

function clicked(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const share = (at, from, long, steps) =>
    Math.min(Math.max(Math.floor(((at - from) / long) * steps), 0), steps - 1);
  return { row: share(event.clientY, box.top, box.height, height),
    column: share(event.clientX, box.left, box.width, width) };
}

function walk(event, view) {
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
    ArrowRight: [0, 1] }[event.key] ?? [0, 0];
  if (!down && !right) return;
  event.preventDefault();
  set({ view, row: Math.min(Math.max(state.row + down, 0), height - 1),
    column: Math.min(Math.max(state.column + right, 0), width - 1) });
}

const tables = Object.fromEntries(
  Object.entries(data.colours).map(([name, text]) => [name, bytes(text)]));

function colour(value, kind) {
  const [low, high] = data.limits[kind], table = tables[kind === "score" ? kind : "signed"];
  const place = Math.round(255 * Math.min(Math.max((value - low) / (high - low), 0), 1));
  return table.subarray(3 * place, 3 * place + 3);
}

function painted(values, kind) {
  const canvas = make("canvas", { width, height });
  const image = new ImageData(width, height), [low, high] = data.limits[kind];
  values.forEach((value, at) => {
    const far = kind === "score" ? (value - low) / (high - low) : Math.abs(value) / high;
    const strength = Math.min(Math.max(far, 0), 1); // what is ordinary lets the picture through
    const cover = state.opacity ** (3 - 2.5 * strength);
    image.data.set([...colour(value, kind), 255 * cover], 4 * at);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function drawMaps() {
  const rows = [], kind = shownKind(), { change, part } = state;
  const twice = change && kind !== "change"; // a difference needs no picture of before
  if (!twice) rows.push(row("pictures", "", null, null, null));
  flows.forEach((flow, at) => {
    const before = answer(part, at, "");
    if (twice) rows.push(row(flow.name, "before", before, null, kind));
    const now = change ? answer(part, at, change) : before;
    rows.push(row(flow.name, change ? "now" : "", now, before, kind));
  });
  document.documentElement.style.setProperty("--rows", rows.length);
  find("maps").replaceChildren(...rows);
}

// Without a change there is no difference to show.
const shownKind = () => (state.map === "change" && !state.change ? "score" : state.map);

function row(name, when, said, before, kind) {
  const { what, which } = parsed(state.change);
  const cells = names.map((label, view) => {
    const swapped = when !== "before" && what === "swap" && which[0] === label;
    const text = caption(view, said, when === "now" ? before : null);
    return make("figure", { class: [view === state.view && "chosen", swapped && "swapped"]
      .filter(Boolean).join(" ") },
      tile(state.part, view, said, `${name} ${when} ${text.join(" ")}`.replace(/ +/g, " "), kind,
        before),
      make("figcaption", {}, make("span", { class: "name" }, text[0] + " "), text[1], make("span", { class: "moved" }, text[2] ?? "")));
  });
  return make("div", { class: `row ${when}`, "data-row": `${name} ${when}`.trim() },
    make("h3", {}, name + " ", make("i", {}, when)), ...cells);
}

// Name of the view, its number, and by how much that has moved.
function caption(view, said, before) {
  const { codes } = parts[state.part];
  if (!said) return [names[view], codes[view] === "OK" ? "sound" : codes[view]];
  const seen = said.views[view], old = before?.views[view];
  const [field, digits] = state.map === "agreement" ? ["agrees", 1] : ["image", 2];
  if (!seen || seen[field] === null) return [names[view], ""];
  const text = [names[view], number(seen[field], digits)];
  const change = old && old[field] !== null ? seen[field] - old[field] : 0;
  if (Math.abs(change) >= 0.5 * 10 ** -digits) text.push(` ${signed(change, digits)}`);
  return text;
}

// ---- numbers

const RULES = { max: ["maximum", 2], mean: ["mean", 2], agreement: ["agreement", 1] };

function drawNumbers() {
  find("numbers").replaceChildren(...flows.flatMap((flow, at) => {
    const before = answer(state.part, at, "");
    const now = state.change ? answer(state.part, at, state.change) : before;
    return [make("h2", {}, flow.name), ...Object.keys(RULES).map((rule) =>
      now[rule] !== null ? scored(flow, rule, before[rule], now[rule])
        : make("p", { class: "score unit" }, "agreement: unknown, no message is heard"))];
  }));
}

function scored(flow, rule, before, now) {
  const [name, digits] = RULES[rule], found = flow.scores[rule];
  const sound = found.filter((_, at) => !data.labels[at]);
  const below = sound.filter((value) => value < now).length;
  const figure = state.change ? `${number(before, digits)} \u2192 ${number(now, digits)}`
    : number(now, digits);
  return make("div", { class: "score", "data-score": `${flow.name} ${rule}` },
    make("p", {}, name, make("b", {}, figure),
      make("span", { class: "rank" }, `above ${below}/${sound.length} sound`)),
    strip(flow, rule, before, now));
}

function strip(flow, rule, before, now) {
  const able = flows.filter(({ edges }) => rule !== "agreement" || edges.length);
  const all = able.flatMap((one) => one.scores[rule]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  // logarithmic beyond what is usual: some parts score a thousand times as high as others
  const usual = Math.min(...able.map(({ thresholds }) => thresholds[rule])) - low || 1;
  const log = (value) => Math.log1p(Math.max(value - low, 0) / usual);
  const x = (value) => 6 + 288 * Math.min(log(value) / (log(high) || 1), 1.01);
  const dots = flow.scores[rule].map((value, at) => make("circle", { cx: x(value),
    cy: data.labels[at] ? 15 : 5, r: 2.6, opacity: 0.55,
    fill: data.palette[data.labels[at] ? "defective" : "sound"] }));
  const limit = x(flow.thresholds[rule]);
  const triangle = (value, fill) => make("path", { fill, stroke: data.palette.ink,
    "stroke-width": 1.3, d: `M${x(value)} 11l-5 9h10z` });
  return make("svg", { viewBox: "0 0 300 21", role: "img",
    "aria-label": `${flow.scores[rule].length} parts on a line, this one marked` },
    make("line", { x1: 0, x2: 300, y1: 10, y2: 10, stroke: "#d8d8d8" }), ...dots,
    make("line", { x1: limit, x2: limit, y1: 0, y2: 20, stroke: data.palette.ink,
      "stroke-dasharray": "3 2" }),
    state.change ? triangle(before, "none") : null, triangle(now, data.palette.ink));
}

function drawPosition() {
  const { part, change, view, row: y, column: x } = state, place = y * width + x;
  find("place").textContent = `${names[view]}, row ${y}, column ${x}`;
  const from = source(part, change, view);
  find("enlarged").replaceChildren(make("figure", {}, tile(part, view, from === null
    ? { views: [] } : null, `${names[view]} enlarged`, null)));
  const lines = flows.map((flow, at) => {
    const [before, now] = ["", change].map((key) => answer(part, at, key).views[view]);
    const cells = [before?.score, ...(change ? [now?.score] : []), now?.alone, now?.gap];
    return make("tr", {}, make("th", { scope: "row" }, flow.name), ...cells.map((values) =>
      make("td", {}, values ? number(values[place], 2) : "\u2013")));
  });
  const heads = ["", ...(change ? ["before", "now"] : ["score"]), "muted", "gap"];
  find("reading").replaceChildren(
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...lines));
}

// ---- words and controls

function drawTruth() {
  const part = parts[state.part], kind = part.defective ? "defective" : "sound";
  const where = names.filter((_, view) => part.codes[view] !== "OK");
  const meaning = part.meaning ? `${part.meaning} (code ${part.code})` : `code ${part.code}`;
  const seen = where.length === names.length ? "every view shows it"
    : where.length ? `it shows in ${where.join(", ")}` : "no single view shows it";
  find("truth").style.setProperty("--kind", data.palette[kind]);
  find("truth").replaceChildren(`${part.title}: `, make("b", {}, kind),
    part.defective ? `, ${meaning}; ${seen}.` : ", nothing is wrong with it.",
    part.why ? ` Chosen as ${part.why}.` : "", state.change ? ` Changed: ${said(state.change)}.` : "");
}

function said(change) {
  const { what, which } = parsed(change), [first, second] = which;
  return {
    silent: () => "all messages are muted",
    mute: () => `the message from ${first} to ${second} is muted`,
    swap: () => `${first} is taken from ${donor(second)}`,
    gone: () => `camera ${first} is missing`,
  }[what]();
}

const donor = (number) => parts[parts[state.part].donors[number - 1]].title;

function drawControls() {
  find("parts").replaceChildren(...parts.map((part, at) => make("button",
    { "aria-current": String(at === state.part), onclick: () => set({ part: at, change: "", ...highest(at) }),
      title: part.why, style: `--kind: ${data.palette[part.defective ? "defective" : "sound"]}` },
    make("img", { src: part.pictures.find((_, view) => part.present[view]), alt: "" }),
    part.title)));
  const name = names[state.view];
  find("change-view").textContent = name;
  const press = (text, change) => make("button", { "data-change": change,
    "aria-pressed": String(state.change === change), onclick: () => toggle(change),
    disabled: !changes(state.part).includes(change) && "" }, text);
  find("change").replaceChildren(
    ...parts[state.part].donors.map((_, at) => press(`${name} of ${donor(at + 1)}`,
      `swap-${name}-${at + 1}`)),
    press(`no camera ${name}`, `gone-${name}`),
    ...(talking < 0 ? [] : [press("mute all messages", "silent")]),
    make("button", { id: "as-it-is", onclick: () => set({ change: "" }),
      disabled: !state.change && "" }, "as it is"));
  for (const kind of Object.keys(KINDS)) {
    find(`kind-${kind}`).checked = state.map === kind;
  }
  find("opacity").value = state.opacity;
  find("outline").checked = state.outline;
  const kind = shownKind(), [low, high] = data.limits[kind];
  find("unit").textContent = kind === "agreement" ? "spreads" : "nats per channel";
  [find("low").textContent, find("high").textContent] = [number(low), number(high)];
  const line = find("colours").getContext("2d"), image = new ImageData(256, 1);
  for (let at = 0; at < 256; at++) {
    image.data.set([...colour(low + ((high - low) * at) / 255, kind), 255], 4 * at);
  }
  line.putImageData(image, 0, 0);
}

function drawTry() {
  find("try").replaceChildren(...data.questions.map(({ text, state: there }) => {
    const { part, view, ...rest } = there;
    const whole = { ...START, ...rest, part, view };
    return make("li", {}, make("a", { href: address(whole) }, text));
  }));
}

function draw() {
  const held = focusPath(document.activeElement);
  drawTruth();
  drawControls();
  drawOwnGraph();
  drawMaps();
  drawNumbers();
  drawPosition();
  held?.()?.focus({ preventScroll: true });
}

// The way to the control that has the focus: drawing makes all of them anew.
function focusPath(node) {
  const box = node?.closest?.("#graph, #parts, #change, #maps, #enlarged");
  if (!box) return null;
  const all = () => [...box.querySelectorAll("button, [role=button]")];
  const place = all().indexOf(node), row = node.closest(".row")?.dataset.row;
  const view = node.dataset.view;
  return () => (row && box.querySelector(`[data-row="${CSS.escape(row)}"] [data-view="${view}"]`)) ||
    all()[place];
}

function hide() {
  const wanted = (new URLSearchParams(location.search).get("hide") ?? "").split(",");
  const able = [...document.querySelectorAll("[data-hide]")];
  for (const node of able) node.hidden = wanted.includes(node.dataset.hide);
  for (const side of ["left", "right"]) {
    if (able.filter((node) => find(side).contains(node)).every((node) => node.hidden)) {
      find(side).hidden = true;
      document.documentElement.style.setProperty(`--${side}`, "0px");
    }
  }
  find("hide-names").textContent = able.map((node) => node.dataset.hide).join(", ");
}

function begin() {
  for (const [name, colour] of Object.entries(data.palette)) {
    document.documentElement.style.setProperty(`--${name}`, colour);
  }
  document.documentElement.style.setProperty("--views", names.length);
  document.title = `Multi-Flow: ${data.title}`;
  find("title").textContent = data.title;
  find("about").textContent = data.about;
  for (const [kind, text] of Object.entries(KINDS)) {
    find("kinds").append(make("label", {}, make("input", { type: "radio", name: "kind",
      id: `kind-${kind}`, onchange: () => set({ map: kind }) }), text));
  }
  find("opacity").addEventListener("change", (event) => set({ opacity: +event.target.value }));
  find("outline").addEventListener("change", (event) => set({ outline: event.target.checked }));
  find("open-help").addEventListener("click", () => find("help").showModal());
  addEventListener("hashchange", () => {
    if (location.hash === address(state)) return;
    state = restored(location.hash);
    draw();
  });
  hide();
  state = restored(location.hash);
  drawTry();
  draw();
}

begin();
