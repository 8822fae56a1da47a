(function (root) {
  root.dataset.live = "";
  const data = JSON.parse(root.querySelector("script").textContent);
  const one = selector => root.querySelector(selector), all = selector => [...root.querySelectorAll(selector)];
  const view = one("[data-choice=view]"), measure = one("[data-choice=measure]"), field = one("input");
  const chart = one(".fl-chart"), plot = one(".fl-plot"), said = one("output");
  const place = (shape, where) => Object.entries(where).forEach(([name, value]) => shape.setAttribute(name, value));
  const fresh = (name, where) => {
    const shape = document.createElementNS(plot.namespaceURI, name);
    place(shape, where);
    return shape;
  };
  let chosen = Number(field.value), from = data.views[0];

  function signed(tenths) {
    return tenths === 0 ? "0.0" : (tenths > 0 ? "+" : "−") + (Math.abs(tenths) / 10).toFixed(1);
  }

  // Position of a picture on the sheet, in percent of what sticks out.
  function position(index) {
    const at = (place, of) => (100 * place / Math.max(1, of - 1)).toFixed(4) + "%";
    return `${at(index % data.columns, data.columns)} ${at(Math.floor(index / data.columns), data.lines)}`;
  }

  function choose(j) {
    const bars = all(".fl-bar"), x = 100 * (j + 0.5) / from.width + "%", facts = from.facts[j];
    bars.forEach((bar, k) => {
      bar.classList.toggle("fl-on", k === j);
      place(bar, k === j ? {x: k, width: 1} : {x: k + 0.2, width: 0.6});
    });
    chosen = j;
    field.value = j;
    place(one(".fl-at"), {x});
    one(".fl-at text").textContent = j;
    all(".fl-facts td").forEach((cell, row) => { cell.textContent = facts[row]; });
    all(".fl-pictures").forEach(list => [...list.children].forEach((item, rank) => {
      const end = Number(list.dataset.end), index = from.ends[j][end][rank], picture = item.firstChild;
      picture.style.backgroundPosition = position(index);
      picture.setAttribute("aria-label", data.words[index]);
      picture.title = data.words[index];
      item.lastChild.textContent = signed(from.scores[j][end][rank]);
    }));
    place(chart, {"aria-valuenow": j, "aria-valuetext": `coordinate ${j}: ${facts[0]} of the kurtosis`});
    said.textContent = `${from.name}: coordinate ${j} has ${facts[0]} of the kurtosis and lies furthest from the mean `
      + `in ${facts[3]} of the images; by the definition ${from.outlier[j] ? "an" : "not an"} outlier coordinate.`;
  }

  function draw() {
    const m = Number(measure.value), values = from.heights[m], top = from.tops[m], bars = one(".fl-bars");
    const high = value => 1000 * value / top;
    place(bars, {viewBox: `0 0 ${from.width} 1000`});
    bars.replaceChildren(...values.map((value, j) => fresh("rect", {
      class: "fl-bar", x: j + 0.2, y: 1000 - high(value), width: 0.6, height: high(value)})));
    all(".fl-tick").forEach((tick, n) => { tick.textContent = Number((n * top / 2).toPrecision(6)); });
    one(".fl-unit").textContent = data.units[m];
    all(".fl-plot > .fl-name").forEach(name => name.remove());
    from.named[m].forEach(j => {
      const name = fresh("text", {class: "fl-name", x: 100 * (j + 0.5) / from.width + "%",
        y: 100 - 100 * values[j] / top + "%", dy: "-0.3em", "text-anchor": "middle"});
      name.textContent = j;
      plot.append(name);
    });
    place(plot, {"aria-label": from.titles[m]});
    place(chart, {"aria-label": `Coordinate. ${from.titles[m]}`, "aria-valuemax": from.width - 1});
    choose(chosen);
  }

  // Other features have other coordinates: the one that adds most to their kurtosis comes first.
  function other() {
    from = data.views[Number(view.value)];
    chosen = from.named[1][0];
    field.max = from.width - 1;
    draw();
  }

  const within = j => Math.min(from.width - 1, Math.max(0, j));
  const steps = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
    Home: -Infinity, End: Infinity};
  chart.addEventListener("keydown", event => {
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(within(chosen + steps[event.key]));
  });
  plot.addEventListener("click", event => {
    const box = plot.getBoundingClientRect();
    choose(within(Math.floor(from.width * (event.clientX - box.left) / box.width)));
  });
  field.addEventListener("input", () => {
    const j = field.valueAsNumber;
    if (Number.isInteger(j) && j === within(j)) choose(j);
  });
  field.addEventListener("change", () => {
    if (Number.isFinite(field.valueAsNumber)) choose(within(Math.round(field.valueAsNumber)));
    field.value = chosen;
  });
  measure.addEventListener("change", draw);
  view.addEventListener("change", other);

  one(".fl-hint").remove();
  one(".fl-controls").hidden = false;
  place(chart, {role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-orientation": "horizontal"});
  draw();
})
