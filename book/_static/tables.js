// Tables of data: sorted by a click on a column's name, and downloaded as CSV. Without this script they are tables.
(() => {
  const MISSING = /^(?:|[–—-]|nan|none|<na>)$/i;
  const MINUS = /[−–](?=[\d.])/g;
  const NUMBER = /^[-+]?(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d*)?(?:e[-+]?\d+)?$/i;

  // What a cell says; some keep more digits than they show.
  const said = cell => (cell.dataset.value ?? cell.textContent).trim().replace(/\s+/g, " ");
  const missing = text => MISSING.test(text);

  // The number a text says, per cent and thousands included; NaN if it says none.
  function number(text) {
    const plain = text.replace(MINUS, "-").replace(/\s*%$/, "");
    return /\d/.test(plain) && NUMBER.test(plain) ? Number(plain.replaceAll(",", "")) : NaN;
  }

  // Rows of cells as they are seen: a cell over several rows or columns stands in each of them.
  function grid(rows) {
    const seen = rows.map(() => []);
    rows.forEach((row, r) => {
      let column = 0;
      for (const cell of row.cells) {
        while (seen[r][column]) column++;
        for (let down = 0; down < cell.rowSpan && r + down < rows.length; down++) {
          for (let across = 0; across < cell.colSpan; across++) seen[r + down][column + across] = cell;
        }
        column += cell.colSpan;
      }
    });
    return seen;
  }

  // A column: its name, the cell that carries it, and how its values compare.
  function columns(heads, body) {
    return body[0].map((first, column) => {
      const above = heads.map(row => row[column]).filter(cell => cell && said(cell));
      const own = above.at(-1);
      // Above what names the rows, pandas writes what names the columns.
      const names = first.tagName === "TH" ? [own].filter(Boolean) : above;
      const texts = body.map(row => said(row[column])).filter(text => !missing(text));
      const numeric = texts.length > 0 && !texts.some(text => isNaN(number(text)));
      const percent = numeric && texts.every(text => text.endsWith("%"));
      const name = [...new Set(names.map(said))].join(" / ") + (percent ? " (%)" : "");
      return { name, numeric, head: own?.colSpan === 1 ? own : null };
    });
  }

  function compare(column, down) {
    const order = column.numeric
      ? (a, b) => number(a) - number(b)
      : (a, b) => a.localeCompare(b, "en", { numeric: true });
    return (a, b) => missing(a) || missing(b) ? missing(a) - missing(b) : down ? order(b, a) : order(a, b);
  }

  // A button in each column's name: one way, the other way, and as it was. Numbers begin with the largest.
  function sortable(table, body, all) {
    const place = table.tBodies[0], rows = [...place.rows], spanned = rows.some(row => row.cells.length < all.length);
    const whole = !spanned ? rows : body.map((cells, r) => {
      const row = rows[r].cloneNode(false);
      row.append(...cells.map(cell => {
        const copy = cell.cloneNode(true);
        copy.removeAttribute("rowspan");
        return copy;
      }));
      return row;
    });
    for (const [column, { head, numeric }] of all.entries()) {
      if (!head || head.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "fl-sort";
      const words = head.querySelector("p") ?? head;
      button.append(...words.childNodes);
      words.append(button);
      button.addEventListener("click", () => {
        const steps = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
        const now = steps[(steps.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        all.forEach(other => other.head?.removeAttribute("aria-sort"));
        if (now) head.setAttribute("aria-sort", now);
        const by = compare(all[column], now === "descending"), value = row => said(row.cells[column]);
        place.replaceChildren(...now ? [...whole].sort((a, b) => by(value(a), value(b))) : rows);
      });
    }
  }

  // The table as it stands, by RFC 4180; numbers as programs write them, nothing where a value is missing.
  function csv(table, all) {
    const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const value = (cell, column) => {
      const text = said(cell);
      if (!all[column].numeric) return text;
      return missing(text) ? "" : text.replace(MINUS, "-").replace(/\s*%$/, "").replaceAll(",", "");
    };
    const rows = grid([...table.tBodies[0].rows]).map(row => row.map(value));
    return [all.map(column => column.name), ...rows].map(row => row.map(quoted).join(",") + "\r\n").join("");
  }

  function downloadable(table, all, count, box) {
    const page = location.pathname.split("/").pop().replace(/\.html$/, "") || "index";
    const heading = table.closest("section")?.querySelector(":is(h1, h2, h3, h4)")?.firstChild?.textContent.trim();
    const tools = document.createElement("div"), button = document.createElement("button");
    tools.className = "fl-tools";
    button.type = "button";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `CSV: download table ${count}${heading ? `, ${heading}` : ""}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv(table, all)], { type: "text/csv" }));
      link.download = `${page}-table-${count}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    tools.append(button);
    box.after(tools);
  }

  const kinds = "table.dataframe, .fl-sortable table, table.fl-data";
  const boxes = ".fl-sortable, .text_html, .pst-scrollable-table-container";
  document.querySelectorAll(kinds).forEach((table, index) => {
    if (!table.tHead || !table.tBodies[0]?.rows.length) return;
    const body = grid([...table.tBodies[0].rows]), all = columns(grid([...table.tHead.rows]), body);
    if (!table.closest(".fl-sortable")) sortable(table, body, all); // those sort by themselves
    const box = table.closest(boxes);
    downloadable(table, all, index + 1, box?.querySelectorAll("table").length === 1 ? box : table);
  });
})();
