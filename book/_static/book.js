// What is wider than the page scrolls, and has to be reached by keyboard. The theme sees to that when the window
// changes; what was folded has a width only when it is opened.
(() => {
  const look = () => window.dispatchEvent(new Event("resize"));
  document.addEventListener("toggle", look, true);
  document.addEventListener("click", event => event.target.closest(".admonition.toggle") && look());
})();
