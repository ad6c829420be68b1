// A picture in a notebook with places that can be clicked on, or reached by keyboard.

function render({ model, el }) {
  el.classList.add("mfkit", "mfkit-picture");
  const image = document.createElement("img"), layer = document.createElement("div");
  layer.className = "places";
  const buttons = new Map();
  const show = () => {
    const old = image.src;
    image.src = URL.createObjectURL(new Blob([model.get("value")], { type: "image/png" }));
    image.alt = model.get("alt");
    if (old) URL.revokeObjectURL(old);
  };
  const place = () => {
    const areas = model.get("areas"), seen = new Set(areas.map(({ name }) => name));
    for (const [name, button] of buttons) {
      if (!seen.has(name)) {
        button.remove();
        buttons.delete(name);
      }
    }
    for (const area of areas) {
      if (!buttons.has(area.name)) buttons.set(area.name, added(area.name));
      const button = buttons.get(area.name);
      button.area = area;
      [button.style.left, button.style.top, button.style.width, button.style.height] =
        area.box.map((share) => `${100 * share}%`);
      button.title = area.label;
      button.setAttribute("aria-label", area.label);
      button.className = area.grid ? "grid" : "dot";
      button.tabIndex = area.grid ? 0 : -1; // hundreds of dots are no way to walk: there is a list
    }
  };
  const added = (name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.area = name;
    button.addEventListener("click", (event) => {
      const { key, grid } = button.area;
      const box = button.getBoundingClientRect();
      const step = (at, from, long, steps) =>
        Math.min(Math.max(Math.floor(((at - from) / long) * steps), 0), steps - 1);
      model.send(grid && event.detail
        ? { key, position: [step(event.clientY, box.top, box.height, grid[0]),
            step(event.clientX, box.left, box.width, grid[1])] }
        : { key });
    });
    button.addEventListener("keydown", (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (!button.area.grid || !(event.key in move)) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook would choose another cell
      model.send({ key: button.area.key, move: move[event.key] });
    });
    layer.append(button);
    return button;
  };
  model.on("change:value", show);
  model.on("change:areas", place);
  show();
  place();
  el.append(image, layer);
  return () => {
    model.off("change:value", show);
    model.off("change:areas", place);
    URL.revokeObjectURL(image.src);
  };
}

export default { render };
