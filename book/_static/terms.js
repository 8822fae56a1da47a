// Words of the glossary say what they mean when pointed at or reached by keyboard; a click or touch follows the link.
(() => {
  const data = document.getElementById("fl-terms");
  if (!data) return;
  const WAIT = 250; // ms to move the pointer from a word to its meaning
  const meanings = new Map();
  let shown = null, leaving = 0;

  for (const [id, text] of Object.entries(JSON.parse(data.textContent))) {
    const tip = document.createElement("div");
    tip.id = `fl-meaning-${id}`;
    tip.className = "fl-meaning";
    tip.role = "tooltip";
    tip.hidden = true;
    tip.textContent = text;
    tip.addEventListener("pointerenter", () => clearTimeout(leaving));
    tip.addEventListener("pointerleave", leave);
    document.body.append(tip);
    meanings.set(id, tip);
  }

  function show(link, tip) {
    hide();
    shown = tip;
    tip.hidden = false;
    const word = link.getClientRects()[0], size = tip.getBoundingClientRect(), room = document.documentElement;
    const left = Math.max(8, Math.min(word.left, room.clientWidth - size.width - 8));
    const below = word.bottom + size.height + 4 < room.clientHeight || word.top < size.height + 4;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(below ? word.bottom + 4 : word.top - size.height - 4) + scrollY}px`;
  }

  function hide() {
    clearTimeout(leaving);
    if (shown) shown.hidden = true;
    shown = null;
  }

  function leave() {
    clearTimeout(leaving);
    const kept = shown && document.activeElement.getAttribute("aria-describedby") === shown.id;
    if (!kept) leaving = setTimeout(hide, WAIT);
  }

  document.querySelectorAll("article a:has(> .std-term)").forEach(link => {
    const tip = meanings.get(decodeURIComponent(link.hash.slice(1)));
    if (!tip) return;
    link.setAttribute("aria-describedby", tip.id);
    link.addEventListener("pointerenter", event => event.pointerType === "mouse" && show(link, tip));
    link.addEventListener("pointerleave", leave);
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link, tip));
    link.addEventListener("blur", hide);
  });
  document.addEventListener("keydown", event => event.key === "Escape" && hide());
})();
