// The graph in a notebook: `graph.js` stands before this file.

function render({ model, el }) {
  el.classList.add("mfkit");
  const svg = make("svg", { class: "flow-graph", role: "group", viewBox: "0 0 280 250" });
  const draw = () => {
    const held = document.activeElement?.closest?.("[data-edge], [data-view]");
    const kept = held && svg.contains(held) &&
      (held.dataset.edge ? `[data-edge="${held.dataset.edge}"]` : `[data-view="${held.dataset.view}"]`);
    const { names, edges, chosen, swapped, gone, notes } = model.get("shown");
    const muted = model.get("value");
    drawGraph(svg, {
      names, edges, chosen,
      silent: (from, to) => gone.includes(from) || gone.includes(to) ||
        muted.some(([j, i]) => j === from && i === to),
      swapped: (view) => swapped.includes(view),
      gone: (view) => gone.includes(view),
      note: (view) => notes[view],
    }, {
      mute: (from, to) => model.send({ edge: [from, to] }),
      choose: (view) => model.send({ view }),
    });
    if (kept) svg.querySelector(kept)?.focus({ preventScroll: true });
  };
  model.on("change:shown", draw);
  model.on("change:value", draw);
  draw();
  el.append(svg);
  return () => {
    model.off("change:shown", draw);
    model.off("change:value", draw);
  };
}

export default { render };
