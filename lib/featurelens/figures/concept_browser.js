(function (root) {
  root.dataset.live = "";
  const data = JSON.parse(root.querySelector("script").textContent);
  const one = selector => root.querySelector(selector), all = selector => [...root.querySelectorAll(selector)];
  const view = one("[data-choice=view]"), concept = one("[data-choice=concept]"), field = one("input");
  const present = data.present.map(places => new Set(places)), count = data.names.length;
  let from, direction = Number(field.value), now = Number(concept.value);

  // Average precisions of a network, directions x concepts: four bytes each, negative where read downwards.
  const unpacked = data.views.map(({ap}) => {
    const bytes = Uint8Array.from(atob(ap), letter => letter.charCodeAt(0)), numbers = new DataView(bytes.buffer);
    return Array.from({length: bytes.length / 4}, (_, index) => numbers.getInt32(4 * index, true));
  });
  const signed = (k, t) => unpacked[Number(view.value)][k * count + t];
  const shown = value => (Math.floor(Math.abs(value) / (data.unit / 1000)) / 1000).toFixed(3);
  const found = value => Math.abs(value) >= data.threshold;
  const read = value => value < 0 ? "lowest" : "highest", arrow = value => value < 0 ? "↓" : "↑";

  // Places of the largest values, the first of equal ones first.
  function order(values) {
    return values.map((_, place) => place).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  }

  function position(index) {
    const at = (place, of) => (100 * place / Math.max(1, of - 1)).toFixed(4) + "%";
    return `${at(index % data.columns, data.columns)} ${at(Math.floor(index / data.columns), data.lines)}`;
  }

  function element(tag, name, ...inside) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...inside);
    return made;
  }

  // Rows that are the same as before stay, and with them the focus.
  function list(which, places, entry, chosen, choose) {
    const body = one(`[data-list=${which}] tbody`), key = `${view.value} ${entry.key} ${places}`;
    if (body.dataset.key !== key) {
      body.dataset.key = key;
      body.replaceChildren(...places.map(place => {
        const {name, words, value} = entry.of(place), button = element("button", "", name), bar = element("i");
        button.type = "button";
        button.addEventListener("click", () => choose(place));
        bar.style.width = 100 * Math.abs(value) / data.unit + "%";
        const track = element("span", "fl-track", bar), head = element("th", "", button);
        track.setAttribute("aria-hidden", "true");
        head.scope = "row";
        return element("tr", "", head, element("td", "fl-words", words), element("td", "", track),
          element("td", "", shown(value)), element("td", "", found(value) ? "✓" : ""));
      }));
    }
    places.forEach((place, row) => {
      if (place === chosen) body.rows[row].setAttribute("aria-current", "true");
      else body.rows[row].removeAttribute("aria-current");
    });
  }

  function draw() {
    const value = signed(direction, now), name = data.names[now], places = from.ends[direction][value < 0 ? 1 : 0];
    const column = Array.from({length: from.width}, (_, k) => signed(k, now));
    const line = data.names.map((_, t) => signed(direction, t));
    field.value = direction;
    concept.value = now;
    all(".fl-concept").forEach(text => { text.textContent = name; });
    all(".fl-direction").forEach(text => { text.textContent = direction; });
    [...one(".fl-pictures").children].forEach((item, rank) => {
      const index = places[rank], shows = present[now].has(index), picture = item.firstChild;
      const words = `${data.words[index]}; ${shows ? "shows" : "does not show"} ${name}`;
      item.classList.toggle("fl-shows", shows);
      item.lastChild.textContent = shows ? "✓ yes" : "– no";
      picture.style.backgroundPosition = position(index);
      picture.setAttribute("aria-label", words);
      picture.title = words;
    });
    list("directions", order(column).slice(0, data.listed), {key: now, of: k => (
      {name: k, words: `${arrow(column[k])}\u00a0${read(column[k])}`, value: column[k]})}, direction, k => { direction = k; draw(); });
    list("concepts", order(line).slice(0, Math.max(data.listed, line.filter(found).length)), {key: direction, of: t => (
      {name: data.names[t], words: `${data.categories[t]}\u00a0${arrow(line[t])}`, value: line[t]})},
      now, t => { now = t; draw(); });
    const hits = places.filter(index => present[now].has(index)).length;
    one("output").textContent = `${name}, direction ${direction} of ${from.name}, ${read(value)} scores first: `
      + `average precision ${shown(value)}, ${found(value) ? "detected" : "not detected"}. By luck the best of ${from.width} has `
      + `${from.luck[now]}. It shows in ${hits} of the first ${places.length} pictures and in `
      + `${(100 * present[now].size / data.words.length).toFixed(0)} % of all.`;
  }

  function best() {
    direction = order(Array.from({length: from.width}, (_, k) => signed(k, now)))[0];
    draw();
  }

  function other() {
    from = data.views[Number(view.value)];
    field.max = from.width - 1;
  }

  view.addEventListener("change", () => { other(); best(); });
  concept.addEventListener("change", () => { now = Number(concept.value); best(); });
  field.addEventListener("input", () => {
    const k = field.valueAsNumber;
    if (Number.isInteger(k) && k >= 0 && k < from.width) { direction = k; draw(); }
  });
  field.addEventListener("change", () => {
    const k = Math.round(field.valueAsNumber);
    if (Number.isFinite(k)) { direction = Math.min(from.width - 1, Math.max(0, k)); draw(); }
    field.value = direction;
  });

  one(".fl-hint").remove();
  one(".fl-controls").hidden = false;
  other();
  draw();
})
