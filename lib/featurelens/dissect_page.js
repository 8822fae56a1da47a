(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const kinds = ["concept", "direction"], other = {concept: "direction", direction: "concept"};
  const arrows = [["↑", "highest scores first"], ["↓", "lowest scores first"]];
  const sections = Object.fromEntries(kinds.map(kind => [kind, document.getElementById(kind + "s")]));
  const rows = Object.fromEntries(kinds.map(kind => [kind, all("tbody tr", sections[kind])]));
  const query = one("input[type=search]"), only = one("input[type=checkbox]");

  // Pairs come strongest first, so every list of them does.
  const lists = {concept: new Map(), direction: new Map()};
  data.pairs.code.forEach((code, pair) => kinds.forEach(kind => {
    const id = data.pairs[kind][pair];
    if (!lists[kind].has(id)) lists[kind].set(id, []);
    lists[kind].get(id).push({concept: data.pairs.concept[pair], direction: data.pairs.direction[pair], ap: (code >> 2) / 1000, found: code & 2, down: code & 1});
  }));

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function precision({ap, found, concept}) {
    const bar = element("span", {}, element("i"));
    bar.style.cssText = `--v: ${ap}; --luck: ${data.luck[concept]}`;
    bar.setAttribute("aria-hidden", "true");
    return element("span", {className: found ? "ap found" : "ap"}, element("b", {textContent: ap.toFixed(3)}), bar);
  }

  function sense(down) {
    const made = element("span", {textContent: arrows[down][0], title: arrows[down][1]});
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", arrows[down][1]);
    return made;
  }

  function images(direction) {
    const addresses = (data.pictures.of_direction[direction] || []).map(place => data.pictures.uris[place]);
    return addresses.map(src => element("img", {src, alt: "", decoding: "async"}));
  }

  function pair(kind, each) {
    const {concept, direction, down} = each;
    const link = kind === "concept"
      ? element("a", {href: `#direction-${direction}`, textContent: `direction ${direction}`})
      : element("a", {href: `#concept-${concept}`, textContent: data.concepts[concept]});
    const category = kind === "concept" ? "" : element("small", {textContent: ` ${data.categories[concept]}`});
    return element("li", {}, element("span", {}, link, " ", sense(down), category), precision(each));
  }

  function detail(kind, id) {
    const pairs = lists[kind].get(id), best = pairs[0], list = element("ol", {}, ...pairs.slice(0, data.top).map(p => pair(kind, p)));
    const left = element("div", {}, element("p", {textContent: kind === "concept" ? "Directions that detect it best" : "Concepts it detects best"}), list);
    if (pairs.length > data.top) {
      const more = element("button", {type: "button", textContent: `Show all ${pairs.length} listed`});
      more.addEventListener("click", () => {
        list.append(...pairs.slice(data.top).map(p => pair(kind, p)));
        more.remove();
        one("a", list.children[data.top]).focus();
      });
      left.append(element("p", {}, more));
    }
    const both = element("div", {className: "both"}, left), shown = images(best.direction);
    // A direction's pictures are those at one of its ends.
    if (shown.length && (kind === "direction" || best.down === lists.direction.get(best.direction)[0].down)) {
      const end = `Images with the ${best.down ? "lowest" : "highest"} scores along direction ${best.direction}`;
      both.append(element("div", {}, element("p", {textContent: end}), element("div", {className: "pictures"}, ...shown)));
    }
    const cell = element("td", {}, both), row = element("tr", {className: "detail"}, cell);
    cell.colSpan = one("thead tr", sections[kind]).cells.length;
    return row;
  }

  function close() {
    all(".detail").forEach(row => row.remove());
    all("tr.open").forEach(row => {
      row.classList.remove("open");
      one("a", row).setAttribute("aria-expanded", "false");
    });
  }

  // The address says what is open: #concepts, #directions, #concept-3, #direction-12.
  function route() {
    const [, kind, id] = location.hash.match(/^#(concept|direction)(?:s|-(\d+))$/) || [null, "concept"];
    const row = id && document.getElementById(`${kind}-${id}`);
    kinds.forEach(name => { sections[name].hidden = name !== kind; });
    all("nav a").forEach((link, index) => link.setAttribute("aria-current", kinds[index] === kind));
    close();
    if (!row) return;
    if (row.hidden) {
      query.value = "";
      only.checked = false;
      filter();
    }
    row.after(detail(kind, Number(id)));
    row.classList.add("open");
    one("a", row).setAttribute("aria-expanded", "true");
    one("a", row).focus({preventScroll: true});
    row.scrollIntoView({block: "nearest"});
    row.nextSibling.scrollIntoView({block: "nearest"});
    row.scrollIntoView({block: "nearest"});
  }

  function go(hash) {
    history.pushState(null, "", hash);
    route();
  }

  // A word of letters is found anywhere; a number is a direction's, from its first digit on.
  const words = {
    concept: row => {
      const id = Number(row.id.split("-")[1]);
      return [`${data.concepts[id]} ${data.categories[id]}`, [row.dataset.direction]];
    },
    direction: row => {
      const id = Number(row.id.split("-")[1]);
      const named = lists.direction.get(id).filter((p, place) => place === 0 || p.found);
      return [named.map(p => `${data.concepts[p.concept]} ${data.categories[p.concept]}`).join(" "), [String(id)]];
    },
  };
  const found = new Map(kinds.flatMap(kind => rows[kind].map(row => {
    const [text, numbers] = words[kind](row);
    return [row, {text: text.toLowerCase(), numbers}];
  })));

  function filter() {
    const tokens = query.value.toLowerCase().split(/\s+/).filter(Boolean), counts = [];
    kinds.forEach((kind, place) => {
      const kept = rows[kind].filter(row => {
        const {text, numbers} = found.get(row);
        const fits = tokens.every(token => text.includes(token) || numbers.some(number => number.startsWith(token)));
        row.hidden = !fits || (only.checked && !("found" in row.dataset));
        return !row.hidden;
      });
      const whole = rows[kind].length.toLocaleString("en"), part = kept.length.toLocaleString("en");
      one(`nav a:nth-child(${place + 1}) .count`).textContent = part === whole ? whole : `${part} of ${whole}`;
      one(".none", sections[kind]).hidden = kept.length > 0;
      counts.push(`${kept.length} ${kind}s`);
    });
    all(".detail").forEach(row => { row.hidden = row.previousSibling.hidden; });
    one("[role=status]").textContent = counts.join(", ");
  }

  // The first click on a column of numbers puts the largest first, except where they are names.
  function sort(kind, column) {
    const heads = [...one("thead tr", sections[kind]).cells], head = heads[column], body = one("tbody", sections[kind]);
    const number = "number" in head.dataset, before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : number && head.textContent !== "Direction";
    heads.forEach(cell => cell.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.v, order = number ? (a, b) => a - b : (a, b) => a.localeCompare(b);
    rows[kind].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? order(y, x) : order(x, y);
    });
    const opened = one(".detail", body);
    body.append(...rows[kind]);
    if (opened) one("tr.open", body).after(opened);
  }

  kinds.forEach(kind => {
    sections[kind].id = `list-${kind}s`;  // the address is read by this script; the browser must not jump
    [...one("thead tr", sections[kind]).cells].forEach((cell, column) => {
      if (cell.classList.contains("strip")) return;
      const button = element("button", {type: "button"}, ...cell.childNodes);
      button.addEventListener("click", () => sort(kind, column));
      cell.append(button);
    });
    one("tbody", sections[kind]).addEventListener("click", event => {
      const row = event.target.closest("tr"), link = event.target.closest("a");
      if (!row || row.classList.contains("detail") || (link && link.hash !== `#${row.id}`)) return;
      event.preventDefault();
      go(row.classList.contains("open") ? `#${kind}s` : `#${row.id}`);
      if (!row.classList.contains("open")) one("a", row).focus({preventScroll: true});
    });
    rows[kind].forEach(row => one("a", row).setAttribute("aria-expanded", "false"));
  });
  all("td.strip").forEach(cell => cell.append(...images(Number(cell.parentNode.id.split("-")[1]))));
  query.addEventListener("input", filter);
  only.addEventListener("change", filter);
  one("form").addEventListener("submit", event => event.preventDefault());
  window.addEventListener("popstate", route);
  one("form").hidden = false;
  document.body.classList.add("live");
  route();
})();
