(function (root) {
  root.dataset.live = "";
  const data = JSON.parse(root.querySelector("script").textContent);
  const one = selector => root.querySelector(selector), all = selector => [...root.querySelectorAll(selector)];
  const range = one("input"), model = one("[data-choice=model]"), order = one("[data-choice=order]");
  const chosen = select => select ? Number(select.value) : 0;
  const percent = value => (value / 10).toFixed(1), height = value => 100 - 100 * value / data.top + "%";
  const place = (shape, where) => Object.entries(where).forEach(([name, value]) => shape.setAttribute(name, value));
  let curves, last = Number(range.max);

  // A string holds the curves of one model and order, one after the other: tenths of a percent, two bytes each.
  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
    const values = Array.from({length: bytes.length / 2}, (_, index) => view.getUint16(2 * index, true));
    return data.sets.map((_, set) => values.slice(set * (last + 1), (set + 1) * (last + 1)));
  }

  function removed(k) {
    const share = 100 * (last - k) / last;
    if (share > 0 && share < 1) return "less than 1";
    return share > 99 && share < 100 ? "more than 99" : Math.round(share);
  }

  function difference(points) {
    return (points > 0 ? "+" : points < 0 ? "−" : "") + percent(Math.abs(points));
  }

  function move() {
    const k = Number(range.value), x = 100 * k / last + "%", kept = `${k} of ${last} directions kept`;
    place(one(".fl-marker"), {x1: x, x2: x});
    all(".fl-dot").forEach((dot, set) => place(dot, {cx: x, cy: height(curves[set][k])}));
    one("thead .fl-at").textContent = k;
    all("tbody tr").forEach((row, set) => {
      const here = curves[set][k], full = curves[set][last];
      [percent(here), percent(full), difference(here - full)].forEach((text, cell) => {
        row.cells[cell + 1].textContent = text;
      });
    });
    range.setAttribute("aria-valuetext", kept);
    range.style.setProperty("--fl-share", k / last);
    one("output").textContent = `${kept} (${removed(k)}\u00a0% removed): ${data.sets[0]} `
      + `${percent(curves[0][k])}\u00a0% (full head ${percent(curves[0][last])}\u00a0%)`;
  }

  // Another model may have another number of directions: the share that is kept stays.
  function draw() {
    const m = chosen(model), o = chosen(order), share = range.value / last;
    last = data.lasts[m];
    curves = unpack(data.curves[m][o]);
    range.max = last;
    range.value = Math.round(share * last);
    all("polyline").forEach((line, set) => {
      place(line.parentNode, {viewBox: `0 ${-data.top} ${last} ${data.top}`});
      place(line, {points: curves[set].map((value, k) => `${k},${-value}`).join(" ")});
    });
    all(".fl-full").forEach((line, set) => place(line, {y1: height(curves[set][last]), y2: height(curves[set][last])}));
    all(".fl-leader").forEach((line, set) => place(line, {y1: height(curves[set][last]), y2: data.ends[m][o][set] + "%"}));
    all(".fl-end").forEach((text, set) => place(text, {y: data.ends[m][o][set] + "%"}));
    all(".fl-ticks").forEach((ticks, index) => { ticks.style.display = index === m ? "inline" : "none"; });
    one(".fl-plot").setAttribute("aria-label", data.titles[m][o]);
    move();
  }

  one(".fl-hint").remove();
  one(".fl-controls").hidden = range.hidden = false;
  [model, order].forEach(select => select && select.addEventListener("change", draw));
  range.addEventListener("input", move);
  draw();
})
